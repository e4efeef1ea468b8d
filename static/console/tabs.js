// @ts-check
/** The lists of the session, one at a time: tabs with arrow keys, as ARIA describes them. */
import { $ } from "./dom.js";
import { recall, remember } from "./remembered.js";

/** @returns {any[]} */
const tabs = () => [...$("tabs").querySelectorAll("[role=tab]")];

/** @param {any} chosen */
function choose(chosen) {
  for (const tab of tabs()) {
    const isChosen = tab === chosen;
    tab.setAttribute("aria-selected", String(isChosen));
    tab.tabIndex = isChosen ? 0 : -1;
    $(tab.getAttribute("aria-controls")).hidden = !isChosen;
  }
  const list = $("tabs"); // which may be wider than a phone
  list.scrollLeft =
    chosen.offsetLeft - list.offsetLeft - (list.clientWidth - chosen.clientWidth) / 2;
  chosen.dispatchEvent(new Event("chosen", { bubbles: true }));
}

/** Brings a list to the front, and remembers it. @param {string} id of its tab */
export function openTab(id) {
  choose($(id));
  remember("tab", id);
}

/** @param {KeyboardEvent} event */
function step(event) {
  const all = tabs();
  const at = all.indexOf(document.activeElement);
  const next = {
    ArrowRight: (at + 1) % all.length,
    ArrowLeft: (at + all.length - 1) % all.length,
    Home: 0,
    End: all.length - 1,
  }[event.key];
  if (at < 0 || next === undefined) return;
  event.preventDefault();
  openTab(all[next].id);
  all[next].focus();
}

export function start() {
  $("tabs").addEventListener("click", (/** @type {any} */ { target }) => {
    const tab = target.closest("[role=tab]");
    if (tab) openTab(tab.id);
  });
  $("tabs").addEventListener("keydown", step);
  const last = tabs().find(({ id }) => id === recall("tab"));
  choose(last ?? tabs()[0]);
}
