// @ts-check
/** On a phone: one tap to each part of the page, and to the ticket. */
import { $ } from "./dom.js";
import { openTab } from "./tabs.js";
import { openTicket } from "./ticket.js";

/** @param {string} name of the panel's class */
function jump(name) {
  if (name === "book") openTab("tab-positions");
  const panel = /** @type {HTMLElement} */ (document.querySelector(`#desk > .${name}`));
  panel.scrollIntoView();
  /** @type {HTMLElement | null} */ (panel.querySelector("button, input"))?.focus({
    preventScroll: true,
  });
}

export function start() {
  $("jumps").addEventListener("click", (/** @type {any} */ { target }) => {
    const { jump: name, side } = target.closest("button")?.dataset ?? {};
    if (name) jump(name);
    if (!side) return;
    openTicket({ side });
    document.querySelector(".ticket")?.scrollIntoView();
  });
}
