// @ts-check
/** A list of symbols as people type it. */

/** As the server allows them. */
const SYMBOL = /^[A-Z0-9^][A-Z0-9 &._:^=-]{0,63}$/;

/**
 * Commas and spaces part symbols; a space within one that the server knows does not.
 * @param {string} text
 * @param {Set<string>} known
 * @returns {{ good: string[], bad: string[] }} `bad`: no feed can have these
 */
export function symbolsIn(text, known) {
  const parts = text
    .split(/[,;\n]/)
    .map((one) => one.trim().toUpperCase())
    .filter(Boolean);
  const all = parts.flatMap((part) => (known.has(part) ? [part] : part.split(/\s+/)));
  return {
    good: all.filter((one) => SYMBOL.test(one)),
    bad: all.filter((one) => !SYMBOL.test(one)),
  };
}

/** @param {string[]} bad */
export const explainBad = (bad) =>
  `No symbol: ${bad.map((one) => `“${one.slice(0, 80)}”`).join(", ")}. ` +
  "A symbol has up to 64 letters, digits, spaces or & . _ : ^ = -, a letter, digit or ^ first.";
