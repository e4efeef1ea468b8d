// @ts-check
/** Last prices, on screen or asked for, how old they are, and how far another one is from them. */
import { pricesOf } from "./api.js";
import { age, moment, percent, price, time } from "./format.js";
import { isLive, isStale, sourceOf } from "./liveness.js";
import { isShut, marketWords, replayTime } from "./market.js";
import { model } from "./model.js";

/** @typedef {import("./model.js").Quote} Quote */
/** @typedef {Pick<Quote, "symbol" | "price" | "asOf" | "timestamp" | "receivedAt" | "stale"
 *   | "source">} Last */

/** A source that was so far behind when its price came is late. */
const LATE_MS = 120_000;
/** A hand-typed price further off than this needs confirmation. */
const FAR_PERCENT = 1;
/** Of symbols that are not on screen. @type {Map<string, Last>} */
const lookedUp = new Map();

/** Since its source said so: by the server's clock up to the message, by ours from then on; in a
 * replay by the market's.
 * @param {Last} quote */
function ageOf({ asOf, timestamp, receivedAt }) {
  const marketMs = replayTime();
  if (marketMs !== null) return Math.max(0, marketMs - Date.parse(asOf));
  return Date.parse(timestamp) - Date.parse(asOf) + performance.now() - receivedAt;
}

/** @param {Last} quote */
const isSilent = ({ receivedAt }) => performance.now() - receivedAt > 3 * model.intervalMs + 2000;

/** Stale by the server's word, or because no message came. @param {Last} quote */
export const isOld = (quote) => Boolean(quote.stale) || isSilent(quote);

/** It is old only because its market is not open: the close, which is as it should be.
 * @param {Last} quote */
export const isClose = (quote) =>
  Boolean(quote.stale) && !isSilent(quote) && isShut(quote.symbol, quote.source);

/** It is true by its source's word, but of a while ago. @param {Last} quote */
export const isLate = ({ asOf, timestamp }) =>
  replayTime() === null && Date.parse(timestamp) - Date.parse(asOf) > LATE_MS;

/** @param {Last} quote */
const ageWords = (quote, late = isLate(quote)) => `${age(ageOf(quote))}${late ? " late" : ""}`;

/** How a price has to look: as one of now, if it is nothing else.
 * @param {Last} quote @returns {"shut" | "stale" | "late" | ""} */
export function standOf(quote) {
  if (isClose(quote)) return "shut";
  if (isOld(quote)) return "stale";
  return isLate(quote) ? "late" : "";
}

/** How old a price is, and whose: 3 s · sim. @param {Last} quote */
export function origin(quote, stand = standOf(quote)) {
  const { asOf = "", source } = quote;
  if (stand === "shut") return `${marketWords()} · ${moment(asOf)} · ${source}`;
  if (stand === "stale") return `STALE since ${moment(asOf)} · ${source}`;
  return `${ageWords(quote, stand === "late")} · ${source}`;
}

/** The same of the price that values a trade. @param {import("./model.js").Position} trade */
export function originOf(trade) {
  const quote = model.prices.get(trade.symbol);
  if (quote && !isSilent(quote) && Boolean(quote.stale) === Boolean(trade.stale))
    return origin(quote);
  const source = sourceOf(trade.symbol) ?? "";
  if (!trade.stale) return source;
  return `${isStale(trade) ? "STALE" : marketWords()} · ${source}`;
}

/** In few letters: how old the price of a trade is, or whose, if only that is known.
 * @param {import("./model.js").Position} trade */
export function ageOrSource(trade) {
  const quote = model.prices.get(trade.symbol);
  return quote && !isOld(quote) ? ageWords(quote) : originOf(trade);
}

/** @param {string} symbol @returns {Last | undefined} */
export const lastOf = (symbol) => model.prices.get(symbol) ?? lookedUp.get(symbol);

/** Asks for the price of a symbol that is not on screen. @param {string} symbol */
export async function lookUp(symbol) {
  if (!symbol || model.prices.has(symbol)) return;
  const { prices } = await pricesOf([symbol]);
  const [quote] = prices;
  if (quote) lookedUp.set(symbol, { ...quote, receivedAt: performance.now() });
}

/** A price, with its age and source. @param {Last} quote */
export const priceAndOrigin = (quote) => `${price(quote.price)} (${origin(quote)})`;

/** What is known of the price of an open trade: its source and age, or since when nothing.
 * @param {import("./model.js").Position} trade */
export function standing(trade) {
  if (!isLive() && !trade.stale) return `as of ${time(model.heardAtWallMs)}`;
  const quote = lastOf(trade.symbol);
  return trade.stale && quote?.stale ? origin(quote) : originOf(trade);
}

/** @param {number} at @param {number} last
 * @returns {string} 3.53% below the last price 23,841.00 */
export function distance(at, last) {
  if (at === last) return `the last price ${price(last)}`;
  const side = at < last ? "below" : "above";
  return `${percent(Math.abs(at / last - 1) * 100)} ${side} the last price ${price(last)}`;
}

/** @param {number} at @param {number | undefined} last */
export const isFar = (at, last) =>
  last !== undefined && Math.abs(at / last - 1) * 100 > FAR_PERCENT;
