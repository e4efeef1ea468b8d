// @ts-check
/** Dialogs that ask, and buttons that only close one. */

/** @param {HTMLDialogElement} dialog @returns {Promise<boolean>} */
export const confirmed = (dialog) =>
  new Promise((resolve) => {
    dialog.returnValue = "";
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
    dialog.showModal();
  });

/** Buttons that only close a dialog. */
export function wireDialogs() {
  for (const button of document.querySelectorAll("dialog [data-cancel]")) {
    button.addEventListener("click", () => button.closest("dialog")?.close());
  }
}
