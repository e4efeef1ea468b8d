// @ts-check
import { toPaisa } from "./numbers.js";

/** What an event has added to the realised P&L: of a close after partial ones, the last part.
 * @param {string} type @param {any} data */
export function earned(type, data) {
  if (type === "trade_reduced") return data.pnl;
  if (type !== "trade_closed") return 0;
  if (!data.closedQuantity) return data.pnl;
  const sign = data.side === "BUY" ? 1 : -1;
  return toPaisa((data.exitPrice - data.entryPrice) * data.closedQuantity * sign);
}

/**
 * How the realised P&L came to what a session's document says.
 * @param {any} session @param {any[]} events the newest ones, in order
 * @returns {import("./series.js").Point[]}
 */
function closings(session, events) {
  const known = events.filter(({ seq }) => seq <= session.seq);
  const pnls = known.map(({ type, data }) => earned(type, data));
  let sum = session.totalPnL - pnls.reduce((total, pnl) => total + pnl, 0);
  /** @type {import("./series.js").Point[]} */
  const points =
    known.length || sum ? [{ t: Date.parse((known[0]?.data ?? session).timestamp), v: sum }] : [];
  known.forEach(({ type, data }, index) => {
    sum += pnls[index];
    if (type === "trade_closed" || type === "trade_reduced")
      points.push({ t: Date.parse(data.timestamp), v: sum, gap: true });
  });
  return points;
}

const MINUTE_MS = 60_000;
/** So late the row of a minute is there at last. */
const ROW_COMES_MS = MINUTE_MS + 5000;

/**
 * What was before the page: today's rows of the store, and before these each closing.
 * @param {any} session @param {any[]} events the newest ones, in order @param {any[]} rows
 */
export function pastCurve(session, events, rows) {
  const stored = storedCurve(rows);
  const first = stored[0]?.t ?? Infinity;
  const before = closings(session, events).filter(({ t }) => t < first);
  if (before.length && stored.length) stored[0].gap = true;
  return [...before, ...stored];
}

/** Whether the page began to watch within the minute after the newest row, so that nothing but its
 * way from there is unknown. @param {any[]} rows @param {number} t */
export const follows = (rows, t) =>
  rows.length > 0 && t - Date.parse(rows[rows.length - 1].at) <= ROW_COMES_MS;

/**
 * A session's curve from the store; where a minute is missing, nothing is known.
 * @param {any[]} rows
 * @returns {import("./series.js").Point[]}
 */
function storedCurve(rows) {
  return rows.map(({ at, realizedPnL, unrealizedPnL }, index) => {
    const t = Date.parse(at);
    const away = index > 0 && t - Date.parse(rows[index - 1].at) > MINUTE_MS;
    return { t, v: realizedPnL + unrealizedPnL, away };
  });
}
