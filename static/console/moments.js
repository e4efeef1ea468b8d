// @ts-check
/** What of a session's past belongs into a chart: fills of a symbol, halts, square-offs. */
import { whole } from "./format.js";
import { inWords } from "./words.js";

/** @typedef {import("./candles.js").Fill} Fill */
/** @typedef {import("./candles.js").Moment} Moment */

const FILLS = new Set(["trade_opened", "trade_reduced", "trade_closed"]);
/** A rule that trips closes each trade by itself: all of that is one moment. */
const SAME_MS = 60_000;
const MOST_LETTERS = 40;

/** @param {string} symbol @param {any[]} events @returns {Fill[]} in the order of the events */
export function fillsOf(symbol, events) {
  return events
    .filter(({ type, data }) => FILLS.has(type) && data.symbol === symbol)
    .map(({ type, data }) => {
      const isEntry = type === "trade_opened";
      const side = isEntry === (data.side === "BUY") ? "BUY" : "SELL";
      const quantity = isEntry ? data.quantity : (data.closedQuantity ?? data.quantity);
      return {
        atMs: Date.parse(data.timestamp),
        side,
        quantity,
        text: `${side} ${whole(quantity)}`,
      };
    });
}

/** Whether it halted the session: later changes of a halted one repeat that it is.
 * @param {any} data of a `session_changed` @param {any} before of the one before it */
const isHalt = ({ status, statusReason, reason }, before) =>
  status === "HALTED" &&
  reason === statusReason &&
  !(before?.status === "HALTED" && before.statusReason === statusReason);

/** @param {string | null} detail as somebody typed it */
function shortened(detail) {
  if (!detail) return "";
  return `: ${detail.length > MOST_LETTERS ? `${detail.slice(0, MOST_LETTERS)}…` : detail}`;
}

/** @param {any} event @param {any} before the `session_changed` before it
 * @returns {{ why: string, text: string } | null} */
function occasion({ type, data }, before) {
  const { reason, detail, exitReason, exitDetail } = data;
  if (type === "session_changed" && isHalt(data, before))
    return { why: reason, text: `Halted, ${inWords(reason)}${shortened(detail)}` };
  if (type === "session_changed" && reason === "LOCK_ARMED")
    return { why: reason, text: "Profit lock armed" };
  if (type !== "trade_closed") return null;
  if (exitReason === "SQUARE_OFF") return { why: exitReason, text: "Squared off" };
  // Under a halt by hand a rule closes without halting anew.
  if (exitReason === "RISK" && exitDetail)
    return { why: exitDetail, text: `Closed, ${inWords(exitDetail)}` };
  return null;
}

/** @param {any[]} events of a session, oldest first @returns {Moment[]} */
export function momentsOf(events) {
  /** @type {(Moment & { why: string })[]} */
  const found = [];
  /** @type {any} */
  let before = null;
  for (const event of events) {
    const what = occasion(event, before);
    if (event.type === "session_changed") before = event.data;
    if (!what) continue;
    const atMs = Date.parse(event.data.timestamp);
    const same = found.findLast(({ why }) => why === what.why);
    if (!same || atMs - same.atMs > SAME_MS) found.push({ atMs, ...what });
  }
  return found.map(({ atMs, text }) => ({ atMs, text }));
}
