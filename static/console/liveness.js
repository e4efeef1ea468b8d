// @ts-check
/** Whether what is on screen is true now: the line, and the prices behind the P&L. */
import { nowMs } from "./latency.js";
import { isShut } from "./market.js";
import { model } from "./model.js";
import { client } from "./stream.js";

/** A line that is quiet for so long is pinged, if that is possible. */
const QUIET_MS = 1500;
/** A line is silent this long after the last sign of life. */
const SILENT_MS = 4000;
/** It is silent this long after its next message was due, too: over SSE a live server does not
 * mean a live line. */
const LATE_MS = 3000;
const TICK_MS = 500;
const LIVEZ = new URL("../../livez", import.meta.url);
/** When the unanswered ping was sent. @type {number | null} */
let askedMs = null;
/** When the server last answered a request that was sent because a stream was quiet. */
let answeredAt = -Infinity;
let isAsking = false;

const quietMs = () => performance.now() - model.heardAt;
/** Since the server last gave a sign of life. */
const lifelessMs = () => Math.min(quietMs(), performance.now() - answeredAt);

/** One ping at a time, so that an answer belongs to its question.
 * @returns {boolean} can it be asked? */
export function ask() {
  const sentMs = nowMs();
  if (askedMs === null && client.ping()) askedMs = sentMs;
  return client.status.transport === "ws";
}

/** @returns {number | null} when the ping was sent that is now answered, or lost */
export function answered() {
  const sentMs = askedMs;
  askedMs = null;
  return sentMs;
}

/** Open, but nothing comes any more: the server stands still, or the network is gone. */
export function silentForMs() {
  if (client.status.state !== "open") return 0;
  const expected = model.sessionId !== null || [...model.prices.values()].some(Boolean);
  const isOverdue = client.status.transport === "sse" && quietMs() > model.intervalMs + LATE_MS;
  return expected && (isOverdue || lifelessMs() > SILENT_MS) ? quietMs() : 0;
}

export const isLive = () => client.status.state === "open" && silentForMs() === 0;

/** @returns {boolean} the whole feed; what it sends may be too old to trigger anything */
export const feedIsLate = () => model.feed !== null && model.feed.state !== "LIVE";

/** The source of a trade's price, as far as this page knows. @param {string} symbol */
export const sourceOf = (symbol) => model.prices.get(symbol)?.source ?? model.feed?.source;

/** An old price values the trade, which is not just the close.
 * @param {import("./model.js").Position} trade */
export const isStale = ({ symbol, stale }) => Boolean(stale) && !isShut(symbol, sourceOf(symbol));

/** Open trades that an old price values, other than the close. */
export const staleTrades = () => [...model.open.values()].filter(isStale);

/** Open trades that the close values, until their market opens. */
export const shutTrades = () =>
  [...model.open.values()].filter((trade) => trade.stale && !isStale(trade));

/** @returns {boolean} the P&L is made of old prices */
export const pnlIsOld = () => model.open.size > 0 && (feedIsLate() || staleTrades().length > 0);

/** @type {Worker | null} */
let ticker = null;

/**
 * Calls back twice a second, in hidden tabs too: browsers slow a page's own timers down there, to
 * one a minute after a while, but not those of a worker.
 * @param {() => void} listener
 */
export function everyHalfSecond(listener) {
  if (ticker === null) {
    ticker = new Worker(new URL("./ticker.js", import.meta.url));
    ticker.postMessage(TICK_MS);
  }
  ticker.addEventListener("message", listener);
}

/** Keeps asking a quiet line, so that one with a long interval is not silent unnoticed. */
export function watch() {
  if (client.status.state === "open" && lifelessMs() > QUIET_MS && !ask()) askServer();
}

/** An event stream cannot be pinged, but its server can be asked beside it. */
async function askServer() {
  if (isAsking) return;
  isAsking = true;
  try {
    const { ok } = await fetch(LIVEZ, { signal: AbortSignal.timeout(SILENT_MS) });
    if (ok) answeredAt = performance.now();
  } catch {
    /* no sign of life */
  }
  isAsking = false;
}
