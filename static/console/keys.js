// @ts-check
/** Single-key shortcuts, listed under `?`; they can be switched off (WCAG 2.1.4). */
import { $, el } from "./dom.js";
import { focusHeading } from "./focus.js";
import { recall, remember } from "./remembered.js";

/** From a field to where shortcuts count; in one with a list, the list is closed first.
 * @param {Element} target */
function leave(target) {
  const home = target.closest("section");
  if (home && target instanceof HTMLInputElement && !target.list) focusHeading(home);
}

/** @param {[key: string, what: string, action: () => void][]} shortcuts */
export function start(shortcuts) {
  const dialog = $("help-dialog");
  const help = () => dialog.showModal();
  /** @type {[string, string, () => void][]} */
  const all = [...shortcuts, ["?", "This list", help]];
  for (const [key, what] of [
    ...all,
    ["Esc", "Leave a field; close a dialog, the drawer, messages"],
  ]) {
    $("shortcuts").append(el("dt", {}, el("kbd", {}, key)), el("dd", {}, what));
  }
  const switched = $("shortcuts-on");
  switched.checked = recall("shortcuts") !== "off";
  switched.addEventListener("change", () => remember("shortcuts", switched.checked ? null : "off"));
  $("help").addEventListener("click", help);
  document.addEventListener("keydown", (event) => {
    const { key, target, ctrlKey, metaKey, altKey } = event;
    const typing =
      target instanceof Element &&
      target.closest("input:not([type=radio], [type=checkbox]), select, textarea");
    if (typing && key === "Escape") leave(target);
    if (typing || ctrlKey || metaKey || altKey || !switched.checked) return;
    if (document.querySelector("dialog[open]")) return;
    const found = all.find(([name]) => name === key);
    if (!found) return;
    event.preventDefault();
    found[2]();
  });
}
