// @ts-check
/** What the change of a symbol is counted from: the previous close, as its source or the server's
 * bars tell it; without one, the first price of the day. */
import { call } from "./api.js";
import { dateOf } from "./bars.js";
import { DAY_MS, IST_AHEAD_MS, price } from "./format.js";
import { touchInBeat } from "./frame.js";

/** @typedef {{ price: number, words: string }} Base */

/** As far as the day before may lie, with holidays. */
const LOOKED_BACK_MS = 15 * DAY_MS;
/** By symbol, with its day; null while it is asked for. @type {Map<string, { day: number,
 *   base: Base | null }>} */
const known = new Map();
/** One question at a time: a watchlist may be long. */
let last = Promise.resolve();

/** @param {string} at @returns {number} the day in India, counted */
const dayOf = (at) => dateOf(Date.parse(at));

/** @param {import("./model.js").Quote} quote @returns {Base} what is known of it by now */
export function baseOf({ symbol, asOf, first }) {
  const day = dayOf(asOf);
  const found = known.get(symbol);
  if (found?.day !== day) {
    known.set(symbol, { day, base: null });
    last = last.then(() => learn(symbol, day));
  }
  const before = { price: first, words: "Since this page first saw a price" };
  return (found?.day === day && found.base) || before;
}

/** @param {string} symbol @param {number} day */
async function learn(symbol, day) {
  const base = (await toldClose(symbol)) ?? (await keptPrice(symbol, day));
  known.set(symbol, { day, base });
  touchInBeat("prices");
}

/** @param {string} symbol @returns {Promise<Base | null>} */
async function toldClose(symbol) {
  const { ok, document } = await call("GET", `instruments?symbols=${encodeURIComponent(symbol)}`);
  const { previousClose: close, previousCloseDate: date } = (ok && document.instruments[0]) || {};
  return close === undefined ? null : { price: close, words: against(close, date) };
}

/** @param {string} symbol @param {number} day @returns {Promise<Base | null>} */
async function keptPrice(symbol, day) {
  const from = new Date(day * DAY_MS - IST_AHEAD_MS - LOOKED_BACK_MS).toISOString();
  const query = `bars?symbol=${encodeURIComponent(symbol)}&interval=1d&from=${from}`;
  const { ok, document } = await call("GET", query);
  const bars = ok ? document.bars : [];
  const earlier = bars.findLast((/** @type {any} */ { start }) => dayOf(start) < day);
  if (earlier) return { price: earlier.close, words: against(earlier.close) };
  const today = bars.find((/** @type {any} */ { start }) => dayOf(start) === day);
  return today ? { price: today.open, words: `Since the day’s first, ${price(today.open)}` } : null;
}

/** @param {number} close @param {string} [date] */
const against = (close, date) =>
  `Against the previous close, ${price(close)}${date ? ` of ${date}` : ""}`;
