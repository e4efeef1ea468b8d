import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { following, opened, sockets, start, streams } from "./fakes.mjs";

describe("subscriptions", () => {
  it("made before connecting are sent at open", (t) => {
    const { client } = start(t);
    client.subscribeSession(6, { types: ["trade_opened"], updateInterval: 500 });
    client.subscribePrices([" nifty", "TCS"], { priceInterval: 300, onlyChanges: true });
    client.connect();
    sockets[0].open();
    assert.equal(sockets[0].url.href, "ws://localhost:4025/ws/auto-trader");
    assert.deepEqual(sockets[0].sent, [
      {
        type: "subscribe_session",
        id: 1,
        sessionId: 6,
        types: ["trade_opened"],
        updateInterval: 500,
      },
      {
        type: "subscribe_prices",
        id: 2,
        symbols: ["NIFTY", "TCS"],
        priceInterval: 300,
        onlyChanges: true,
      },
    ]);
  });

  it("made while open are sent at once, and each only once", (t) => {
    const { client } = start(t);
    client.on("status", ({ state }) => {
      if (state === "open") client.subscribeSession(7);
    });
    client.connect();
    sockets[0].open();
    client.unsubscribeSession();
    client.unsubscribePrices(["NIFTY"]);
    assert.deepEqual(
      sockets[0].sent.map(({ type }) => type),
      ["subscribe_session", "unsubscribe_session", "unsubscribe_prices"],
    );
  });

  it("that the server refused are forgotten, and the confirmed ones kept", (t) => {
    const { client } = following(t);
    const [socket] = sockets;
    client.subscribePrices(["NIFTY"]);
    const [, prices] = socket.sent;
    client.subscribeSession(99);
    socket.ack({ sessionId: 6, seq: 10, epoch: "e1", symbols: ["NIFTY"] }, prices);
    socket.say({
      type: "error",
      id: socket.sent.at(-1).id,
      code: "not_found",
      message: "no session 99",
    });
    assert.equal(socket.sent.length, 3);
    socket.say(opened(11));
    socket.drop();
    t.mock.timers.tick(500);
    sockets[1].open();
    assert.deepEqual(
      sockets[1].sent.map(({ sessionId, since, symbols }) => ({ sessionId, since, symbols })),
      [
        { sessionId: 6, since: 11, symbols: undefined },
        { sessionId: undefined, since: undefined, symbols: ["NIFTY"] },
      ],
    );
  });

  it("that the server can't take now are sent again when it said, with back-off", (t) => {
    const { client } = start(t);
    client.connect();
    sockets[0].open();
    client.subscribeSession(6);
    const waits = (wait) => {
      const { sent } = sockets[0];
      const before = sent.length;
      sockets[0].say({
        type: "error",
        id: sent.at(-1).id,
        code: "unavailable",
        message: "the store is away",
        retryAfterMs: 700,
      });
      t.mock.timers.tick(wait - 1);
      assert.equal(sent.length, before);
      t.mock.timers.tick(1);
      assert.deepEqual(sent.at(-1), { type: "subscribe_session", id: before + 1, sessionId: 6 });
    };
    for (const wait of [500, 1000, 2000, 4000, 5000, 5000]) waits(700 + wait);
    t.mock.timers.tick(5000);
    waits(1200);
  });

  it("that the server can't take now are not sent again once another took their place", (t) => {
    const { client, heard } = following(t);
    const [socket] = sockets;
    const answer = (code) =>
      socket.say({
        type: "error",
        id: socket.sent.at(-1).id,
        code,
        message: code,
        retryAfterMs: 100,
      });
    client.subscribeSession(98);
    answer("unavailable");
    client.subscribeSession(99);
    t.mock.timers.tick(2000);
    answer("not_found");
    t.mock.timers.tick(2000);
    assert.deepEqual(
      socket.sent.map(({ sessionId }) => sessionId),
      [6, 98, 99],
    );
    assert.deepEqual(
      heard.slice(1).map(({ command }) => command),
      ["subscribe_session", "subscribe_session"],
    );
    client.subscribeSession(6, { updateInterval: 500 });
    assert.equal(socket.sent.at(-1).since, 10);
  });

  it("that were confirmed survive a line that broke before a change was refused", (t) => {
    const { client } = following(t);
    client.subscribePrices(["NIFTY"]);
    sockets[0].ack({ sessionId: 6, seq: 10, epoch: "e1", symbols: ["NIFTY"] });
    client.subscribeSession(99);
    client.subscribePrices(["<b>"]);
    sockets[0].drop();
    t.mock.timers.tick(500);
    sockets[1].open();
    const commands = sockets[1].sent;
    assert.deepEqual(
      commands.map(({ sessionId, since, symbols }) => (sessionId ? [sessionId, since] : symbols)),
      [[99, undefined], ["NIFTY"], ["<B>"]],
    );
    sockets[1].say({
      type: "error",
      id: commands[0].id,
      code: "not_found",
      message: "no session 99",
    });
    assert.deepEqual([commands[3].sessionId, commands[3].since], [6, 10]);
    sockets[1].ack({ symbols: ["NIFTY"] }, commands[1]);
    assert.equal(client.position.seq, 10); // for another line that breaks here
    sockets[1].say({
      type: "error",
      id: commands[2].id,
      code: "bad_request",
      message: "symbols: no",
    });
    sockets[1].ack({ sessionId: 6, seq: 10, epoch: "e1", recovered: true, symbols: ["NIFTY"] });
    sockets[1].say(opened(11));
    sockets[1].drop();
    t.mock.timers.tick(1000);
    sockets[2].open();
    assert.deepEqual(
      sockets[2].sent.map(({ sessionId, since, symbols }) =>
        sessionId ? [sessionId, since] : symbols,
      ),
      [[6, 11], ["NIFTY"]],
    );
  });

  it("are kept where nobody is signed in any more", (t) => {
    const { client } = following(t);
    sockets[0].drop();
    client.subscribeSession(7);
    t.mock.timers.tick(500);
    sockets[1].open();
    const [{ id }] = sockets[1].sent;
    sockets[1].say({ type: "error", id, code: "unauthorized", message: "a token is needed" });
    client.close();
    client.connect(); // somebody has signed in again
    sockets[2].open();
    assert.deepEqual(
      [...sockets[1].sent, ...sockets[2].sent].map(({ sessionId }) => sessionId),
      [7, 7],
    );
  });

  it("that the page has ended do not come back where others are refused", (t) => {
    const { client } = following(t);
    client.subscribePrices(["NIFTY"]);
    sockets[0].ack({ sessionId: 6, seq: 10, epoch: "e1", symbols: ["NIFTY"] });
    sockets[0].drop();
    client.unsubscribeSession();
    client.unsubscribePrices();
    assert.equal(client.position, null);
    client.subscribeSession(98);
    client.subscribeSession(99);
    t.mock.timers.tick(500);
    sockets[1].open();
    const [command] = sockets[1].sent;
    sockets[1].say({ type: "error", id: command.id, code: "not_found", message: "no session 99" });
    assert.deepEqual(
      sockets[1].sent.map(({ sessionId }) => sessionId),
      [99],
    );
  });

  it("of which an older one is refused keep the newer", (t) => {
    const { client } = following(t);
    sockets[0].drop();
    t.mock.timers.tick(500);
    sockets[1].open();
    client.subscribeSession(99);
    client.subscribeSession(7);
    for (const { id } of sockets[1].sent.slice(0, 2)) {
      sockets[1].say({ type: "error", id, code: "not_found", message: "no such session" });
    }
    sockets[1].ack({ sessionId: 7, seq: 3, epoch: "e7" });
    assert.deepEqual(
      sockets[1].sent.map(({ sessionId }) => sessionId),
      [6, 99, 7],
    );
    assert.deepEqual(client.position, { sessionId: 7, seq: 3, epoch: "e7" });
  });

  it("that a new connection refuses are forgotten", (t) => {
    const { client } = following(t);
    client.cut();
    t.mock.timers.tick(500);
    sockets[1].open();
    sockets[1].say({
      type: "error",
      id: sockets[1].sent[0].id,
      code: "not_found",
      message: "no session 6",
    });
    assert.equal(client.position, null);
    client.cut();
    t.mock.timers.tick(1000);
    sockets[2].open();
    assert.deepEqual(sockets[2].sent, []);
  });

  it("made while the line is closing are sent over the next one", (t) => {
    const { client } = following(t);
    sockets[0].readyState = 2;
    client.subscribePrices(["NIFTY"]);
    assert.equal(sockets[0].sent.length, 1);
    sockets[0].drop(1001);
    t.mock.timers.tick(500);
    sockets[1].open();
    assert.deepEqual(sockets[1].sent.at(-1).symbols, ["NIFTY"]);
  });

  it("that are refused say which command it was, also where it can be repeated", (t) => {
    const { client, heard } = following(t);
    const [socket] = sockets;
    const refuse = (code) =>
      socket.say({
        type: "error",
        id: socket.sent.at(-1).id,
        code,
        message: "no",
        retryAfterMs: 100,
      });
    client.subscribePrices(["<b>"]);
    refuse("bad_request");
    client.subscribeSession(99);
    refuse("unavailable");
    socket.say({ type: "error", code: "internal", message: "of no command" });
    assert.deepEqual(
      heard.filter(({ type }) => type === "error").map(({ command }) => command),
      ["subscribe_prices", "subscribe_session", undefined],
    );
  });
});

describe("listeners", () => {
  for (const transport of ["ws", "sse"]) {
    it(`of raw get the text before anybody gets the message, on ${transport}`, (t) => {
      const { client, heard } = following(t, { transport });
      const raw = [];
      client.on("raw", (message) => raw.push([message, heard.length]));
      const before = heard.length;
      (transport === "ws" ? sockets : streams)[0].say(opened(11));
      assert.deepEqual(raw, [[{ text: JSON.stringify(opened(11)), transport }, before]]);
      assert.equal(heard.length, before + 1);
    });
  }

  it("may end the connection with any text", (t) => {
    const { client, heard, states } = start(t, { transport: "sse" });
    client.subscribeSession(6);
    client.connect();
    client.on("raw", () => client.close());
    streams[0].open({ sessionId: 6, seq: 10, epoch: "e1" });
    assert.deepEqual(heard, []);
    assert.equal(states.at(-1).state, "closed");
  });

  it("that throw disturb neither the others nor the client", (t) => {
    const complained = t.mock.method(console, "error", () => {});
    const { client, seqs } = following(t);
    for (const type of ["raw", "trade_opened", "message", "status"]) {
      client.on(type, () => {
        throw new Error(type);
      });
    }
    const seen = [];
    client.on("trade_opened", ({ seq }) => seen.push(seq));
    for (const seq of [11, 12]) sockets[0].say(opened(seq));
    client.cut();
    assert.deepEqual([seen, seqs(), client.status.state], [[11, 12], [11, 12], "waiting"]);
    assert.deepEqual(
      complained.mock.calls.map(({ arguments: [error] }) => error.message),
      ["raw", "trade_opened", "message", "raw", "trade_opened", "message", "status"],
    );
  });

  for (const junk of ["", "{", "null", "[]", "7", "{}", '{"type":1}', "<html>"]) {
    it(`hear an error for a text that is no message, and go on: ${junk}`, (t) => {
      const { heard, seqs } = following(t);
      sockets[0].sayText(junk);
      sockets[0].say(opened(11));
      const [, error] = heard;
      assert.equal(error.code, "bad_json");
      assert.match(error.message, /^the server sent no message: /);
      assert.deepEqual(seqs(), [11]);
    });
  }

  it("hear messages of types that came later", (t) => {
    const { client, heard } = following(t);
    for (const message of [{ type: "margin_call" }, { type: "risk", seq: 11 }]) {
      sockets[0].say(message);
      assert.deepEqual(heard.at(-1), message);
    }
    assert.equal(client.position.seq, 11);
  });

  it("hear their type, and all messages as `message`, until they end", (t) => {
    const { client, heard } = following(t);
    const seen = [];
    const end = client.on("trade_opened", ({ seq }) => seen.push(seq));
    sockets[0].say(opened(11));
    end();
    sockets[0].say(opened(12));
    assert.deepEqual(seen, [11]);
    assert.deepEqual(
      heard.map(({ type }) => type),
      ["ack", "trade_opened", "trade_opened"],
    );
  });

  it("that come or go while a message is told hear the next one, or nothing more", (t) => {
    const { client } = following(t);
    const seen = [];
    const hear = (name) => client.on("trade_opened", ({ seq }) => seen.push(`${name} ${seq}`));
    client.on("trade_opened", ({ seq }) => {
      if (seq > 11) return;
      hear("new");
      end();
    });
    const end = hear("gone");
    for (const seq of [11, 12]) sockets[0].say(opened(seq));
    assert.deepEqual(seen, ["new 12"]);
  });

  it("of any kind hear the same message, by `on` or as those of an EventTarget", (t) => {
    const { client } = following(t);
    const seen = [];
    client.on("trade_opened", (message) => seen.push(message));
    client.addEventListener("trade_opened", ({ detail }) => seen.push(detail), { once: true });
    for (const seq of [11, 12]) sockets[0].say(opened(seq));
    assert.deepEqual(seen, [opened(11), opened(11), opened(12)]);
  });
});

describe("the connection's name", () => {
  it("is known from the first ack to the end of the connection", (t) => {
    const { client } = following(t);
    assert.equal(client.connectionId, null); // an older server has none
    client.subscribePrices(["NIFTY"]);
    const result = { sessionId: 6, seq: 10, epoch: "e1", symbols: ["NIFTY"] };
    sockets[0].say({ type: "ack", id: sockets[0].sent.at(-1).id, result, connectionId: "c1" });
    assert.equal(client.connectionId, "c1");
    client.cut();
    assert.equal(client.connectionId, null);
  });
});

describe("options", () => {
  const wrong = [
    [{ url: "localhost:4025" }, /url: .*http:\/\//],
    [{ url: undefined }, /url: .*http:\/\/.*file:/], // loaded from a file, as in Node
    [{ transport: "tcp" }, /transport: "auto", "ws" or "sse", not "tcp"/],
    [{ transport: "sse", EventSource: undefined }, /no EventSource here: pass one as the option/],
  ];
  for (const [options, message] of wrong) {
    it(`that can't work are named: ${JSON.stringify(options)}`, (t) => {
      assert.throws(() => start(t, options).client.connect(), { name: "TypeError", message });
    });
  }

  it("to all sessions come again on a new connection, until they are left", (t) => {
    const { client } = start(t);
    const figures = [];
    client.on("session_update", ({ data, seq }) => figures.push([data.sessionId, seq]));
    client.watchSessions({ updateInterval: 500 });
    client.connect();
    sockets[0].open();
    assert.deepEqual(sockets[0].sent, [{ type: "watch_sessions", id: 1, updateInterval: 500 }]);
    sockets[0].ack({ watching: true, watchInterval: 500 });
    sockets[0].say({ type: "session_update", data: { sessionId: 7, status: "ACTIVE" } });
    assert.deepEqual(figures, [[7, undefined]]);
    assert.equal(client.position, null);
    client.close();
    client.connect();
    sockets[1].open();
    assert.deepEqual(sockets[1].sent, [{ type: "watch_sessions", id: 2, updateInterval: 500 }]);
    sockets[1].ack({ watching: true, watchInterval: 500 });
    client.unwatchSessions();
    assert.equal(sockets[1].sent.at(-1).type, "unwatch_sessions");
    sockets[1].ack({ watching: false, watchInterval: 500 });
    client.close();
    client.connect();
    sockets[2].open();
    assert.deepEqual(sockets[2].sent, []);
  });

  it("to all sessions that are refused for now are asked for again", (t) => {
    const { client } = start(t);
    client.watchSessions();
    client.connect();
    sockets[0].open();
    const [{ id }] = sockets[0].sent;
    sockets[0].say({ type: "error", id, code: "unavailable", message: "later" });
    t.mock.timers.tick(2000);
    assert.deepEqual(
      sockets[0].sent.map(({ type }) => type),
      ["watch_sessions", "watch_sessions"],
    );
  });

  it("to all sessions are a part of a stream's query", (t) => {
    const { client } = start(t, { transport: "sse" });
    client.watchSessions({ updateInterval: 300 });
    client.connect();
    const { searchParams } = streams[0].url;
    assert.equal(searchParams.get("watching"), "true");
    assert.equal(searchParams.get("watchInterval"), "300");
    assert.equal(searchParams.get("sessionId"), null);
  });
});
