/** What browsers do with connections beside opening and closing them: forbid, hang, sleep,
 * redirect. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { describe, it } from "node:test";

import {
  FakeEventSource,
  FakeWebSocket,
  following,
  opened,
  sockets,
  start,
  streams,
  turn,
} from "./fakes.mjs";

/** A constructor that a page may not use. */
const forbidden = (text) =>
  class {
    constructor() {
      throw new DOMException(text, "SecurityError");
    }
  };

/** A client that wants session 6 and has just been told to connect. */
function connecting(t, options) {
  const started = start(t, options);
  started.client.subscribeSession(6);
  started.client.connect();
  return started;
}

describe("a page that may not connect", () => {
  const forbids = forbidden("An insecure WebSocket connection may not be initiated");

  it("takes SSE within 3 s where a WebSocket can't be made", (t) => {
    const { states } = connecting(t, { WebSocket: forbids });
    assert.deepEqual(
      states.map(({ state }) => state),
      ["connecting", "waiting"],
    );
    assert.match(states[1].detail, /^An insecure WebSocket/);
    t.mock.method(Math, "random", () => 0.999);
    for (let ms = 0; ms < 3000 && !streams.length; ms += 100) t.mock.timers.tick(100);
    streams[0].open({ sessionId: 6, seq: 10, epoch: "e1" });
    assert.equal(states.at(-1).state, "open");
  });

  it("takes SSE within 3 s where a WebSocket fails by `error` alone", (t) => {
    const { states } = connecting(t);
    t.mock.method(Math, "random", () => 0.999);
    for (let ms = 0; ms < 3000 && !streams.length; ms += 100) {
      for (const socket of sockets) {
        if (socket.readyState === 3) continue;
        socket.readyState = 3;
        socket.onerror();
      }
      t.mock.timers.tick(100);
    }
    assert.match(
      states[1].detail,
      /^no WebSocket: does connect-src allow ws:\/\/localhost:4025\?$/,
    );
    streams[0].open({ sessionId: 6, seq: 10, epoch: "e1" });
    assert.equal(states.at(-1).state, "open");
  });

  it("hears one loss where `close` follows `error`", (t) => {
    const { states } = connecting(t);
    sockets[0].readyState = 3;
    sockets[0].onerror();
    sockets[0].onclose({ code: 1006, reason: "" });
    t.mock.timers.tick(1);
    assert.deepEqual(
      states.map(({ detail }) => detail),
      ["localhost:4025", "the connection ended (1006)"],
    );
  });

  for (const transport of ["ws", "sse"]) {
    it(`is told so and tries again, ${transport} at the first attempt or at a later one`, (t) => {
      const classes = { WebSocket: FakeWebSocket, EventSource: FakeEventSource };
      const thrower = { WebSocket: forbids, EventSource: forbidden("refused by policy") };
      const name = transport === "ws" ? "WebSocket" : "EventSource";
      let present = thrower[name];
      // Constructs what is allowed at the moment.
      // biome-ignore lint/complexity/useArrowFunction: an arrow function constructs nothing
      const changing = function (url) {
        return new present(url);
      };
      const { client, states } = connecting(t, { ...classes, [name]: changing, transport });
      for (let attempt = 0; attempt < 3; attempt++) t.mock.timers.tick(5000);
      assert.equal(states.at(-1).state, "waiting");
      present = classes[name];
      t.mock.timers.tick(10_000);
      assert.equal(states.at(-1).state, "connecting");
      assert.equal(client.status.transport, transport);
    });
  }

  it("may close the client out of any status, and leaves nothing behind", () => {
    const MODULE = new URL("../../static/vyomo-rt.js", import.meta.url).href;
    const script = `
      import { VyomoClient } from ${JSON.stringify(MODULE)};
      class No { constructor() { throw new Error("no"); } }
      class Hangs extends EventTarget { readyState = 0; close() {} }
      for (const Kind of [No, Hangs]) {
        for (const transport of ["auto", "ws", "sse"]) {
          for (const state of ["connecting", "waiting", "never"]) {
            const kinds = { WebSocket: Kind, EventSource: Kind };
            const client = new VyomoClient({ url: "http://127.0.0.1:9", ...kinds });
            client.on("status", (status) => { if (status.state === state) client.close(); });
            client.subscribeSession(6);
            client.connect(transport);
            setTimeout(() => client.close(), 200);
          }
        }
      }`;
    const done = spawnSync(process.execPath, ["--input-type=module", "-e", script], {
      encoding: "utf8",
      timeout: 60_000,
    });
    assert.deepEqual([done.status, done.signal, done.stderr], [0, null, ""]);
  });
});

describe("an opening that hangs", () => {
  for (const transport of ["ws", "sse"]) {
    it(`has failed within 15 s, ${transport}`, (t) => {
      const { states } = connecting(t, { transport });
      t.mock.timers.tick(15_000);
      assert.equal(states[1].state, "waiting");
      assert.match(states[1].detail, /^no answer within/);
    });

    it(`is no failure once it is open, ${transport}`, (t) => {
      const { states } = following(t, { transport });
      t.mock.timers.tick(29_000);
      assert.equal(states.at(-1).state, "open");
    });
  }
});

describe("a quiet stream", () => {
  it("stays as it is for as long as keep-alives come", (t) => {
    const { states } = following(t, { transport: "sse" });
    for (let s = 0; s < 600; s += 15) {
      t.mock.timers.tick(15_000);
      streams[0].keepAlive();
    }
    assert.equal(streams.length, 1);
    assert.deepEqual(
      states.map(({ state }) => state),
      ["connecting", "open"],
    );
  });

  for (const transport of ["ws", "sse"]) {
    it(`that stalls is found within 45 s, ${transport}`, (t) => {
      const { states } = following(t, { transport });
      t.mock.timers.tick(7000);
      if (transport === "sse") streams[0].keepAlive();
      else sockets[0].say(opened(11));
      t.mock.timers.tick(29_000);
      assert.equal(states.at(-1).state, "open");
      t.mock.timers.tick(16_000);
      assert.equal(
        states.find(({ state }) => state === "waiting")?.detail,
        "the server fell silent",
      );
    });
  }
});

describe("waking up", () => {
  /** A page that can be told that it is online, visible, or there again. */
  function page(t) {
    const targets = { window: new EventTarget(), document: new EventTarget() };
    const listening = new Set();
    const adds = (target) => (type, listener) => {
      listening.add(type);
      EventTarget.prototype.addEventListener.call(target, type, listener);
    };
    const removes = (target) => (type, listener) => {
      listening.delete(type);
      EventTarget.prototype.removeEventListener.call(target, type, listener);
    };
    globalThis.addEventListener = adds(targets.window);
    globalThis.removeEventListener = removes(targets.window);
    globalThis.document = Object.assign(targets.document, {
      visibilityState: "visible",
      addEventListener: adds(targets.document),
      removeEventListener: removes(targets.document),
    });
    t.after(() => {
      for (const name of ["addEventListener", "removeEventListener", "document"])
        delete globalThis[name];
    });
    return {
      online: () => targets.window.dispatchEvent(new Event("online")),
      resumed: () => targets.document.dispatchEvent(new Event("resume")),
      visible: () => targets.document.dispatchEvent(new Event("visibilitychange")),
      shown: () =>
        targets.window.dispatchEvent(Object.assign(new Event("pageshow"), { persisted: true })),
      loaded: () =>
        targets.window.dispatchEvent(Object.assign(new Event("pageshow"), { persisted: false })),
      hidden: () => {
        targets.document.visibilityState = "hidden";
        targets.document.dispatchEvent(new Event("visibilitychange"));
      },
      listening,
    };
  }

  for (const how of ["online", "visible", "shown", "resumed"]) {
    it(`opens at once what waits or is being opened: ${how}`, (t) => {
      const wake = page(t);
      const { client } = following(t);
      sockets[0].drop();
      wake[how]();
      assert.equal(sockets.length, 2);
      wake[how]();
      assert.equal(sockets.length, 3);
      assert.equal(sockets[1].readyState, 3);
      sockets[2].drop(4503);
      wake[how]();
      assert.equal(sockets.length, 3, "what has closed stays closed");
      client.close();
      assert.deepEqual([...wake.listening], []);
    });

    it(`asks an open WebSocket, and gives it 5 s: ${how}`, (t) => {
      const wake = page(t);
      const { client, states } = following(t);
      wake[how]();
      assert.equal(sockets[0].sent.at(-1).type, "ping");
      t.mock.timers.tick(4000);
      sockets[0].say({ type: "pong", timestamp: "" });
      t.mock.timers.tick(4000);
      assert.equal(states.at(-1).state, "open");
      wake[how]();
      t.mock.timers.tick(4000);
      wake[how](); // begins anew
      t.mock.timers.tick(4999);
      assert.equal(states.at(-1).state, "open");
      t.mock.timers.tick(1);
      assert.equal(states.at(-1).detail, "the server fell silent");
      client.close();
    });

    it(`opens a stream anew that has missed a keep-alive: ${how}`, (t) => {
      const wake = page(t);
      const { client, seqs } = following(t, { transport: "sse" });
      t.mock.timers.tick(14_000);
      wake[how]();
      assert.equal(streams.length, 1);
      streams[0].say(opened(11));
      t.mock.timers.tick(15_001);
      wake[how]();
      assert.equal(streams[1].url.searchParams.get("lastEventId"), "6-11-e1");
      assert.deepEqual(seqs(), [11]);
      client.close();
    });
  }

  it("is not what a page does that is loaded or hidden", (t) => {
    const wake = page(t);
    const { client } = following(t);
    wake.hidden();
    wake.loaded();
    assert.equal(sockets[0].sent.length, 1);
    client.close();
  });
});

describe("a redirect", () => {
  for (const answer of [
    { type: "opaqueredirect", status: 0 },
    { type: "basic", status: 301 },
  ]) {
    it(`is named, and SSE is not taken for it: ${JSON.stringify(answer)}`, async (t) => {
      const asked = t.mock.method(globalThis, "fetch", async () => answer);
      const { states } = connecting(t);
      for (let attempt = 0; attempt < 4; attempt++) {
        sockets[attempt].drop();
        await turn();
        assert.equal(states.at(-1).detail, "the server redirects: is it https://?");
        assert.equal(states.at(-1).state, "waiting");
        t.mock.timers.tick(10_000);
      }
      assert.equal(streams.length, 0);
      const [url, { redirect }] = asked.mock.calls[0].arguments;
      assert.deepEqual([url.href, redirect], ["http://localhost:4025/livez", "manual"]);
    });
  }

  it("that is told of late takes the client back from SSE", async (t) => {
    const answers = [];
    t.mock.method(
      globalThis,
      "fetch",
      () =>
        new Promise((done) => {
          answers.push(done);
        }),
    );
    const { client, states } = connecting(t);
    sockets[0].drop();
    t.mock.timers.tick(500);
    sockets[1].drop();
    assert.equal(client.status.transport, "sse");
    answers.at(-1)({ type: "opaqueredirect", status: 0 });
    await turn();
    assert.deepEqual(
      [states.at(-1).detail, client.status.transport],
      ["the server redirects: is it https://?", "ws"],
    );
  });

  it("is not asked for once it has been open", (t) => {
    const asked = t.mock.method(globalThis, "fetch", async () => ({ status: 301 }));
    const { states } = following(t);
    sockets[0].drop();
    t.mock.timers.tick(500);
    sockets[1].drop();
    assert.equal(asked.mock.callCount(), 0);
    assert.equal(states.at(-1).detail, "the connection ended (1006)");
  });
});
