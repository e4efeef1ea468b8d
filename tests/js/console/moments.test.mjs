/** What of a session's past is marked in a chart. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { slotOf } from "../../../static/console/bars.js";
import { nearestTick, ticksFrom } from "../../../static/console/lots.js";
import { momentsOf } from "../../../static/console/moments.js";

const at = (/** @type {number} */ minute) =>
  new Date(Date.UTC(2026, 0, 5, 5, minute)).toISOString();
/** @param {number} minute @param {string} status @param {string} statusReason
 * @param {string} [reason] @param {string | null} [detail] */
const changed = (minute, status, statusReason, reason = statusReason, detail = null) => ({
  type: "session_changed",
  data: { status, statusReason, reason, detail, timestamp: at(minute) },
});
/** @param {number} minute @param {string} exitReason @param {string} [exitDetail] */
const closed = (minute, exitReason, exitDetail) => ({
  type: "trade_closed",
  data: { exitReason, exitDetail, timestamp: at(minute) },
});
const said = (/** @type {any[]} */ events) =>
  momentsOf(events).map(({ atMs, text }) => `${new Date(atMs).getUTCMinutes()} ${text}`);

test("each halt is a moment with its reason, and a rename of a halted session is none", () => {
  const events = [
    changed(1, "HALTED", "MANUAL", "MANUAL", "lunch"),
    changed(2, "HALTED", "MANUAL"), // another name
    changed(3, "ACTIVE", "MANUAL"),
    changed(4, "HALTED", "DAILY_LOSS"),
    changed(5, "HALTED", "DAILY_LOSS", "MANUAL"), // another name
    changed(6, "HALTED", "KILL"),
  ];
  assert.deepEqual(said(events), [
    "1 Halted, by hand: lunch",
    "4 Halted, daily loss",
    "6 Halted, kill switch",
  ]);
});

test("a rule that trips, and a square-off, is one moment however many trades it closes", () => {
  const events = [
    changed(1, "ACTIVE", "MANUAL", "LOCK_ARMED"),
    changed(2, "HALTED", "PROFIT_LOCK"),
    closed(2, "RISK", "PROFIT_LOCK"),
    closed(2, "RISK", "PROFIT_LOCK"),
    closed(20, "RISK", "DAILY_LOSS"), // under a halt by hand, which stays
    closed(30, "SQUARE_OFF"),
    closed(30, "SQUARE_OFF"),
    closed(31, "SL"),
  ];
  assert.deepEqual(said(events), [
    "1 Profit lock armed",
    "2 Halted, profit lock",
    "20 Closed, daily loss",
    "30 Squared off",
  ]);
});

test("a moment stands in its bar, or in the gap behind the last one", () => {
  const startMs = Date.UTC(2026, 0, 5, 4, 45);
  const bar = { startMs, open: 1, high: 1, low: 1, close: 1 };
  assert.equal(slotOf(bar, startMs + 299_999, "5m"), startMs);
  assert.equal(slotOf(bar, startMs + 700_000, "5m"), startMs + 600_000);
  assert.equal(slotOf(bar, startMs + 86_430_000, "5m"), startMs + 86_400_000);
});

test("a price between two ticks goes to the next one; a tick is 0.01 where none is known", () => {
  assert.equal(nearestTick("NIFTY", 100.032), 100.03);
  assert.equal(ticksFrom("NIFTY", 100.033, 1), 100.04);
  assert.equal(ticksFrom("NIFTY", 100.033, -1), 100.03);
  assert.equal(ticksFrom("NIFTY", 100.03, -10), 99.93);
  assert.equal(ticksFrom("NIFTY", 0.29, 1), 0.3);
});
