import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { following, opened, sockets, start, streams, turn } from "./fakes.mjs";

describe("reconnection", () => {
  it("waits up to 1, 2, 4 … 10 seconds with full jitter", (t) => {
    const { client, states } = start(t, { transport: "ws" });
    client.connect();
    for (let attempt = 0; attempt < 8; attempt++) {
      sockets.at(-1).drop();
      t.mock.timers.tick(states.at(-1).retryInMs);
    }
    const waits = states
      .filter(({ state }) => state === "waiting")
      .map(({ retryInMs }) => retryInMs);
    assert.deepEqual(waits, [500, 1000, 2000, 4000, 5000, 5000, 5000, 5000]);
    Math.random.mock.mockImplementation(() => 0);
    sockets.at(-1).drop();
    assert.equal(states.at(-1).retryInMs, 0);
  });

  for (const transport of ["ws", "sse"]) {
    it(`starts over with short waits after a link that held for 5 s, on ${transport}`, (t) => {
      const { states } = following(t, { transport });
      const made = transport === "ws" ? sockets : streams;
      const position = { sessionId: 6, seq: 10, epoch: "e1", recovered: true };
      const comeBack = () => {
        t.mock.timers.tick(states.at(-1).retryInMs);
        made.at(-1).open(position);
        if (transport === "ws") made.at(-1).ack(position);
      };
      for (const wait of [500, 1000, 2000, 4000]) {
        made.at(-1).drop();
        assert.equal(states.at(-1).retryInMs, wait);
        comeBack();
        t.mock.timers.tick(4999); // answered, and lost again
      }
      t.mock.timers.tick(1);
      made.at(-1).drop();
      assert.equal(states.at(-1).retryInMs, 500);
    });
  }

  it("does not count a connection that was refused at once as one that worked", (t) => {
    const { client, states } = start(t);
    client.connect();
    for (const wait of [500, 1000, 2000]) {
      sockets.at(-1).open();
      sockets
        .at(-1)
        .say({ type: "error", code: "limit_exceeded", message: "too many connections" });
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

  for (const code of [1003, 1007, 1009, 4500, 4502, 4503, 4507, 4509]) {
    it(`does not come back after ${code}`, (t) => {
      const { states } = following(t);
      sockets[0].drop(code, "no");
      t.mock.timers.tick(60_000);
      assert.deepEqual(states.at(-1), { state: "closed", transport: "ws", detail: "no", code });
      assert.equal(sockets.length, 1);
    });
  }

  for (const code of [1000, 1001, 1002, 1006, 1012, 4001, 4005, 4008, 4012, 4013, 4504]) {
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

  it("asks a silent server, then gives the connection up", (t) => {
    const { states } = following(t);
    t.mock.timers.tick(30_000);
    assert.equal(sockets[0].sent.at(-1).type, "ping");
    sockets[0].say({ type: "pong", timestamp: "" });
    t.mock.timers.tick(30_000);
    assert.equal(states.at(-1).state, "open");
    t.mock.timers.tick(15_000);
    assert.equal(states.at(-1).detail, "the server fell silent");
    t.mock.timers.tick(500);
    sockets[1].open();
    t.mock.timers.tick(30_000);
    assert.equal(states.at(-1).state, "open");
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
    t.mock.method(globalThis, "fetch", async () => {
      throw new TypeError("refused");
    });
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
    t.after(() => {
      globalThis.WebSocket = WebSocket;
    });
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
      sessionId: "6",
      types: "trade_opened,pnl_update",
      symbols: "M&M,TCS",
      priceInterval: "300",
      keepAlive: "event",
    });
  });

  it("opens one stream for what was asked for just before connecting", async (t) => {
    const { client } = start(t);
    client.use("sse");
    client.subscribeSession(6);
    client.connect();
    await turn();
    assert.equal(streams.length, 1);
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

  it("emits a server_error as error and waits as long as it says, and its back-off", (t) => {
    const { heard, states } = following(t, { transport: "sse" });
    streams[0].say({
      type: "error",
      code: "unavailable",
      message: "the store is away",
      retryAfterMs: 4000,
    });
    streams[0].drop();
    assert.deepEqual([heard.at(-1).type, heard.at(-1).command], ["error", undefined]);
    assert.deepEqual([states.at(-1).detail, states.at(-1).retryInMs], ["the store is away", 4500]);
    t.mock.timers.tick(4500);
    streams[1].say({
      type: "error",
      code: "unavailable",
      message: "the store is away",
      retryAfterMs: 0,
    });
    streams[1].drop();
    assert.equal(states.at(-1).retryInMs, 1000);
  });

  const problem = (status) => async () =>
    new Response(JSON.stringify({ status, code: "not_found", detail: "no session 99" }), {
      status,
      headers: { "Content-Type": "application/problem+json" },
    });

  it("tells why it was refused and goes back to what was confirmed", async (t) => {
    t.mock.method(globalThis, "fetch", problem(404));
    const { client, heard } = following(t, { transport: "sse" });
    client.subscribeSession(99);
    await turn();
    streams[1].refuse();
    await turn();
    assert.deepEqual(heard.at(-1), {
      type: "error",
      code: "not_found",
      message: "no session 99",
      command: "subscribe_session",
    });
    assert.equal(streams[2].url.searchParams.get("lastEventId"), "6-10-e1");
  });

  it("keeps what is wanted where nobody is signed in any more", async (t) => {
    t.mock.method(globalThis, "fetch", problem(401));
    const { client, heard } = following(t, { transport: "sse" });
    client.subscribeSession(7);
    await turn();
    streams[1].refuse();
    await turn();
    assert.deepEqual([client.status.state, heard.at(-1).command], ["closed", undefined]);
    client.connect(); // somebody has signed in again
    assert.equal(streams.at(-1).url.searchParams.get("sessionId"), "7");
  });

  it("does not come back to what the page has ended where something else is refused", async (t) => {
    t.mock.method(globalThis, "fetch", problem(404));
    const { client } = following(t, { transport: "sse" });
    client.subscribePrices(["NIFTY"]);
    await turn();
    streams[1].open({ sessionId: 6, seq: 10, epoch: "e1", recovered: true, symbols: ["NIFTY"] });
    client.unsubscribeSession();
    client.unsubscribePrices(["NIFTY"]);
    client.subscribeSession(99);
    await turn();
    streams[2].refuse();
    await turn();
    assert.equal(streams.length, 3);
    assert.equal(client.status.detail, "nothing is subscribed yet");
  });

  it("says which half of the subscription has to wait", async (t) => {
    const { client, heard } = following(t, { transport: "sse" });
    client.subscribePrices(["NIFTY"]);
    await turn();
    streams[1].say({ type: "error", code: "unavailable", message: "the store is away" });
    assert.equal(heard.at(-1).command, "subscribe_prices");
  });

  it("says which half of the subscription was refused", async (t) => {
    t.mock.method(globalThis, "fetch", problem(400));
    const { client, heard } = following(t, { transport: "sse" });
    client.subscribePrices(["<b>"]);
    await turn();
    streams[1].refuse();
    await turn();
    assert.equal(heard.at(-1).command, "subscribe_prices");
    assert.equal(streams[2].url.searchParams.get("symbols"), null);
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

  for (const status of [404, 502]) {
    it(`backs off when a proxy answers ${status} for a server that restarts`, async (t) => {
      t.mock.method(globalThis, "fetch", async () => new Response("Oops", { status }));
      const { states } = following(t, { transport: "sse" });
      streams[0].refuse();
      await turn();
      assert.deepEqual([states.at(-1).state, states.at(-1).detail], ["waiting", `HTTP ${status}`]);
    });
  }

  it("backs off from a refusal that may pass, and tells of it", async (t) => {
    t.mock.method(globalThis, "fetch", problem(503));
    const { heard, states } = following(t, { transport: "sse" });
    streams[0].refuse();
    await turn();
    assert.deepEqual([states.at(-1).state, heard.at(-1).message], ["waiting", "no session 99"]);
  });

  it("does not come back from asking why when the page has closed it", async (t) => {
    t.mock.method(globalThis, "fetch", problem(404));
    const { client, heard, states } = following(t, { transport: "sse" });
    client.subscribeSession(99);
    await turn();
    streams[1].refuse();
    client.close();
    await turn();
    assert.deepEqual([streams.length, states.at(-1).state, heard.length], [2, "closed", 1]);
  });

  it("has no ping", (t) => {
    const { client } = following(t, { transport: "sse" });
    assert.equal(client.ping(), false);
  });
});
