/** Going over to another transport, and losing a connection to order. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { following, opened, sockets, start, streams } from "./fakes.mjs";

describe("another transport", () => {
  it("is taken in one step, with what was asked for and where it stands", (t) => {
    const { client, seqs, states } = following(t);
    sockets[0].say(opened(11));
    client.subscribePrices(["NIFTY"]); // not confirmed yet
    client.use("sse");
    sockets[0].say(opened(12));
    assert.equal(sockets[0].readyState, 3);
    const { searchParams } = streams[0].url;
    assert.deepEqual(
      [searchParams.get("lastEventId"), searchParams.get("symbols")],
      ["6-11-e1", "NIFTY"],
    );
    streams[0].open({ sessionId: 6, seq: 11, epoch: "e1", recovered: true, symbols: ["NIFTY"] });
    streams[0].say(opened(12));
    client.use("auto");
    assert.equal(streams[0].readyState, 2);
    sockets[1].open();
    assert.deepEqual(
      sockets[1].sent.map(({ since, symbols }) => since ?? symbols),
      [12, ["NIFTY"]],
    );
    assert.deepEqual(seqs(), [11, 12]);
    assert.deepEqual(
      states.slice(2).map(({ state, transport }) => `${state} ${transport}`),
      ["connecting sse", "open sse", "connecting ws", "open ws"],
    );
  });

  it("does not wait where the old one waits, and starts with short waits", (t) => {
    const { client, states } = start(t, { transport: "ws" });
    client.subscribeSession(6);
    client.connect();
    for (let attempt = 0; attempt < 4; attempt++) {
      sockets.at(-1).drop();
      t.mock.timers.tick(states.at(-1).retryInMs - 1);
      if (attempt < 3) t.mock.timers.tick(1);
    }
    client.use("sse");
    streams[0].drop();
    assert.equal(states.at(-1).retryInMs, 500);
    t.mock.timers.tick(500);
    assert.deepEqual([sockets.length, streams.length], [4, 2]);
  });

  it("that is in use already changes nothing", (t) => {
    const { client } = following(t);
    client.use("ws");
    client.use("auto");
    assert.equal(sockets.length, 1);
    assert.equal(sockets[0].readyState, 1);
  });

  it("is kept for the next connect where there is no connection", (t) => {
    const { client } = following(t);
    client.close();
    client.use("sse");
    assert.equal(streams.length, 0);
    client.connect();
    assert.equal(streams.length, 1);
  });
});

describe("a cut", () => {
  for (const transport of ["ws", "sse"]) {
    it(`is a network failure to order, on ${transport}`, (t) => {
      const { client, states } = following(t, { transport });
      const made = transport === "ws" ? sockets : streams;
      client.cut();
      assert.deepEqual(states.at(-1), {
        state: "waiting",
        transport,
        detail: "cut by the page",
        code: undefined,
        retryInMs: 500,
      });
      client.cut();
      t.mock.timers.tick(500);
      client.cut();
      assert.equal(client.status.state, "connecting");
      assert.equal(made.length, 2);
      client.close();
      client.cut();
      assert.equal(client.status.state, "closed");
    });
  }
});
