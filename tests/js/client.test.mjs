import assert from "node:assert/strict";
import { beforeEach, describe, it } from "node:test";

import { VyomoClient } from "../../static/vyomo-rt.js";
import { FakeEventSource, FakeWebSocket, figures, opened } from "./fakes.mjs";

const sockets = FakeWebSocket.made;
const streams = FakeEventSource.made;
const turn = () => new Promise((done) => setImmediate(done));

/** A client with all that it emitted; its timers stand still until the test moves them. */
function start(t, options = {}) {
  t.mock.timers.enable({ apis: ["setTimeout", "setInterval"] });
  t.mock.method(Math, "random", () => 0.5);
  const client = new VyomoClient({
    url: "http://localhost:4025", WebSocket: FakeWebSocket, EventSource: FakeEventSource, ...options,
  });
  const heard = [];
  const states = [];
  client.on("message", (message) => heard.push(message));
  client.on("status", (status) => states.push(status));
  return { client, heard, states, seqs: () => heard.filter(isTrade).map(({ seq }) => seq) };
}

const isTrade = ({ type }) => type.startsWith("trade_");

/** A client that follows session 6, of which `seq` events were known when it subscribed. */
function following(t, { seq = 10, ...options } = {}) {
  const started = start(t, options);
  started.client.subscribeSession(6);
  started.client.connect();
  const position = { sessionId: 6, seq, epoch: "e1" };
  if (options.transport === "sse") streams.at(-1).open(position);
  else {
    sockets.at(-1).open();
    sockets.at(-1).ack(position);
  }
  return started;
}

beforeEach(() => { sockets.length = streams.length = 0; });

describe("subscriptions", () => {
  it("made before connecting are sent at open", (t) => {
    const { client } = start(t);
    client.subscribeSession(6, { types: ["trade_opened"], updateInterval: 500 });
    client.subscribePrices([" nifty", "TCS"], { priceInterval: 300, onlyChanges: true });
    client.connect();
    sockets[0].open();
    assert.equal(sockets[0].url.href, "ws://localhost:4025/ws/auto-trader");
    assert.deepEqual(sockets[0].sent, [
      { type: "subscribe_session", id: 1, sessionId: 6, types: ["trade_opened"], updateInterval: 500 },
      { type: "subscribe_prices", id: 2, symbols: ["NIFTY", "TCS"], priceInterval: 300, onlyChanges: true },
    ]);
  });

  it("made while open are sent at once, and each only once", (t) => {
    const { client } = start(t);
    client.on("status", ({ state }) => { if (state === "open") client.subscribeSession(7); });
    client.connect();
    sockets[0].open();
    client.unsubscribeSession();
    client.unsubscribePrices(["NIFTY"]);
    assert.deepEqual(sockets[0].sent.map(({ type }) => type),
      ["subscribe_session", "unsubscribe_session", "unsubscribe_prices"]);
  });

  it("that the server refused are forgotten, and the confirmed ones kept", (t) => {
    const { client } = following(t);
    const [socket] = sockets;
    client.subscribePrices(["NIFTY"]);
    const [, prices] = socket.sent;
    client.subscribeSession(99);
    socket.ack({ sessionId: 6, seq: 10, epoch: "e1", symbols: ["NIFTY"] }, prices);
    socket.say({ type: "error", id: socket.sent.at(-1).id, code: "not_found", message: "no session 99" });
    socket.say(opened(11));
    socket.drop();
    t.mock.timers.tick(500);
    sockets[1].open();
    assert.deepEqual(sockets[1].sent.map(({ sessionId, since, symbols }) => ({ sessionId, since, symbols })), [
      { sessionId: 6, since: 11, symbols: undefined },
      { sessionId: undefined, since: undefined, symbols: ["NIFTY"] },
    ]);
  });

  it("that the server can't take now are sent again when it said", (t) => {
    const { client } = start(t);
    client.connect();
    sockets[0].open();
    client.subscribeSession(6);
    sockets[0].say({ type: "error", id: 1, code: "unavailable", message: "the store is away", retryAfterMs: 700 });
    t.mock.timers.tick(699);
    assert.equal(sockets[0].sent.length, 1);
    t.mock.timers.tick(1);
    assert.deepEqual(sockets[0].sent[1], { type: "subscribe_session", id: 2, sessionId: 6 });
  });
});

describe("resumption", () => {
  it("is not set back by an event that overtakes a repeated command", (t) => {
    const { client, seqs } = following(t);
    const [socket] = sockets;
    client.subscribePrices(["NIFTY"]);
    socket.say({ type: "error", id: 2, code: "unavailable", message: "away", retryAfterMs: 100 });
    t.mock.timers.tick(100);
    const [, , session, prices] = socket.sent;
    assert.equal(session.since, 10);
    socket.say(opened(11));
    socket.ack({ sessionId: 6, seq: 10, epoch: "e1", recovered: true }, session);
    for (const seq of [11, 12]) socket.say(opened(seq));
    assert.deepEqual(seqs(), [11, 12]);
    // With everything answered, the server's word counts again.
    socket.ack({ sessionId: 6, seq: 12, epoch: "e1", symbols: [], unknown: ["NIFTY"] }, prices);
    socket.drop();
    t.mock.timers.tick(500);
    sockets[1].open();
    assert.equal(sockets[1].sent.length, 1);
  });

  it("goes on after the last event that was delivered", (t) => {
    following(t);
    sockets[0].say(opened(11));
    sockets[0].say(figures(11));
    sockets[0].drop();
    t.mock.timers.tick(500);
    sockets[1].open();
    assert.deepEqual(sockets[1].sent[0], {
      type: "subscribe_session", id: 2, sessionId: 6, since: 11, epoch: "e1", updateInterval: 2000,
      types: ["session_update", "pnl_update", "trade_opened", "trade_closed"],
    });
  });

  it("delivers no event twice", (t) => {
    const { seqs } = following(t);
    for (const seq of [11, 12]) sockets[0].say(opened(seq));
    sockets[0].drop();
    t.mock.timers.tick(500);
    sockets[1].open();
    sockets[1].ack({ sessionId: 6, seq: 12, epoch: "e1", recovered: true });
    for (const seq of [11, 12, 13]) sockets[1].say(opened(seq));
    assert.deepEqual(seqs(), [11, 12, 13]);
  });

  it("takes the new history when the old one is gone", (t) => {
    const { client, seqs } = following(t);
    sockets[0].drop();
    t.mock.timers.tick(500);
    sockets[1].open();
    sockets[1].ack({ sessionId: 6, seq: 2, epoch: "e2", recovered: false });
    sockets[1].say(opened(3));
    assert.deepEqual(seqs(), [3]);
    assert.deepEqual(client.position, { sessionId: 6, seq: 3, epoch: "e2" });
  });

  it("survives a cut between two answers", (t) => {
    const { client } = start(t);
    client.subscribeSession(6);
    client.subscribePrices(["NIFTY"]);
    client.connect();
    sockets[0].open();
    sockets[0].ack({ sessionId: 6, seq: 10, epoch: "e1" }, sockets[0].sent[0]);
    sockets[0].drop();
    t.mock.timers.tick(500);
    sockets[1].open();
    const [session, prices] = sockets[1].sent;
    assert.equal(session.since, 10);
    assert.deepEqual(prices.symbols, ["NIFTY"]);
  });

  it("starts where the page says, if it says so", (t) => {
    const { client, seqs } = following(t);
    client.subscribeSession(6, { since: 4, epoch: "e1" });
    assert.equal(sockets[0].sent[1].since, 4);
    sockets[0].ack({ sessionId: 6, seq: 4, epoch: "e1", recovered: true });
    sockets[0].say(opened(5));
    assert.deepEqual(seqs(), [5]);
  });

  it("is not asked for by a fresh subscription of the same session", (t) => {
    const { client } = following(t);
    client.subscribeSession(6);
    assert.equal(sockets[0].sent[1].since, undefined);
    sockets[0].ack({ sessionId: 6, seq: 14, epoch: "e1" });
    assert.equal(client.position.seq, 14);
  });

  it("ends with the subscription", (t) => {
    const { client } = following(t);
    client.unsubscribeSession();
    sockets[0].ack({});
    assert.equal(client.position, null);
  });

  it("carries over to another transport and through a close", (t) => {
    const { client } = following(t);
    sockets[0].say(opened(11));
    client.close();
    client.connect("sse");
    assert.equal(streams[0].url.searchParams.get("lastEventId"), "6-11-e1");
  });

  it("ignores what a connection says after it was given up", (t) => {
    const { client, heard } = following(t);
    const said = heard.length;
    client.close();
    sockets[0].say(opened(11));
    assert.equal(heard.length, said);
    assert.equal(client.position.seq, 10);
  });
});

describe("reconnection", () => {
  it("waits up to 1, 2, 4 … 30 seconds with full jitter", (t) => {
    const { client, states } = start(t, { transport: "ws" });
    client.connect();
    for (let attempt = 0; attempt < 8; attempt++) {
      sockets.at(-1).drop();
      t.mock.timers.tick(states.at(-1).retryInMs);
    }
    const waits = states.filter(({ state }) => state === "waiting").map(({ retryInMs }) => retryInMs);
    assert.deepEqual(waits, [500, 1000, 2000, 4000, 8000, 15000, 15000, 15000]);
    Math.random.mock.mockImplementation(() => 0);
    sockets.at(-1).drop();
    assert.equal(states.at(-1).retryInMs, 0);
  });

  it("starts over with short waits after a connection that worked", (t) => {
    const { states } = following(t);
    for (let attempt = 0; attempt < 5; attempt++) {
      sockets.at(-1).drop();
      t.mock.timers.tick(states.at(-1).retryInMs);
    }
    sockets.at(-1).open();
    sockets.at(-1).ack({ sessionId: 6, seq: 10, epoch: "e1", recovered: true });
    sockets.at(-1).drop(4001);
    assert.equal(states.at(-1).retryInMs, 500);
  });

  it("does not count a connection that was refused at once as one that worked", (t) => {
    const { client, states } = start(t);
    client.connect();
    for (const wait of [500, 1000, 2000]) {
      sockets.at(-1).open();
      sockets.at(-1).say({ type: "error", code: "limit_exceeded", message: "too many connections" });
      sockets.at(-1).drop(4504);
      assert.equal(states.at(-1).retryInMs, wait);
      t.mock.timers.tick(wait);
    }
  });

  it("comes when the server said that it restarts, on both transports", (t) => {
    for (const transport of ["ws", "sse"]) {
      const { states, client } = following(t, { transport });
      const link = (transport === "ws" ? sockets : streams).at(-1);
      link.say({ type: "server_shutdown", data: { reconnectAfterMs: 3456 } });
      link.drop(4001);
      assert.equal(states.at(-1).retryInMs, 3456);
      client.close();
      t.mock.timers.reset();
      t.mock.restoreAll();
    }
  });

  for (const code of [1009, 4500, 4502, 4503, 4507, 4509]) {
    it(`does not come back after ${code}`, (t) => {
      const { states } = following(t);
      sockets[0].drop(code, "no");
      t.mock.timers.tick(60_000);
      assert.deepEqual(states.at(-1), { state: "closed", transport: "ws", detail: "no", code });
      assert.equal(sockets.length, 1);
    });
  }

  for (const code of [1000, 1001, 1006, 1012, 4001, 4005, 4008, 4012, 4013, 4504]) {
    it(`comes back after ${code}`, (t) => {
      following(t);
      sockets[0].drop(code);
      t.mock.timers.tick(500);
      assert.equal(sockets.length, 2);
    });
  }

  it("ends with close, also while waiting", (t) => {
    const { client, states } = following(t);
    sockets[0].drop();
    client.close();
    t.mock.timers.tick(60_000);
    assert.equal(sockets.length, 1);
    assert.equal(states.at(-1).state, "closed");
  });

  it("comes at once when the machine is online again", (t) => {
    const page = new EventTarget();
    for (const name of ["addEventListener", "removeEventListener"]) {
      globalThis[name] = page[name].bind(page);
      t.after(() => { delete globalThis[name]; });
    }
    const { client } = following(t);
    sockets[0].drop();
    page.dispatchEvent(new Event("online"));
    assert.equal(sockets.length, 2);
    sockets[1].drop(4503);
    page.dispatchEvent(new Event("online"));
    assert.equal(sockets.length, 2);
    client.close();
  });

  it("asks a silent server, then gives the connection up", (t) => {
    const { states } = following(t);
    t.mock.timers.tick(30_000);
    assert.equal(sockets[0].sent.at(-1).type, "ping");
    sockets[0].say({ type: "pong", timestamp: "" });
    t.mock.timers.tick(30_000);
    assert.equal(states.at(-1).state, "open");
    t.mock.timers.tick(15_000);
    assert.equal(states.at(-1).detail, "the server fell silent");
  });
});

describe("fallback", () => {
  it("goes to SSE when WebSocket failed twice, and says so", (t) => {
    const { client, states } = start(t);
    client.subscribeSession(6);
    client.connect();
    sockets[0].drop();
    t.mock.timers.tick(500);
    sockets[1].drop();
    assert.equal(states.at(-1).detail, "WebSocket could not be opened, trying SSE");
    t.mock.timers.tick(1000);
    assert.equal(sockets.length, 2);
    streams[0].open({ sessionId: 6, seq: 10, epoch: "e1" });
    assert.equal(client.status.transport, "sse");
    assert.equal(client.status.state, "open");
  });

  it("goes back to WebSocket when SSE failed as well", async (t) => {
    t.mock.method(globalThis, "fetch", async () => { throw new TypeError("refused"); });
    const { client, states } = start(t);
    client.subscribeSession(6);
    client.connect();
    for (const made of [sockets, sockets, streams, streams]) {
      if (made === sockets) made.at(-1).drop();
      else made.at(-1).refuse();
      await turn();
      t.mock.timers.tick(states.at(-1).retryInMs);
    }
    assert.equal(sockets.length, 3);
  });

  it("keeps to WebSocket once that has worked", (t) => {
    const { states } = following(t);
    for (let attempt = 0; attempt < 5; attempt++) {
      sockets.at(-1).drop();
      t.mock.timers.tick(states.at(-1).retryInMs);
    }
    assert.equal(streams.length, 0);
  });

  it("is not taken when the page chose WebSocket", (t) => {
    const { client, states } = start(t, { transport: "ws" });
    client.subscribeSession(6);
    client.connect();
    for (let attempt = 0; attempt < 3; attempt++) {
      sockets.at(-1).drop();
      t.mock.timers.tick(states.at(-1).retryInMs);
    }
    assert.equal(streams.length, 0);
  });

  it("is taken at once where there is no WebSocket", (t) => {
    const { WebSocket } = globalThis;
    t.after(() => { globalThis.WebSocket = WebSocket; });
    globalThis.WebSocket = undefined;
    const { client } = start(t, { WebSocket: undefined });
    client.subscribeSession(6);
    client.connect();
    assert.equal(streams.length, 1);
  });
});

describe("SSE", () => {
  it("opens one stream for all changes of a turn", async (t) => {
    const { client, states } = start(t, { transport: "sse" });
    client.connect();
    assert.equal(states.at(-1).detail, "nothing is subscribed yet");
    client.subscribeSession(6, { types: ["trade_opened", "pnl_update"] });
    client.subscribePrices(["M&M", "TCS"], { priceInterval: 300 });
    await turn();
    assert.equal(streams.length, 1);
    assert.deepEqual(Object.fromEntries(streams[0].url.searchParams), {
      sessionId: "6", types: "trade_opened,pnl_update", symbols: "M&M,TCS", priceInterval: "300",
    });
  });

  it("reopens with the whole subscription and its position", async (t) => {
    const { client, seqs } = following(t, { transport: "sse" });
    streams[0].say(opened(11));
    client.subscribePrices(["NIFTY"]);
    await turn();
    assert.equal(streams[0].readyState, 2);
    const { searchParams } = streams[1].url;
    assert.equal(searchParams.get("lastEventId"), "6-11-e1");
    assert.equal(searchParams.get("symbols"), "NIFTY");
    streams[1].open({ sessionId: 6, seq: 11, epoch: "e1", recovered: true, symbols: ["NIFTY"] });
    for (const seq of [11, 12]) streams[1].say(opened(seq));
    assert.deepEqual(seqs(), [11, 12]);
  });

  it("closes when nothing is subscribed any more", async (t) => {
    const { client, states } = following(t, { transport: "sse" });
    client.unsubscribeSession();
    await turn();
    assert.equal(streams[0].readyState, 2);
    assert.equal(streams.length, 1);
    assert.equal(states.at(-1).state, "waiting");
  });

  it("backs off itself after a dropped line", (t) => {
    const { states } = following(t, { transport: "sse" });
    streams[0].drop();
    assert.equal(streams[0].readyState, 2);
    assert.equal(states.at(-1).retryInMs, 500);
    t.mock.timers.tick(500);
    assert.equal(streams[1].url.searchParams.get("lastEventId"), "6-10-e1");
  });

  it("emits a server_error as error and waits as long as it says", (t) => {
    const { heard, states } = following(t, { transport: "sse" });
    streams[0].say({ type: "error", code: "unavailable", message: "the store is away", retryAfterMs: 4000 });
    streams[0].drop();
    assert.equal(heard.at(-1).type, "error");
    assert.deepEqual([states.at(-1).detail, states.at(-1).retryInMs], ["the store is away", 4000]);
  });

  const problem = (status) => async () => new Response(
    JSON.stringify({ status, code: "not_found", detail: "no session 99" }),
    { status, headers: { "Content-Type": "application/problem+json" } });

  it("tells why it was refused and goes back to what was confirmed", async (t) => {
    t.mock.method(globalThis, "fetch", problem(404));
    const { client, heard } = following(t, { transport: "sse" });
    client.subscribeSession(99);
    await turn();
    streams[1].refuse();
    await turn();
    assert.deepEqual(heard.at(-1), {
      type: "error", code: "not_found", message: "no session 99", command: "subscribe_session",
    });
    assert.equal(streams[2].url.searchParams.get("lastEventId"), "6-10-e1");
  });

  it("closes for good when what was confirmed is refused", async (t) => {
    t.mock.method(globalThis, "fetch", problem(404));
    const { client, states } = following(t, { transport: "sse" });
    streams[0].drop();
    t.mock.timers.tick(500);
    streams[1].refuse();
    await turn();
    assert.deepEqual([client.status.state, states.at(-1).detail], ["closed", "no session 99"]);
  });

  it("backs off when a proxy answers for a server that restarts", async (t) => {
    t.mock.method(globalThis, "fetch", async () => new Response("Bad gateway", { status: 502 }));
    const { states } = following(t, { transport: "sse" });
    streams[0].refuse();
    await turn();
    assert.deepEqual([states.at(-1).state, states.at(-1).detail], ["waiting", "HTTP 502"]);
  });

  it("has no ping", (t) => {
    const { client } = following(t, { transport: "sse" });
    assert.equal(client.ping(), false);
  });
});

describe("listeners", () => {
  it("hear their type, and all messages as `message`, until they end", (t) => {
    const { client, heard } = following(t);
    const seen = [];
    const end = client.on("trade_opened", ({ seq }) => seen.push(seq));
    sockets[0].say(opened(11));
    end();
    sockets[0].say(opened(12));
    assert.deepEqual(seen, [11]);
    assert.deepEqual(heard.map(({ type }) => type), ["ack", "trade_opened", "trade_opened"]);
  });
});
