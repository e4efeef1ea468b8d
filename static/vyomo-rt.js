// @ts-check
// A client of vyomo-rt servers, made for browsers; elsewhere, pass in what a browser would have.
// This file has the calls, and the types from which vyomo-rt.d.ts is made (`make types`); what the
// calls do is in the folder vyomo-rt beside it.
import { Connection } from "./vyomo-rt/connection.js";

/**
 * Prices, trades and P&L of a vyomo-rt server, over WebSocket or Server-Sent Events.
 *
 *     import { VyomoClient } from "http://localhost:4025/static/vyomo-rt.js";
 *     const client = new VyomoClient();
 *     client.on("pnl_update", ({ data }) => console.log(data.symbol, data.unrealizedPnL));
 *     client.subscribeSession(6);
 *     client.subscribePrices(["NIFTY", "BANKNIFTY"], { priceInterval: 500 });
 *     client.connect();
 *
 * After a lost connection it reconnects by itself, subscribes to the same things and resumes the
 * session where it stopped: every event is delivered once and in order.
 */
export class VyomoClient extends EventTarget {
  #connection;
  /** By type, in their order. @type {Map<string, { listener: (detail: any) => void }[]>} */
  #listeners = new Map();
  /** Only these are made events of: that costs many times what calling a listener does.
   * @type {Set<string>} */
  #eventTypes = new Set();

  /**
   * @param {object} [options]
   * @param {string | URL} [options.url] the server's address, http(s) or ws(s); by default the one
   *   from which this module was loaded
   * @param {"auto" | Transport} [options.transport] `auto` uses WebSocket, and Server-Sent Events
   *   if that cannot be opened
   * @param {() => string | Promise<string>} [options.getToken] gets a token that says who the page
   *   is, where the server wants to know; called at first, before the token ends, and when it is
   *   refused. An empty text ends the connection. A page that has signed in needs none.
   * @param {new (url: string) => any} [options.WebSocket] a class to use if there is no global
   *   one
   * @param {new (url: string) => any} [options.EventSource] likewise
   */
  constructor(options = {}) {
    super();
    const base = new URL(options.url ?? new URL("..", import.meta.url));
    base.protocol = base.protocol.replace(/^ws/, "http");
    if (!/^https?:$/.test(base.protocol)) {
      throw new TypeError(`url: the server's address with http:// or ws://, not ${base}`);
    }
    base.pathname = base.pathname.replace(/\/?$/, "/");
    const means = {
      base,
      transport: options.transport ?? "auto",
      getToken: options.getToken,
      WebSocket: options.WebSocket ?? globalThis.WebSocket,
      EventSource: options.EventSource ?? globalThis.EventSource,
    };
    this.#connection = new Connection(means, (type, detail) => this.#tell(type, detail));
  }

  /** @param {string} type @param {any} detail */
  #tell(type, detail) {
    for (const heard of this.#listeners.get(type) ?? []) {
      try {
        heard.listener(detail);
      } catch (error) {
        (globalThis.reportError ?? console.error)(error); // Node would end the process
      }
    }
    if (this.#eventTypes.has(type)) this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  /** The connection, as last reported by a `status` event.
   * @returns {Status} */
  get status() {
    return this.#connection.status;
  }

  /** Where the session stands; continue there with `subscribeSession(id, { since: seq, epoch })`.
   * @returns {Position | null} */
  get position() {
    return this.#connection.subscription.position;
  }

  /** The server's name for this connection, for its log; null while there is none. */
  get connectionId() {
    return this.#connection.id;
  }

  /**
   * Calls `listener` with every message of a type. A listener that throws disturbs no other.
   * @template {keyof Events} T
   * @param {T} type a message type, `message` for all of them, or `status`, `gap`, `raw`
   * @param {(message: Events[T]) => void} listener
   * @returns {() => void} ends it
   */
  on(type, listener) {
    const heard = { listener }; // the same listener may be given twice
    this.#listeners.set(type, [...(this.#listeners.get(type) ?? []), heard]);
    return () => {
      const others = this.#listeners.get(type)?.filter((one) => one !== heard) ?? [];
      this.#listeners.set(type, others);
      heard.listener = () => {}; // its turn may be yet to come
    };
  }

  /**
   * As of any `EventTarget`: the event's `detail` is what a listener of `on` gets.
   * @override
   * @param {string} type
   * @param {EventListenerOrEventListenerObject | null} listener
   * @param {boolean | AddEventListenerOptions} [options]
   */
  addEventListener(type, listener, options) {
    this.#eventTypes.add(type);
    super.addEventListener(type, listener, options);
  }

  /**
   * Connects, and stays connected until `close` or a final refusal. An earlier subscription
   * goes on where it stopped, on any transport.
   * @param {"auto" | Transport} [transport]
   */
  connect(transport) {
    this.#connection.connect(transport);
  }

  /**
   * Switches to another transport with subscription and position: nothing is lost or doubled.
   * Does nothing if it is already in use; a closed client uses it at the next `connect`.
   * @param {"auto" | Transport} transport
   */
  use(transport) {
    this.#connection.use(transport);
  }

  /** Drops an open connection as a failing network would: it reconnects by itself and resumes. */
  cut() {
    this.#connection.cut();
  }

  /** Closes the connection; subscription and position are kept for another `connect`. */
  close() {
    this.#connection.close();
  }

  /**
   * Subscribes to a session instead of any other. Without `since` it starts with a fresh snapshot.
   * But the session already followed, if `types` or `updateInterval` is given, goes on with these,
   * and nothing is lost or doubled.
   * @param {number} sessionId
   * @param {{ types?: SessionType[], updateInterval?: number, since?: number,
   *   epoch?: string }} [options]
   */
  subscribeSession(sessionId, options = {}) {
    this.#connection.tell(this.#connection.subscription.wantSession(sessionId, options));
  }

  unsubscribeSession() {
    this.#connection.tell(this.#connection.subscription.leaveSession());
  }

  /**
   * Adds symbols; interval and `onlyChanges` apply to all of them.
   * @param {string[]} symbols
   * @param {{ priceInterval?: number, onlyChanges?: boolean }} [options]
   */
  subscribePrices(symbols, options = {}) {
    this.#connection.tell(this.#connection.subscription.wantPrices(symbols, options));
  }

  /** @param {string[]} [symbols] all of them if left out */
  unsubscribePrices(symbols) {
    this.#connection.tell(this.#connection.subscription.leavePrices(symbols));
  }

  /**
   * Watches all sessions that may be seen: a `session_update` of each at once, then of those whose
   * figures have changed. These have no `seq`; those of the subscribed session come as before.
   * @param {{ updateInterval?: number }} [options]
   */
  watchSessions(options = {}) {
    this.#connection.tell(this.#connection.subscription.wantSessions(options));
  }

  unwatchSessions() {
    this.#connection.tell(this.#connection.subscription.leaveSessions());
  }

  /** Asks for a `pong`. @returns {boolean} false if that is impossible: SSE, no connection */
  ping() {
    return this.#connection.ping();
  }
}

// What a client hears and says.

/** @typedef {"session_update" | "pnl_update" | "trade_opened" | "trade_closed" | "trade_reduced"
 *   | "trade_changed" | "order_placed" | "order_ended" | "session_changed"} SessionType */
/** @typedef {"ws" | "sse"} Transport */
/** @typedef {"subscribe_session" | "unsubscribe_session" | "subscribe_prices"
 *   | "unsubscribe_prices" | "watch_sessions" | "unwatch_sessions"} Command */
/**
 * The last delivered event; `epoch` names the history in which `seq` counts.
 * @typedef {{ sessionId: number, seq: number, epoch?: string }} Position
 */
/** @typedef {{ sessionId: number | null, types?: SessionType[], updateInterval?: number,
 *   symbols: string[], priceInterval?: number, onlyChanges?: boolean, watching?: boolean,
 *   watchInterval?: number }} Subscription */
/** @typedef {{ tradeId: number, sessionId: number, symbol: string, side: "BUY" | "SELL",
 *   quantity: number, entryPrice: number, timestamp: string }} Trade */
/** @typedef {{ stopLoss?: number | null, target?: number | null }} Exits */
/** @typedef {Exits & { trailingStop?: number | null, trailingStep?: number | null,
 *   trailFrom?: number | null, breakevenAt?: number | null }} Guards */
/** @typedef {{ tags?: string[] | null, note?: string | null, by?: string }} Labels */
/** @typedef {{ exitPrice: number, pnl: number, pnlPercent: number,
 *   exitReason: "SL" | "TARGET" | "MANUAL" | "SQUARE_OFF" | "RISK", exitDetail?: string,
 *   stale?: true, closedQuantity?: number, parts?: number, charges?: number, netPnl?: number,
 *   by?: string }} Exit */
/** @typedef {Guards & Labels & { orderId: number, sessionId: number, symbol: string,
 *   side: "BUY" | "SELL", quantity: number, type: "LIMIT" | "STOP", price: number,
 *   validity: "DAY" | "GTC", timestamp: string }} Order */
/** @typedef {{ orderId: number, sessionId: number, symbol: string,
 *   reason: "CANCELLED" | "EXPIRED" | "REFUSED", detail: string | null, timestamp: string,
 *   by?: string }} OrderEnd */
/** @typedef {{ sessionId: number, status: "ACTIVE" | "PAUSED" | "HALTED" | "STOPPED",
 *   statusReason: string | null, currentCapital: number, totalPnL: number, todayPnL: number,
 *   unrealizedPnL: number, totalTrades: number, openTrades: number, winningTrades: number,
 *   losingTrades: number, winRate: number, timestamp: string, totalCharges?: number,
 *   netTotalPnL?: number, netTodayPnL?: number }} Figures */
/** @typedef {{ maxDailyLoss?: number, dailyTarget?: number,
 *   profitLock?: { armAt: number, floor: number }, maxOrderValue?: number,
 *   maxTradesPerDay?: number, maxOpenTrades?: number, losingStreak?: number,
 *   cooldownSeconds?: number, squareOff?: string }} Rules those that are set */
/** @typedef {{ sessionId: number, name: string, status: Figures["status"],
 *   statusReason: string | null, reason: string, detail: string | null, rules: Rules,
 *   charges: "NSE_INTRADAY" | "NSE_OPTIONS" | "NSE_FUTURES" | null,
 *   lock: { date: string, floor: number } | null, waived: string[], waivedOn: string | null,
 *   timestamp: string, by?: string }} Change */
/** @typedef {{ symbol: string, price: number, timestamp: string, asOf: string, source: string,
 *   stale: boolean }} Quote */

/**
 * What the server sends, by type; docs/protocol.md says what it means.
 * @typedef {object} Messages
 * @property {{ data: Quote }} price_update
 * @property {{ seq: number, data: Trade & Guards & Labels & { status: "OPEN",
 *   orderId?: number } }} trade_opened
 * @property {{ seq: number, data: Trade & Exit & { status: "CLOSED" } }} trade_closed
 * @property {{ seq: number, data: Trade & Exit & { status: "OPEN",
 *   realizedPnL: number } }} trade_reduced `quantity`: what is left
 * @property {{ seq: number, data: Trade & Guards & Labels & { status: "OPEN",
 *   reason: "MANUAL" | "TRAILING" | "BREAKEVEN" } }} trade_changed
 * @property {{ seq: number, data: Order }} order_placed also after a change
 * @property {{ seq: number, data: OrderEnd }} order_ended
 * @property {{ seq: number, data: Change }} session_changed
 * @property {{ seq?: number, recovered?: boolean, data: Figures }} session_update without `seq`: of
 *   a session that is watched among all others
 * @property {{ data: Trade & Exits & { currentPrice: number, unrealizedPnL: number,
 *   pnlPercent: number, stale: boolean, riskAmount?: number } }} pnl_update
 * @property {{ data: { source: string, state: "LIVE" | "DEGRADED" | "DOWN", message: string,
 *   timestamp: string, marketState?: "OPEN" | "CLOSED" | "PREOPEN" | "AUCTION",
 *   marketTime?: string, rate?: number | "max", paused?: boolean,
 *   sources?: { source: string, state: "LIVE" | "DEGRADED" | "DOWN", message: string }[]
 *   } }} feed_status
 * @property {{ data: { reconnectAfterMs: number } }} server_shutdown
 * @property {{ data: { expiresAt: string } }} token_expiring
 * @property {{ id?: string | number, timestamp: string }} pong
 * @property {{ id?: string | number, connectionId?: string, node?: string, result: Subscription & {
 *   seq?: number | null, epoch?: string | null, recovered?: boolean, unknown?: string[] } }} ack
 * @property {{ id?: string | number, message: string, code?: string, detail?: string,
 *   retryAfterMs?: number, command?: Command }} error `command`: the one that was refused, if any
 */
/** @typedef {{ [T in keyof Messages]: { type: T } & Messages[T] }} Typed */
/** @typedef {Typed[keyof Messages]} AnyMessage */

/**
 * What the client itself says.
 * @typedef {object} Reports
 * @property {AnyMessage} message every message, after the listeners of its type
 * @property {{ text: string, transport: Transport }} raw a text as it came, before it is parsed
 * @property {Status} status the connection changed
 * @property {Gap} gap events were lost
 */
/**
 * `waiting`: it will try again by itself; `closed`: it will not. `code`: why a WebSocket closed.
 * @typedef {{ state: "connecting" | "open" | "waiting" | "closed", transport: Transport,
 *   detail: string, code?: number, retryInMs?: number }} Status
 */
/**
 * The session's events after `from`, up to `to`, were not delivered and will not be. If `to`
 * is less than `from`, the server has begun another history.
 * @typedef {{ sessionId: number, from: number, to: number, recovered: false }} Gap
 */
/** @typedef {Typed & Reports} Events */
