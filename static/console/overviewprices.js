// @ts-check
/** In which sessions of the overview old prices value a trade, and since when: asked of the server
 * while they are shown, since no stream says it. */
import { callAll, pricesOf } from "./api.js";
import { touch } from "./frame.js";
import { isShut } from "./market.js";

const EVERY_MS = 2000;

/** What each session holds, and of which figures. @type {Map<number, { of: string,
 *   symbols: Set<string> }>} */
const held = new Map();
/** Since when a symbol's price is stale. @type {Map<string, string>} */
let stale = new Map();
/** @type {ReturnType<typeof setTimeout> | undefined} */
let timer;
/** One question at a time, however many sessions there are. */
let last = Promise.resolve();

/** @param {any} figures of a session */
export function noteHeld({ sessionId, totalTrades, openTrades }) {
  const of = `${totalTrades} ${openTrades}`;
  if (held.get(sessionId)?.of === of) return;
  held.set(sessionId, { of, symbols: new Set() });
  if (openTrades) last = last.then(() => askHeld(sessionId, of));
}

/** @param {number} sessionId @param {string} of */
async function askHeld(sessionId, of) {
  if (held.get(sessionId)?.of !== of) return; // it has changed again
  const path = `sessions/${sessionId}/trades?status=OPEN&limit=500`;
  const { ok, document } = await callAll(path, "trades");
  if (held.get(sessionId)?.of !== of) return;
  if (!ok)
    held.delete(sessionId); // the next figures ask again
  else {
    const symbols = document.trades.map((/** @type {any} */ { symbol }) => symbol);
    held.set(sessionId, { of, symbols: new Set(symbols) });
  }
}

async function askPrices() {
  const symbols = [...new Set([...held.values()].flatMap((one) => [...one.symbols]))];
  if (symbols.length) {
    const { ok, prices } = await pricesOf(symbols);
    const old = prices.filter((one) => one.stale && !isShut(one.symbol, one.source));
    if (ok) stale = new Map(old.map(({ symbol, asOf }) => [symbol, asOf]));
    touch("overview");
  }
  if (timer) timer = setTimeout(askPrices, EVERY_MS);
}

/** The oldest of the stale prices that value a session's trades.
 * @param {number} sessionId @returns {string | undefined} */
export const staleSince = (sessionId) =>
  [...(held.get(sessionId)?.symbols ?? [])]
    .flatMap((symbol) => stale.get(symbol) ?? [])
    .sort()
    .at(0);

/** @param {boolean} shown */
export function watchHeld(shown) {
  clearTimeout(timer);
  timer = shown ? setTimeout(askPrices, 0) : undefined;
  if (!shown) held.clear();
}
