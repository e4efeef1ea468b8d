// @ts-check
/** Last prices, on screen or asked for, how old they are, and how far another one is from them. */
import { call } from "./api.js";
import { age, percent, price, time } from "./format.js";
import { isLive } from "./liveness.js";
import { model } from "./model.js";

/** @typedef {import("./model.js").Quote} Quote */
/** @typedef {Pick<Quote, "price" | "asOf" | "timestamp" | "receivedAt" | "stale">} Last */

/** A hand-typed price further off than this needs confirmation. */
const FAR_PERCENT = 1;
/** Of symbols that are not on screen. @type {Map<string, Last>} */
const lookedUp = new Map();

/** Since its source said so: by the server's clock up to the message, by ours from then on.
 * @param {Last} quote */
export const ageOf = ({ asOf, timestamp, receivedAt }) =>
  Date.parse(timestamp) - Date.parse(asOf) + performance.now() - receivedAt;

/** Stale by the server's word, or because no message came. @param {Last} quote */
export const isOld = ({ stale, receivedAt }) =>
  stale || performance.now() - receivedAt > 3 * model.intervalMs + 2000;

/** @param {string} symbol @returns {Last | undefined} */
export const lastOf = (symbol) => model.prices.get(symbol) ?? lookedUp.get(symbol);

/** Asks for the price of a symbol that is not on screen. @param {string} symbol */
export async function lookUp(symbol) {
  if (!symbol || model.prices.has(symbol)) return;
  const { ok, document } = await call("GET", `prices?symbols=${encodeURIComponent(symbol)}`);
  const [quote] = ok ? document.prices : [];
  if (quote) lookedUp.set(symbol, { ...quote, receivedAt: performance.now() });
}

/** A price, with its age if it is old. @param {Last} quote */
export const priceAndAge = (quote) =>
  `${price(quote.price)}${isOld(quote) ? ` (STALE, ${age(ageOf(quote))} old)` : ""}`;

/** Why the price of an open trade cannot be relied on; empty if it can.
 * @param {import("./model.js").Position} trade */
export function oldness(trade) {
  const quote = lastOf(trade.symbol);
  if (trade.stale) return quote ? `STALE, ${age(ageOf(quote))} old` : "STALE";
  return isLive() ? "" : `as of ${time(model.heardAtWallMs)}`;
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
