// @ts-check
/** Dialogs that ask, buttons that only close one, and messages while one is open. */
import { $ } from "./dom.js";

/** @param {HTMLDialogElement} dialog @returns {Promise<boolean>} */
export const confirmed = (dialog) =>
  new Promise((resolve) => {
    dialog.returnValue = "";
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
    dialog.showModal();
  });

/** All but the newest dialog is inert, and no screen reader says it: messages go there. */
function keepMessagesInReach() {
  const messages = $("messages");
  const home = messages.parentElement;
  /** @type {Node[]} the newest last */
  let open = [];
  new MutationObserver((changes) => {
    for (const { target } of changes) {
      open = open.filter((one) => one !== target);
      if (/** @type {Element} */ (target).matches("dialog:modal")) open.push(target);
    }
    const place = open.at(-1) ?? home;
    if (messages.parentElement !== place) place.append(messages);
  }).observe(document.body, { subtree: true, attributeFilter: ["open"] });
}

/** What all dialogs have. */
export function wireDialogs() {
  keepMessagesInReach();
  for (const button of document.querySelectorAll("dialog [data-cancel]")) {
    button.addEventListener("click", () => button.closest("dialog")?.close());
  }
}
