/** Connections that a test opens, feeds and cuts by hand, and clients that use them. */
import { beforeEach } from "node:test";

import { VyomoClient } from "../../static/vyomo-rt.js";

class FakeConnection extends EventTarget {
  readyState = 0;

  constructor(url) {
    super();
    this.url = new URL(url);
    this.constructor.made.push(this);
  }

  close() {
    this.readyState = this.constructor.CLOSED;
  }
}

export class FakeWebSocket extends FakeConnection {
  static CLOSED = 3;
  static made = [];
  sent = [];

  send(text) {
    this.sent.push(JSON.parse(text));
  }

  open() {
    this.readyState = 1;
    this.onopen();
  }

  say(message) {
    this.sayText(JSON.stringify(message));
  }
  sayText(data) {
    this.onmessage({ data });
  }

  /** Answers the newest command with the whole resulting subscription. */
  ack(result, command = this.sent.at(-1)) {
    this.say({ type: "ack", id: command.id, result: { ...NOTHING, ...result } });
  }

  drop(code = 1006, reason = "") {
    this.close();
    this.onclose({ code, reason });
  }
}

export class FakeEventSource extends FakeConnection {
  static CLOSED = 2;
  static made = [];

  keepAlive() {
    this.dispatchEvent(new MessageEvent("keep_alive", { data: "{}" }));
  }

  say(message) {
    const type = message.type === "error" ? "server_error" : message.type;
    this.dispatchEvent(new MessageEvent(type, { data: JSON.stringify(message) }));
  }

  open(result) {
    this.readyState = 1;
    this.say({ type: "ack", result: { ...NOTHING, ...result } });
  }

  /** A dropped line, after which a browser would try again by itself. */
  drop() {
    this.readyState = 0;
    this.onerror();
  }

  /** An HTTP error status, after which a browser gives up. */
  refuse() {
    this.close();
    this.onerror();
  }
}

const NOTHING = {
  sessionId: null,
  seq: null,
  epoch: null,
  types: ["session_update", "pnl_update", "trade_opened", "trade_closed", "margin_called", "noted"],
  updateInterval: 2000,
  symbols: [],
  priceInterval: 1000,
  onlyChanges: false,
  unknown: [],
};

export const opened = (seq, sessionId = 6) => ({
  type: "trade_opened",
  seq,
  data: { sessionId, tradeId: seq, status: "OPEN" },
});
export const figures = (seq, sessionId = 6) => ({
  type: "session_update",
  seq,
  data: { sessionId, totalTrades: seq },
});

/** All that were made in the present test. */
export const sockets = FakeWebSocket.made;
export const streams = FakeEventSource.made;
export const turn = () => new Promise((done) => setImmediate(done));

/** A client with all that it emitted; its timers stand still until the test moves them. */
export function start(t, options = {}) {
  t.mock.timers.enable({ apis: ["setTimeout", "setInterval", "Date"] });
  if (!globalThis.fetch.mock) {
    t.mock.method(globalThis, "fetch", async () => {
      throw new TypeError("nobody is there");
    });
  }
  t.mock.method(Math, "random", () => 0.5);
  const client = new VyomoClient({
    url: "http://localhost:4025",
    WebSocket: FakeWebSocket,
    EventSource: FakeEventSource,
    ...options,
  });
  const heard = [];
  const states = [];
  client.on("message", (message) => heard.push(message));
  client.on("status", (status) => states.push(status));
  return { client, heard, states, seqs: () => heard.filter(isTrade).map(({ seq }) => seq) };
}

const isTrade = ({ type }) => type.startsWith("trade_");

/** A client that follows session 6, of which `seq` events were known when it subscribed. */
export function following(t, { seq = 10, ...options } = {}) {
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

beforeEach(() => {
  sockets.length = streams.length = 0;
});
