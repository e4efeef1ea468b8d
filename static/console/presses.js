// @ts-check
/** What one press is. */

/** Buttons that send something, or answer a question that does. */
const DECIDES = ".primary, #session-actions button";

/** The second click of a double click is none: the first may have been an order, or have put
 * another button there. */
export function takeDoubleClicksForOne() {
  addEventListener(
    "click",
    (event) => {
      const { target, detail } = event;
      if (detail < 2 || !(target instanceof Element && target.closest(DECIDES))) return;
      event.preventDefault();
      event.stopPropagation();
    },
    true,
  );
}
