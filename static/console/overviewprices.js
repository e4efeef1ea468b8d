// @ts-check
/** In which sessions of the overview old prices value a trade, and since when: asked of the server
 * while they are shown, since no stream says it. */
import { callAll, pricesOf } from "./api.js";
import { touch } from "./frame.js";
import { isShut } from "./market.js";

const EVERY_MS = 2000;

/** What each session holds as far as is known; its figures have changed since if not `isKnown`.
 * @type {Map<number, { of: string, symbols: Set<string>, isKnown: boolean }>} */
const held = new Map();
/** Since when a symbol's price is stale. @type {Map<string, string>} */
let stale = new Map();
/** Of the next look. @type {ReturnType<typeof setTimeout> | undefined} */
let timer;

/** @param {any} figures of a session */
export function noteHeld({ sessionId, totalTrades, openTrades }) {
  const of = `${totalTrades} ${openTrades}`;
  const before = held.get(sessionId);
  if (before?.of === of) return;
  const symbols = (openTrades && before?.symbols) || new Set();
  held.set(sessionId, { of, symbols, isKnown: !openTrades });
}

async function look() {
  const mine = timer;
  for (const [sessionId, one] of held) if (!one.isKnown) await askHeld(sessionId, one);
  await askPrices();
  if (timer === mine) timer = setTimeout(look, EVERY_MS);
}

/** What cannot be found out now is asked for again: figures that stand still come once.
 * @param {number} sessionId @param {{ symbols: Set<string>, isKnown: boolean }} holding */
async function askHeld(sessionId, holding) {
  const path = `sessions/${sessionId}/trades?status=OPEN&limit=500`;
  const { ok, document } = await callAll(path, "trades");
  if (!ok) return;
  const symbols = document.trades.map((/** @type {any} */ { symbol }) => symbol);
  Object.assign(holding, { symbols: new Set(symbols), isKnown: true });
}

async function askPrices() {
  const symbols = [...new Set([...held.values()].flatMap((one) => [...one.symbols]))];
  if (!symbols.length) return;
  const { ok, prices } = await pricesOf(symbols);
  const old = prices.filter((one) => one.stale && !isShut(one.symbol, one.source));
  if (ok) stale = new Map(old.map(({ symbol, asOf }) => [symbol, asOf]));
  touch("overview");
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
  timer = shown ? setTimeout(look, 0) : undefined;
  if (!shown) held.clear();
}
