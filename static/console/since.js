// @ts-check
/** Since when prices are old: of each open trade, and of the P&L that is made of them. */
import { pricesOf } from "./api.js";
import { moment } from "./format.js";
import { touch } from "./frame.js";
import { feedIsLate, isStale, pnlIsOld, staleTrades } from "./liveness.js";
import { model } from "./model.js";
import { isLate } from "./quotes.js";
import { client } from "./stream.js";

/** @typedef {import("./model.js").Position} Position */

/** Many turn stale at once, and are asked about at once. */
const GATHER_MS = 100;
/** The moment of the old price of a symbol that is not on screen; null until the server told it.
 * @type {Map<string, string | null>} */
const told = new Map();
/** @type {ReturnType<typeof setTimeout> | undefined} */
let asking;

/** @param {{ symbol: string, stale: boolean }} data of a `pnl_update` */
function note({ symbol, stale }) {
  if (!stale) told.delete(symbol);
  else if (!told.has(symbol)) {
    told.set(symbol, null);
    if (asking === undefined) asking = setTimeout(ask, GATHER_MS);
  }
}

async function ask() {
  asking = undefined;
  const symbols = [...told].filter(([, asOf]) => asOf === null).map(([symbol]) => symbol);
  if (!symbols.length) return; // all are fresh again
  const { ok, prices } = await pricesOf(symbols);
  if (!ok) for (const symbol of symbols) told.delete(symbol); // the next message asks again
  for (const { symbol, asOf, stale } of prices)
    if (stale && told.has(symbol)) told.set(symbol, asOf);
  touch("positions", "session", "equity");
}

/** @param {Position} trade @returns {string | null} */
const asOfOld = ({ symbol }) => model.prices.get(symbol)?.asOf ?? told.get(symbol) ?? null;

/** Valued by a source that is far behind, where such prices count.
 * @param {Position} trade */
function isDelayed({ symbol }) {
  const quote = model.prices.get(symbol);
  return quote != null && isLate(quote);
}

const delayedTrades = () => [...model.open.values()].filter(isDelayed);

/** Whether the P&L is of another time than now. */
export const pnlIsOfThePast = () => pnlIsOld() || delayedTrades().length > 0;

/** The oldest of the prices that make the P&L old, or since when the feed brings none.
 * @returns {string | null} */
function oldSince() {
  const [oldest] = [...staleTrades(), ...delayedTrades()].map(asOfOld).filter(Boolean).sort();
  return oldest ?? (feedIsLate() ? (model.feed?.timestamp ?? null) : null);
}

/** @param {string} before what stands before the moment @param {string} otherwise without one */
export function sinceWords(before, otherwise) {
  const since = oldSince();
  return since ? `${before} ${moment(since)}` : otherwise;
}

export const pnlWords = () => sinceWords("by prices of", "by old prices");

/** Of a trade that a stale price values. @param {Position} trade */
export function staleWords(trade) {
  const since = asOfOld(trade);
  return since ? `stale since ${moment(since)}` : "stale price";
}

/** Whether a trade's figures are of the past. @param {Position} trade */
export const isOfThePast = (trade) => isStale(trade) || isDelayed(trade) || feedIsLate();

export const start = () => client.on("pnl_update", ({ data }) => note(data));
