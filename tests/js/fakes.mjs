/** Connections that a test opens, feeds and cuts by hand. */

class FakeConnection extends EventTarget {
  readyState = 0;

  constructor(url) {
    super();
    this.url = new URL(url);
    this.constructor.made.push(this);
  }

  close() { this.readyState = this.constructor.CLOSED; }
}

export class FakeWebSocket extends FakeConnection {
  static CLOSED = 3;
  static made = [];
  sent = [];

  send(text) { this.sent.push(JSON.parse(text)); }

  open() {
    this.readyState = 1;
    this.onopen();
  }

  say(message) { this.onmessage({ data: JSON.stringify(message) }); }

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
  sessionId: null, seq: null, epoch: null,
  types: ["session_update", "pnl_update", "trade_opened", "trade_closed"],
  updateInterval: 2000, symbols: [], priceInterval: 1000, onlyChanges: false, unknown: [],
};

export const opened = (seq, sessionId = 6) =>
  ({ type: "trade_opened", seq, data: { sessionId, tradeId: seq, status: "OPEN" } });
export const figures = (seq, sessionId = 6) =>
  ({ type: "session_update", seq, data: { sessionId, totalTrades: seq } });
