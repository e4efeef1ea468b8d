// @ts-check
/** Numbers as people type them, and amounts that were reckoned here. */

/** 1,50,000.50 or 150,000.50, but not 22,50: that may be meant as 22.50. */
const GROUPED = /^\d{1,3}(,\d{2,3})*,\d{3}(\.\d+)?$/;
/** Without 1e999, which JSON turns into null, 0x10 and the like. */
const PLAIN = /^[+-]?\d+(\.\d+)?$/;

/** Digits as `String` writes a number. @param {string} digits */
const shortest = (digits) =>
  digits
    .replace(/^\+/, "")
    .replace(/^(-?)0+(?=\d)/, "$1")
    .replace(/(\.\d*?)0+$/, "$1")
    .replace(/\.$/, "");

/** The number that was typed, or the text as it was if it is none or has more digits than a number
 * holds. @param {string} text @returns {number | string} */
export function numberOf(text) {
  const digits = GROUPED.test(text) ? text.replaceAll(",", "") : text;
  return PLAIN.test(digits) && String(Number(digits)) === shortest(digits) ? Number(digits) : text;
}

const { format: grouped } = new Intl.NumberFormat("en-IN", { maximumFractionDigits: 4 });

/** The reverse, for a field: a large amount is read in groups, as it is shown.
 * @param {unknown} value @returns {string} */
export const typed = (value) =>
  typeof value === "number" && value >= 1000 ? grouped(value) : String(value ?? "");

/** The exact amount that a sum or a product of binary numbers stands for.
 * @param {number} rupees */
export const toPaisa = (rupees) => Math.round(rupees * 100) / 100;
