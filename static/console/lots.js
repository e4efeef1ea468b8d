// @ts-check
/** Instruments trade in lots, at prices that are ticks apart: what a quantity is in lots, and steps
 * by a lot or by a tick. */
import { call } from "./api.js";
import { whole } from "./format.js";
import { numberOf, typed } from "./numbers.js";

/** Where an instrument is not known. */
const USUAL = { lot: 1, tick: 0.01 };
/** By symbol. @type {Map<string, { lot: number, tick: number }>} */
const known = new Map();

/** Asks once for the lot and the tick of a symbol. @param {string} symbol */
export async function learnLot(symbol) {
  if (!symbol || known.has(symbol)) return;
  const path = `instruments?symbols=${encodeURIComponent(symbol)}`;
  const { ok, passing, document } = await call("GET", path);
  if (ok) known.set(symbol, document.instruments[0] ?? USUAL);
  else if (!passing) known.set(symbol, USUAL); // no symbol at all
}

/** 1 where it trades singly or is not known. @param {string} symbol */
export const lotOf = (symbol) => known.get(symbol)?.lot ?? USUAL.lot;

/** @param {string} symbol */
const tickOf = (symbol) => known.get(symbol)?.tick ?? USUAL.tick;
const DECIMALS = 4;

/** The price nearest to one that the instrument can have. @param {string} symbol
 * @param {number} at */
export const nearestTick = (symbol, at) => ofTicks(symbol, Math.round(at / tickOf(symbol)));

/** The price so many ticks further; from one between two ticks, the first step goes to the next.
 * @param {string} symbol @param {number} at @param {number} steps below 0: downwards */
export function ticksFrom(symbol, at, steps) {
  const ticks = Number((at / tickOf(symbol)).toFixed(DECIMALS));
  return ofTicks(symbol, (steps > 0 ? Math.floor(ticks) : Math.ceil(ticks)) + steps);
}

/** @param {string} symbol @param {number} ticks */
const ofTicks = (symbol, ticks) => Number((ticks * tickOf(symbol)).toFixed(DECIMALS));

/** Half of a quantity, in whole lots if that leaves any. @param {string} symbol
 * @param {number} quantity */
export function halfOf(symbol, quantity) {
  const half = Math.floor(quantity / 2);
  return half - (half % lotOf(symbol)) || half;
}

/** A quantity in lots, in words; empty where lots mean nothing.
 * @param {string} symbol @param {unknown} quantity */
export function inLots(symbol, quantity) {
  const lot = lotOf(symbol);
  if (lot === 1) return "";
  if (typeof quantity !== "number" || quantity % lot !== 0) return `a lot is ${whole(lot)}`;
  return `${whole(quantity / lot)} ${quantity === lot ? "lot" : "lots"} of ${whole(lot)}`;
}

/** A field of a quantity that holds one lot of its symbol until somebody types into it. It is empty
 * while the lot is not known: the lot of the symbol before would be another one.
 * @param {HTMLInputElement} input @param {() => string} symbol
 * @returns {() => Promise<void>} to be called with each other symbol */
export function followLot(input, symbol) {
  let isTyped = false;
  let edits = 0;
  input.addEventListener("input", () => {
    isTyped = input.value !== "";
    edits += 1;
  });
  return async () => {
    const name = symbol();
    const before = edits;
    if (!isTyped && !known.has(name)) input.value = "";
    await learnLot(name);
    // Another one was chosen meanwhile, or the quantity emptied to type one.
    if (isTyped || edits !== before || name !== symbol()) return;
    input.value = name ? typed(lotOf(name)) : "";
    if (document.activeElement === input) input.select();
  };
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
    input.value = typed(Math.max(1, next) * lotOf(symbol()));
    input.dispatchEvent(new Event("input", { bubbles: true }));
  });
}
