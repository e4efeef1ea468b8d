// @ts-check
/** Stops and targets of an order that is being typed: their sides, and what they would make. */
import { price } from "./format.js";

/** @typedef {import("./forms.js").Fields} Fields */

export const LEVELS = /** @type {const} */ (["stopLoss", "target"]);

/** @param {Fields} fields */
export const symbolOf = ({ symbol = "" }) => String(symbol).toUpperCase();

/** +1 for a BUY, −1 for a SELL. @param {Fields} fields */
export const signOf = ({ side }) => (side === "SELL" ? -1 : 1);

/** Levels on the side where the server refuses them; each text begins with its field.
 * @param {Fields} fields
 * @param {number | undefined} fill what the order would be filled at
 * @param {string} what that price in words, e.g. "the last price"
 * @returns {string[]} */
export function wrongSides(fields, fill, what) {
  if (fill === undefined) return [];
  return LEVELS.flatMap((name, index) => {
    const isAbove = (index === 0 ? -1 : 1) * signOf(fields) > 0;
    const level = fields[name];
    if (typeof level !== "number" || (isAbove ? level > fill : level < fill)) return [];
    const side = isAbove ? "above" : "below";
    return [`${name} must be ${side} ${what} ${price(fill)} for a ${fields.side}`];
  });
}

/** What an order would make at a level, in ₹; undefined without one, or on the wrong side.
 * @param {Fields} fields @param {"stopLoss" | "target"} name @param {number} fill */
export function gainAt(fields, name, fill) {
  const { [name]: level, quantity } = fields;
  if (typeof level !== "number" || !Number.isInteger(quantity)) return undefined;
  const gain = (level - fill) * quantity * signOf(fields);
  const isRight = name === "stopLoss" ? gain < 0 : gain > 0;
  return isRight ? gain : undefined;
}
