// @ts-check
/** The focus stays in its part of the page when what had it goes: it would fall to the page's top,
 * and a screen reader with it. It goes to the heading, not to the next button: that may be of
 * another trade, and a key be pressed twice. */

const HOMES = "dialog, [role=tabpanel], section, header";

/** @param {Element} home a part of the page */
export function focusHeading(home) {
  /** @type {HTMLElement | null} */
  const heading = home.querySelector("h1, h2");
  heading?.setAttribute("tabindex", "-1");
  heading?.focus({ preventScroll: true });
}

/** @param {Element} element */
const cannotHave = (element) =>
  !element.isConnected || element.matches(":disabled") || element.closest("[hidden]") !== null;

/** To be called before a paint. @returns {() => void} to be called after it */
export function keepFocus() {
  const focused = document.activeElement;
  const home = focused?.closest(HOMES);
  return () => {
    if (focused && home && cannotHave(focused)) focusHeading(home);
  };
}
