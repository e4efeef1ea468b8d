import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { figures, following, opened, sockets, start, streams, turn } from "./fakes.mjs";

/** Follows session 6 up to event 10, lost its connection, and has a new one that did not answer. */
function resuming(t) {
  const started = following(t);
  sockets[0].drop();
  t.mock.timers.tick(500);
  sockets[1].open();
  return { ...started, position: { sessionId: 6, seq: 10, epoch: "e1" } };
}

describe("resumption", () => {
  it("is not set back by an event that overtakes a repeated command", (t) => {
    const { client, seqs } = following(t);
    const [socket] = sockets;
    client.subscribeSession(6, { updateInterval: 500 });
    client.subscribePrices(["NIFTY"]);
    const [, refused, prices] = socket.sent;
    socket.say({
      type: "error",
      id: refused.id,
      code: "unavailable",
      message: "away",
      retryAfterMs: 100,
    });
    socket.ack({ sessionId: 6, seq: 10, epoch: "e1", symbols: [], unknown: ["NIFTY"] }, prices);
    t.mock.timers.tick(2000);
    const [, , , session, ...more] = socket.sent;
    assert.deepEqual([session.since, session.updateInterval, more], [10, 500, []]);
    socket.say(opened(11));
    socket.ack({ sessionId: 6, seq: 10, epoch: "e1", recovered: true }, session);
    for (const seq of [11, 12]) socket.say(opened(seq));
    assert.deepEqual(seqs(), [11, 12]);
    // With everything answered, the server's word counts again.
    socket.drop();
    t.mock.timers.tick(1000);
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
      type: "subscribe_session",
      id: 2,
      sessionId: 6,
      since: 11,
      epoch: "e1",
      updateInterval: 2000,
    }); // without `types`: a server that was renewed meanwhile may have more
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

  it("is that of its own command, whatever is asked for before the answer", (t) => {
    const { client, seqs, position } = resuming(t);
    const gaps = [];
    client.on("gap", (gap) => gaps.push(gap));
    client.subscribeSession(999);
    const [resumption, other] = sockets[1].sent;
    assert.equal(resumption.since, 10);
    sockets[1].ack({ ...position, seq: 13, recovered: true }, resumption);
    for (const seq of [11, 12, 13]) sockets[1].say(opened(seq));
    sockets[1].say({ type: "error", id: other.id, code: "not_found", message: "no session 999" });
    sockets[1].say(opened(14));
    assert.deepEqual(seqs(), [11, 12, 13, 14]);
    assert.deepEqual(gaps, []);
    assert.equal(client.position.seq, 14);
  });

  for (const options of [
    { updateInterval: 500 },
    { updateInterval: 500, since: 10, epoch: "e1" },
    { types: ["trade_opened", "trade_closed"] },
  ]) {
    it(`does not go back behind an event that was on its way: ${JSON.stringify(options)}`, (t) => {
      const { client, seqs } = following(t);
      client.subscribeSession(6, options);
      assert.equal(sockets[0].sent[1].since, 10);
      sockets[0].say(opened(11));
      sockets[0].ack({ sessionId: 6, seq: 10, epoch: "e1", recovered: true });
      for (const seq of [11, 12]) sockets[0].say(opened(seq));
      assert.deepEqual(seqs(), [11, 12]);
    });
  }

  it("goes back where the page says so, once", (t) => {
    const { client, seqs } = following(t);
    client.subscribeSession(6, { since: 4, epoch: "e1" });
    client.subscribeSession(6, { updateInterval: 500 });
    const [, back, change] = sockets[0].sent;
    assert.deepEqual([back.since, change.since], [4, 4]);
    sockets[0].say(opened(11));
    for (const command of [back, change]) {
      sockets[0].ack({ sessionId: 6, seq: 4, epoch: "e1", recovered: true }, command);
      for (const seq of [5, 6]) sockets[0].say(opened(seq));
    }
    assert.deepEqual(seqs(), [11, 5, 6]);
  });

  it("is kept by a change of options, on both transports", async (t) => {
    const { client, seqs } = following(t, { transport: "sse" });
    streams[0].say(opened(11));
    client.subscribeSession(6, { updateInterval: 500 });
    await turn();
    const { searchParams } = streams[1].url;
    assert.deepEqual(
      [searchParams.get("lastEventId"), searchParams.get("updateInterval")],
      ["6-11-e1", "500"],
    );
    streams[1].open({ sessionId: 6, seq: 11, epoch: "e1", recovered: true, updateInterval: 500 });
    for (const seq of [11, 12]) streams[1].say(opened(seq));
    client.use("ws");
    sockets[0].open();
    client.subscribeSession(6, { updateInterval: 1000 });
    assert.deepEqual(
      sockets[0].sent.map(({ since, updateInterval }) => [since, updateInterval]),
      [
        [12, 500],
        [12, 1000],
      ],
    );
    assert.deepEqual(seqs(), [11, 12]);
  });

  it("holds from the first answer on, though a change is under way when the line breaks", (t) => {
    const { client } = start(t);
    client.subscribeSession(6);
    client.connect();
    sockets[0].open();
    client.subscribeSession(6, { updateInterval: 500 });
    sockets[0].ack({ sessionId: 6, seq: 10, epoch: "e1" }, sockets[0].sent[0]);
    sockets[0].drop();
    t.mock.timers.tick(500);
    sockets[1].open();
    assert.deepEqual([sockets[1].sent[0].since, sockets[1].sent[0].updateInterval], [10, 500]);
  });

  it("does not go with another session, nor with one that was left", (t) => {
    const { client } = following(t);
    client.subscribeSession(7, { updateInterval: 500 });
    client.subscribeSession(6, { updateInterval: 500 });
    client.unsubscribeSession();
    client.subscribeSession(6, { updateInterval: 500 });
    const sessions = sockets[0].sent.slice(1).filter(({ sessionId }) => sessionId);
    assert.deepEqual(
      sessions.map(({ sessionId, since }) => [sessionId, since]),
      [
        [7, undefined],
        [6, undefined],
        [6, undefined],
      ],
    );
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

  it("is not touched by a close in the midst of connecting", (t) => {
    const { client, states } = start(t);
    client.subscribeSession(6);
    client.connect();
    client.close();
    sockets[0].open();
    sockets[0].drop();
    t.mock.timers.tick(60_000);
    assert.deepEqual(
      states.map(({ state }) => state),
      ["connecting", "closed"],
    );
    assert.deepEqual([sockets.length, sockets[0].sent.length], [1, 0]);
    client.connect();
    sockets[1].open();
    assert.equal(sockets[1].sent[0].sessionId, 6);
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

describe("a gap", () => {
  const gapsOf = (client) => {
    const gaps = [];
    client.on("gap", (gap) => gaps.push(gap));
    return gaps;
  };

  it("is reported before the event that shows it", (t) => {
    const { client, seqs } = following(t);
    const gaps = gapsOf(client);
    client.on("gap", () => assert.deepEqual(seqs(), [11]));
    for (const seq of [11, 14, 15]) sockets[0].say(opened(seq));
    assert.deepEqual(gaps, [{ sessionId: 6, from: 11, to: 13, recovered: false }]);
    assert.deepEqual(seqs(), [11, 14, 15]);
  });

  it("is seen in the figures too", (t) => {
    const { client } = following(t);
    const gaps = gapsOf(client);
    for (const seq of [10, 12, 12]) sockets[0].say(figures(seq));
    assert.deepEqual(gaps, [{ sessionId: 6, from: 10, to: 12, recovered: false }]);
  });

  it("is reported where the server can't resume, on both transports", (t) => {
    for (const transport of ["ws", "sse"]) {
      const { client } = following(t, { transport });
      const gaps = gapsOf(client);
      client.cut();
      t.mock.timers.tick(500);
      const answer = { sessionId: 6, seq: 2, epoch: "e2", recovered: false };
      if (transport === "sse") streams.at(-1).open(answer);
      else {
        sockets.at(-1).open();
        sockets.at(-1).ack(answer);
      }
      assert.deepEqual(gaps, [{ sessionId: 6, from: 10, to: 2, recovered: false }]);
      client.close();
      t.mock.timers.reset();
      t.mock.restoreAll();
    }
  });

  it("is none where the event is of a kind that came later, over either transport", (t) => {
    for (const transport of ["ws", "sse"]) {
      const { client, heard } = following(t, { transport });
      const gaps = gapsOf(client);
      const link = transport === "ws" ? sockets[0] : streams[0];
      const later = [
        { type: "margin_called", seq: 11, data: { sessionId: 6 } },
        { type: "noted", seq: 12, data: {} },
      ];
      for (const message of [...later, opened(13), later[1]]) link.say(message);
      assert.deepEqual(heard.slice(1), [...later, opened(13)]);
      assert.deepEqual([gaps, client.position.seq], [[], 13]);
      client.close();
      t.mock.timers.reset();
      t.mock.restoreAll();
    }
  });

  it("is none where the page asked for some of the events only, or for a fresh start", (t) => {
    const { client } = following(t);
    const gaps = gapsOf(client);
    client.subscribeSession(6, { types: ["trade_closed", "session_update"] });
    sockets[0].ack({
      sessionId: 6,
      seq: 14,
      epoch: "e1",
      types: ["session_update", "trade_closed"],
    });
    sockets[0].say({ type: "trade_closed", seq: 17, data: { sessionId: 6, tradeId: 1 } });
    sockets[0].say(figures(19));
    assert.deepEqual(gaps, []);
    assert.equal(client.position.seq, 19);
  });
});
