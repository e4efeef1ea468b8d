// @ts-check
/** What goes on in the market, in words, and which old prices are only the close. */
import { call } from "./api.js";
import { serverNowMs } from "./clock.js";
import { touch } from "./frame.js";
import { model } from "./model.js";

/** @typedef {NonNullable<typeof model.feed>} Feed */

const WORDS = {
  OPEN: "Market open",
  CLOSED: "Market closed",
  PREOPEN: "Pre-open session",
  AUCTION: "Closing auction",
};
const ALWAYS_OPEN = "Open day and night";
/** Of their symbols only those that the exchange knows follow its hours. */
const BY_SYMBOL = new Set(["ingest", "replay", "sim"]);
const ASK_AGAIN_MS = 5000;

/** @type {Set<string>} */
const following = new Set();
/** @type {Set<string>} */
const asked = new Set();

/** Before the feed has said anything: as the page was served. */
const state = () =>
  model.feed
    ? model.feed.marketState
    : /** @type {keyof typeof WORDS | undefined} */ (document.body.dataset.market);

export function marketWords() {
  const now = state();
  return now ? WORDS[now] : ALWAYS_OPEN;
}

/** When the feed's state came, by the page's clock. */
let feedAt = 0;

/** A feed that brings nothing from the start on has not been lost. */
export let feedWasLive = false;

/** @param {Feed} told */
export function noteFeed(told) {
  feedWasLive ||= model.feed?.state === "LIVE";
  model.feed = told;
  feedAt = performance.now();
}

/** The market's time in a replay, in epoch milliseconds; null where it is the world's. */
export function replayTime() {
  const { marketTime, rate, paused } = model.feed ?? {};
  if (!marketTime) return null;
  const runs = paused || typeof rate !== "number" ? 0 : rate;
  return Date.parse(marketTime) + runs * (performance.now() - feedAt);
}

/** The time by which the server opens, closes and counts days, in epoch milliseconds. */
export const marketNowMs = () => replayTime() ?? serverNowMs();

/** Whether an old price of a symbol is no reason to worry, because it is not traded now.
 * @param {string} symbol @param {string | undefined} source */
export function isShut(symbol, source) {
  const now = state();
  if (!now || now === "OPEN") return false;
  if (!source || !BY_SYMBOL.has(source)) return true;
  learn(symbol);
  return following.has(symbol);
}

/** Whether the exchange knows a symbol is asked once. @param {string} symbol */
async function learn(symbol) {
  if (asked.has(symbol)) return;
  asked.add(symbol);
  const { ok, document } = await call("GET", `instruments?symbols=${encodeURIComponent(symbol)}`);
  if (!ok) setTimeout(() => asked.delete(symbol), ASK_AGAIN_MS);
  else if (document.instruments.length) {
    following.add(symbol);
    touch("prices", "positions", "ticket", "closing");
  }
}
