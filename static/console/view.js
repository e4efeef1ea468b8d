// @ts-check
/** How large text and rows are: chosen in a dialog, remembered by the browser. */
import { $ } from "./dom.js";
import { touchAll } from "./frame.js";
import { resetPanels } from "./panels.js";
import { recall, remember } from "./remembered.js";

const root = document.documentElement;
const CHOICES = /** @type {const} */ ([
  ["text-size", "14", (/** @type {string} */ px) => root.style.setProperty("font-size", px)],
  ["row-height", "28", (/** @type {string} */ px) => root.style.setProperty("--row", px)],
]);

export const openView = () => $("view-dialog").showModal();

export function start() {
  $("view").addEventListener("click", openView);
  $("reset-panels").addEventListener("click", resetPanels);
  for (const [id, usual, apply] of CHOICES) {
    $(id).value = recall(id) ?? usual;
    $(id).addEventListener("change", () => {
      const { value } = $(id);
      remember(id, value === usual ? null : value);
      apply(`${value}px`);
      touchAll();
    });
  }
}
