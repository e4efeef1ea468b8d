/** What is asked again when no answer came, and what is not. */
import assert from "node:assert/strict";
import test, { beforeEach } from "node:test";
import { serve } from "./page.mjs";

const { model, noteFigures } = await import("../../../static/console/model.js");
const { settle } = await import("../../../static/console/sending.js");

const LOST = [503, { detail: "the store is away" }];
const DONE = [200, { tradeId: 7, stopLoss: 92 }];
const LOG = "GET sessions/6/events?since=40";
const log = (...events) => [[200, { events }]];
const moved = (stopLoss) => ({ type: "trade_changed", data: { tradeId: 7, stopLoss, target: 9 } });
const changed = (status, reason) => ({
  type: "session_changed",
  data: { sessionId: 6, status, reason, rules: { maxDailyLoss: 500 } },
});
/** @param {string} method @param {string} path @param {object} [body] */
const sent = (method, path, body) => settle(method, path, body, () => {});
const methods = (asked) => asked.map(({ method }) => method);

const { setTimeout: really } = globalThis;
globalThis.setTimeout = /** @type {any} */ ((act, ms) => really(act, ms / 1000));

beforeEach(() => {
  model.sessionId = 6;
  noteFigures({ data: { sessionId: 6, totalPnL: 0, unrealizedPnL: 0, timestamp: "" }, seq: 40 });
});

test("a stop whose answer is lost is moved again if nothing happened to its trade", async () => {
  const asked = serve({ "PATCH trades/7": [LOST, DONE], [LOG]: log() });
  assert.equal((await sent("PATCH", "trades/7", { stopLoss: 92 })).ok, true);
  assert.deepEqual(methods(asked), ["PATCH", "GET", "PATCH"]);
});

test("a stop that was moved as asked, and then by somebody else, is not moved back", async () => {
  const asked = serve({
    "PATCH trades/7": [LOST],
    [LOG]: log(moved(92), moved(97)),
    "GET trades/7": [[200, { tradeId: 7, stopLoss: 97 }]],
  });
  const answer = await sent("PATCH", "trades/7", { stopLoss: 92 });
  assert.deepEqual([answer.ok, answer.document.stopLoss], [true, 97]);
  assert.deepEqual(methods(asked), ["PATCH", "GET", "GET"]);
});

test("what somebody else changed while no answer came is left as it is, and said", async () => {
  const asked = serve({ "PATCH trades/7": [LOST], [LOG]: log(moved(97)) });
  const { ok, passing, document } = await sent("PATCH", "trades/7", { stopLoss: 92 });
  assert.deepEqual([ok, passing], [false, false]);
  assert.match(document.detail, /changed by then: look/);
  assert.deepEqual(methods(asked), ["PATCH", "GET"]);
});

test("a session that is resumed and then killed by somebody else stays halted", async () => {
  const asked = serve({
    "PATCH sessions/6": [LOST],
    [LOG]: log(changed("ACTIVE", "MANUAL"), changed("HALTED", "KILL")),
    "GET sessions/6": [[200, { status: "HALTED" }]],
  });
  const { document } = await sent("PATCH", "sessions/6", { status: "ACTIVE" });
  assert.equal(document.status, "HALTED");
  assert.deepEqual(methods(asked), ["PATCH", "GET", "GET"]);
});

test("rules that were taken away or set are found in the log", async () => {
  const asked = serve({
    "PATCH sessions/6": [LOST],
    [LOG]: log(changed("ACTIVE", "MANUAL")),
    "GET sessions/6": [[200, {}]],
  });
  await sent("PATCH", "sessions/6", { rules: { maxDailyLoss: 500, dailyTarget: null } });
  assert.deepEqual(methods(asked), ["PATCH", "GET", "GET"]);
});

test("closing everything is not repeated over trades that were opened since", async () => {
  const close = { type: "trade_closed", data: { tradeId: 7, exitReason: "MANUAL" } };
  const halted = changed("HALTED", "KILL");
  for (const [halt, events] of [
    [true, [halted, close]],
    [false, [close]],
  ]) {
    const asked = serve({ "POST sessions/6/close-all": [LOST], [LOG]: log(...events) });
    const { document } = await sent("POST", "sessions/6/close-all", { halt });
    assert.deepEqual(document, { closed: [7], failed: [] });
    assert.deepEqual(methods(asked), ["POST", "GET"]);
  }
});

test("a line that was moved is found, though an entry has no document of its own", async () => {
  const placed = { type: "order_placed", data: { orderId: 9, price: 95 } };
  serve({ "PATCH orders/9": [LOST], [LOG]: log(placed) });
  assert.deepEqual((await sent("PATCH", "orders/9", { price: 95 })).document.order, placed.data);
});

test("an order is asked for by its key until it is known, also over a 429", async () => {
  const path = "sessions/6/trades";
  const asked = serve({ [`POST ${path}`]: [LOST, [429, { detail: "too many" }], DONE] });
  assert.equal((await sent("POST", path, {})).ok, true);
  assert.equal(new Set(asked.map(({ headers }) => headers["Idempotency-Key"])).size, 1);
  assert.deepEqual(methods(asked), ["POST", "POST", "POST"]);
});

test("who is signed out before an order is known hears that it may have been done", async () => {
  const path = "sessions/6/trades";
  serve({ [`POST ${path}`]: [LOST, [401, { detail: "the token has ended" }]] });
  const { ok, document } = await sent("POST", path, {});
  assert.equal(ok, false);
  assert.match(
    document.detail,
    /^nobody is signed in any more\. It may have been done before: look/,
  );
});
