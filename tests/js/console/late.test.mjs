/** Answers that come after what they tell of has changed, and clocks that are wrong. */
import assert from "node:assert/strict";
import test, { beforeEach } from "node:test";
import { serve } from "./page.mjs";

const {
  begin,
  model,
  noteAnswer,
  noteDocument,
  noteGuards,
  noteOpened,
  noteOrder,
  notePast,
  noteReduced,
} = await import("../../../static/console/model.js");
const { noteServerTime, serverNowMs } = await import("../../../static/console/clock.js");
const { refusalOf } = await import("../../../static/console/refusals.js");
const { halfOf, learnLot } = await import("../../../static/console/lots.js");

const OPEN = { sessionId: 6, tradeId: 7, symbol: "NIFTY", quantity: 100, entryPrice: 50 };

beforeEach(() => begin(6));

test("a late answer makes no position larger than the stream has told", () => {
  noteOpened({ seq: 1, data: OPEN });
  noteReduced({ seq: 2, data: { ...OPEN, quantity: 50, pnl: 0 } });
  noteAnswer({ ...OPEN, quantity: 80, status: "OPEN" }); // of a part that was closed before that
  assert.equal(model.open.get(7)?.quantity, 50);
});

test("a late answer puts no guard back that has moved since", () => {
  const at = (/** @type {number} */ second) => `2026-11-27T06:00:0${second}.000Z`;
  noteOpened({ seq: 1, data: { ...OPEN, stopLoss: 40, timestamp: at(1) } });
  noteAnswer({ ...OPEN, stopLoss: 41, timestamp: at(3), status: "OPEN" }); // before its event
  assert.equal(model.open.get(7)?.stopLoss, 41);
  noteGuards({ seq: 2, data: { ...OPEN, stopLoss: 41, timestamp: at(3) } });
  noteGuards({ seq: 3, data: { ...OPEN, stopLoss: 45, timestamp: at(2) } }); // of an earlier tick
  noteAnswer({ ...OPEN, stopLoss: 41, timestamp: at(3), status: "OPEN" });
  assert.equal(model.open.get(7)?.stopLoss, 45);
});

test("a late answer moves no entry back", () => {
  const order = { sessionId: 6, orderId: 9, price: 95, timestamp: "2026-11-27T06:00:00.002Z" };
  noteOrder(order);
  noteOrder({ ...order, price: 94, timestamp: "2026-11-27T06:00:00.001Z", status: "PENDING" });
  assert.equal(model.orders.get(9).price, 95);
});

test("an older document of the session replaces no newer one", () => {
  const older = { sessionId: 6, seq: 8, rules: {}, totalPnL: 0 };
  noteDocument({ ...older, seq: 9, rules: { maxOpenTrades: 5 } }); // before the past has come
  notePast(older, [], [], [], []);
  noteDocument(older);
  noteDocument({ ...older, sessionId: 7, seq: 10 });
  assert.deepEqual(model.session.rules, { maxOpenTrades: 5 });
  noteDocument({ ...older, seq: 9 }); // counts of today change without an event
  assert.deepEqual(model.session.rules, {});
});

test("times are those of the server, however wrong the browser's clock is", () => {
  assert.ok(Math.abs(serverNowMs() - Date.now()) < 1000); // before it has said any
  for (const lateMs of [30, 4000, 200])
    noteServerTime(new Date(Date.now() - 420_000 - lateMs).toISOString());
  assert.ok(Math.abs(Date.now() - serverNowMs() - 420_030) < 1000);
  const cooldownUntil = new Date(Date.now() - 300_000).toISOString(); // two minutes from now there
  model.session = { rules: { cooldownSeconds: 180 }, today: { cooldownUntil } };
  assert.match(refusalOf({ quantity: 1 }, 100), /a pause after a loss lasts until/);
});

test("half of a position is whole lots, and never nothing", async () => {
  serve({ "GET instruments?symbols=NIFTY": [[200, { instruments: [{ lot: 65, tick: 0.05 }] }]] });
  await learnLot("NIFTY");
  const halves = [260, 195, 130, 100, 65, 3].map((quantity) => halfOf("NIFTY", quantity));
  assert.deepEqual(halves, [130, 65, 65, 50, 32, 1]);
});
