// @ts-check
/** Instruments trade in lots: what a quantity is in lots, and arrow keys that step by one. */
import { call } from "./api.js";
import { whole } from "./format.js";
import { numberOf } from "./numbers.js";

/** By symbol; 1 where it trades singly or is not known. @type {Map<string, number>} */
const known = new Map();

/** Asks once for the lot of a symbol. @param {string} symbol */
export async function learnLot(symbol) {
  if (!symbol || known.has(symbol)) return;
  const { ok, document } = await call("GET", `instruments?symbols=${encodeURIComponent(symbol)}`);
  if (ok) known.set(symbol, document.instruments[0]?.lot ?? 1);
}

/** @param {string} symbol */
export const lotOf = (symbol) => known.get(symbol) ?? 1;

/** A quantity in lots, in words; empty where lots mean nothing.
 * @param {string} symbol @param {unknown} quantity */
export function inLots(symbol, quantity) {
  const lot = lotOf(symbol);
  if (lot === 1) return "";
  if (typeof quantity !== "number" || quantity % lot !== 0) return `a lot is ${whole(lot)}`;
  return `${whole(quantity / lot)} ${quantity === lot ? "lot" : "lots"} of ${whole(lot)}`;
}

/** Up and down in a field of a quantity: the next whole number of lots.
 * @param {HTMLInputElement} input @param {() => string} symbol */
export function stepByLots(input, symbol) {
  input.addEventListener("keydown", (event) => {
    if (event.key !== "ArrowUp" && event.key !== "ArrowDown") return;
    const quantity = numberOf(input.value.trim());
    if (typeof quantity !== "number" && input.value.trim()) return;
    event.preventDefault();
    const lots = Number(quantity || 0) / lotOf(symbol());
    const next = event.key === "ArrowUp" ? Math.floor(lots) + 1 : Math.ceil(lots) - 1;
    input.value = String(Math.max(1, next) * lotOf(symbol()));
    input.dispatchEvent(new Event("input", { bubbles: true }));
  });
}
