// @ts-check
/**
 * Client of a vyomo-rt server: prices, trades and P&L over WebSocket or Server-Sent Events.
 *
 *     import { VyomoClient } from "http://localhost:4025/static/vyomo-rt.js";
 *     const client = new VyomoClient();
 *     client.on("pnl_update", ({ data }) => console.log(data.symbol, data.unrealizedPnL));
 *     client.subscribeSession(6);
 *     client.subscribePrices(["NIFTY", "BANKNIFTY"], { priceInterval: 500 });
 *     client.connect();
 *
 * After a lost connection it comes back by itself, takes up the same subscription and resumes the
 * session where it stopped: every trade event is delivered once and in order.
 *
 * @typedef {"session_update" | "pnl_update" | "trade_opened" | "trade_closed"} SessionType
 * @typedef {"ws" | "sse"} Transport
 * @typedef {{ sessionId: number, seq: number, epoch?: string }} Position the last trade event that
 *   was delivered; `epoch` names the history in which `seq` counts
 * @typedef {{ sessionId: number | null, types?: SessionType[], updateInterval?: number,
 *   symbols: string[], priceInterval?: number, onlyChanges?: boolean }} Subscription
 * @typedef {{ state: "connecting" | "open" | "waiting" | "closed", transport: Transport,
 *   detail: string, code?: number, retryInMs?: number }} Status `waiting`: it will try again by
 *   itself; `closed`: it will not; `code`: why a WebSocket closed
 * @typedef {{ tradeId: number, sessionId: number, symbol: string, side: "BUY" | "SELL",
 *   quantity: number, entryPrice: number, timestamp: string }} Trade
 * @typedef {{ stopLoss?: number | null, target?: number | null }} Exits
 * @typedef {{ exitPrice: number, pnl: number, pnlPercent: number,
 *   exitReason: "SL" | "TARGET" | "MANUAL" | "SQUARE_OFF" | "RISK" }} Exit
 * @typedef {{ type: string, id?: string | number, seq?: number, data?: any, result?: any,
 *   message?: string, code?: string, retryAfterMs?: number }} AnyMessage
 *
 * @typedef {object} Messages what `on` hears, by type
 * @property {{ data: { symbol: string, price: number, timestamp: string, asOf: string,
 *   source: string, stale: boolean } }} price_update
 * @property {{ seq: number, data: Trade & Exits & { status: "OPEN" } }} trade_opened
 * @property {{ seq: number, data: Trade & Exit & { status: "CLOSED" } }} trade_closed
 * @property {{ seq: number, recovered?: boolean, data: { sessionId: number, status: string,
 *   currentCapital: number, totalPnL: number, todayPnL: number, unrealizedPnL: number,
 *   totalTrades: number, openTrades: number, winningTrades: number, losingTrades: number,
 *   winRate: number, timestamp: string } }} session_update
 * @property {{ data: Trade & Exits & { currentPrice: number, unrealizedPnL: number,
 *   pnlPercent: number, stale: boolean } }} pnl_update
 * @property {{ data: { source: string, state: "LIVE" | "DEGRADED" | "DOWN", message: string,
 *   timestamp: string } }} feed_status
 * @property {{ data: { reconnectAfterMs: number } }} server_shutdown
 * @property {{ id?: string | number, timestamp: string }} pong
 * @property {{ id?: string | number, result: Subscription & { seq?: number, epoch?: string,
 *   recovered?: boolean, unknown?: string[] } }} ack
 * @property {{ id?: string | number, message: string, code?: string, detail?: string,
 *   retryAfterMs?: number }} error
 * @property {AnyMessage} message every one of the above
 * @property {Status} status the connection changed
 */

const SSE_EVENTS = ["ack", "price_update", "trade_opened", "trade_closed", "session_update",
  "pnl_update", "feed_status", "server_shutdown", "server_error"];
/** After these another attempt would only be refused again. */
const FINAL_CODES = new Set([4500, 4502, 4503, 4507, 4509]);
const FINAL_STATUSES = new Set([400, 401, 403, 404]);
/** Refusals that pass by themselves. */
const PASSING = new Set(["unavailable", "rate_limited"]);
const BACK_OFF_MS = 1000;
const BACK_OFF_MAX_MS = 30_000;
const WATCH_MS = 15_000;
/** Silent watches until a connection counts as dead. SSE needs more: EventSource shows no
 * keep-alives and can't ask, and updates may be a minute apart. */
const PATIENCE = { ws: 2, sse: 5 };

/** @param {Partial<Subscription>} from @returns {Subscription} */
const subscription = ({ sessionId, types, updateInterval, symbols, priceInterval, onlyChanges }) =>
  ({ sessionId: sessionId ?? null, types, updateInterval, symbols: symbols ?? [], priceInterval,
    onlyChanges });

/** @param {string[]} symbols @returns {string[]} as the server spells them */
const spelled = (symbols) => symbols.map((symbol) => symbol.trim().toUpperCase());

export class VyomoClient extends EventTarget {
  /** @type {Status} */
  #status = { state: "closed", transport: "ws", detail: "not connected yet" };
  #base;
  #choice;
  #WebSocket;
  #EventSource;
  /** @type {Transport} */
  #transport = "ws";
  /** @type {any} the WebSocket or EventSource in use; events of any other are ignored */
  #link = null;
  /** What the page asked for. */
  #wanted = subscription({});
  /** What the server last confirmed; a refused change falls back to it. */
  #accepted = subscription({});
  /** @type {Position | null} */
  #position = null;
  /** @type {Position | null | undefined} where the page wants a session to start that is not yet
   * accepted: null is a fresh snapshot; undefined goes on at #position */
  #start;
  /** @type {Map<unknown, string>} commands without an answer, by id */
  #pending = new Map();
  #lastId = 0;
  #attempt = 0;
  #failedOpens = 0;
  /** @type {number | undefined} when the server told us to come back */
  #orderedDelay;
  #lastError = "";
  /** @type {any} */
  #timer;
  /** @type {any} */
  #watchdog;
  #silence = 0;
  #reopening = false;
  #online = () => { if (this.#status.state === "waiting") this.#open(); };

  /**
   * @param {object} [options]
   * @param {string | URL} [options.url] the server's address, http(s) or ws(s); by default the one
   *   that this module was loaded from
   * @param {"auto" | Transport} [options.transport] `auto` takes WebSocket, and Server-Sent Events
   *   where that can't be opened
   * @param {any} [options.WebSocket] a class to use where there is no global one
   * @param {any} [options.EventSource] likewise
   */
  constructor(options = {}) {
    super();
    this.#base = new URL(options.url ?? new URL("..", import.meta.url));
    this.#base.protocol = this.#base.protocol.replace(/^ws/, "http");
    this.#base.pathname = this.#base.pathname.replace(/\/?$/, "/");
    this.#choice = options.transport ?? "auto";
    this.#WebSocket = options.WebSocket ?? globalThis.WebSocket;
    this.#EventSource = options.EventSource ?? globalThis.EventSource;
  }

  /** The connection, as last reported by a `status` event. */
  get status() { return this.#status; }

  /** Where the session stands; to go on from later: `subscribeSession(id, { since: seq, epoch })`. */
  get position() { return this.#position && { ...this.#position }; }

  /**
   * Calls `listener` with every message of a type.
   * @template {keyof Messages} T
   * @param {T} type a message type, `message` for all of them, or `status`
   * @param {(message: Messages[T]) => void} listener
   * @returns {() => void} ends it
   */
  on(type, listener) {
    const heard = (/** @type {any} */ event) => listener(event.detail);
    this.addEventListener(type, heard);
    return () => this.removeEventListener(type, heard);
  }

  /**
   * Connects, and stays connected until `close` or a final refusal. A subscription from before
   * goes on where it stopped, whatever the transport.
   * @param {"auto" | Transport} [transport]
   */
  connect(transport = this.#choice) {
    if (this.#status.state !== "closed") return;
    this.#choice = transport;
    this.#transport = transport === "auto" ? (this.#WebSocket ? "ws" : "sse") : transport;
    if (!(this.#transport === "ws" ? this.#WebSocket : this.#EventSource)) {
      throw new TypeError(`no class for "${this.#transport}" here: pass one as an option`);
    }
    this.#attempt = this.#failedOpens = 0;
    globalThis.addEventListener?.("online", this.#online);
    this.#open();
  }

  /** Closes the connection; subscription and position are kept for another `connect`. */
  close() { this.#finish("closed by the page"); }

  /**
   * Subscribes a session in place of any other. Without `since` it starts with a fresh snapshot.
   * @param {number} sessionId
   * @param {{ types?: SessionType[], updateInterval?: number, since?: number, epoch?: string }} [how]
   */
  subscribeSession(sessionId, { types, updateInterval, since, epoch } = {}) {
    Object.assign(this.#wanted, { sessionId, types });
    this.#wanted.updateInterval = updateInterval ?? this.#wanted.updateInterval;
    this.#start = since === undefined ? null : { sessionId, seq: since, epoch };
    this.#command("subscribe_session", this.#sessionFields());
  }

  unsubscribeSession() {
    this.#wanted.sessionId = null;
    this.#command("unsubscribe_session", {});
  }

  /**
   * Adds symbols; interval and `onlyChanges` hold for all of them.
   * @param {string[]} symbols
   * @param {{ priceInterval?: number, onlyChanges?: boolean }} [options]
   */
  subscribePrices(symbols, { priceInterval, onlyChanges } = {}) {
    const wanted = this.#wanted;
    wanted.symbols = [...new Set([...wanted.symbols, ...spelled(symbols)])];
    wanted.priceInterval = priceInterval ?? wanted.priceInterval;
    wanted.onlyChanges = onlyChanges ?? wanted.onlyChanges;
    this.#command("subscribe_prices", { symbols, priceInterval, onlyChanges });
  }

  /** @param {string[]} [symbols] all of them if left out */
  unsubscribePrices(symbols) {
    const leaving = new Set(spelled(symbols ?? this.#wanted.symbols));
    this.#wanted.symbols = this.#wanted.symbols.filter((symbol) => !leaving.has(symbol));
    this.#command("unsubscribe_prices", { symbols });
  }

  /** Asks for a `pong`. @returns {boolean} false where nobody can be asked: SSE, no connection */
  ping() { return this.#transport === "ws" && this.#send("ping", {}); }

  #open() {
    this.#drop();
    this.#silence = 0;
    this.#watchdog = setInterval(() => this.#watch(), WATCH_MS);
    if (this.#transport === "ws") this.#openWebSocket();
    else if (this.#wantsAnything) this.#openEventSource();
    else this.#wait("nothing is subscribed yet");
  }

  #openWebSocket() {
    const url = new URL("ws/auto-trader", this.#base);
    url.protocol = url.protocol.replace("http", "ws");
    const socket = this.#link = new this.#WebSocket(url.href);
    socket.onopen = () => {
      if (this.#link !== socket) return;
      this.#accepted = subscription({});
      this.#sendWanted();
      this.#opened();
    };
    socket.onmessage = (/** @type {any} */ event) => {
      if (this.#link === socket) this.#receive(event.data);
    };
    socket.onclose = (/** @type {any} */ { code, reason }) => {
      if (this.#link === socket) this.#lost(reason || `the connection ended (${code})`, code);
    };
    this.#report("connecting", url.host);
  }

  #openEventSource() {
    const url = new URL("sse/auto-trader", this.#base);
    const from = this.#resumption();
    const lastEventId = from && `${from.sessionId}-${from.seq}${from.epoch ? `-${from.epoch}` : ""}`;
    for (const [name, value] of Object.entries({ ...this.#wanted, lastEventId })) {
      const text = String(value ?? "");
      if (text) url.searchParams.set(name, text);
    }
    const source = this.#link = new this.#EventSource(url.href);
    for (const type of SSE_EVENTS) {
      source.addEventListener(type, (/** @type {any} */ event) => {
        if (this.#link === source) this.#receive(event.data);
      });
    }
    // Left alone it would come back at a fixed pace, however long the server is in trouble.
    source.onerror = () => {
      if (this.#link !== source) return;
      if (source.readyState === 2) this.#askWhy(source, url);
      else this.#lost(this.#lastError || "the stream ended");
    };
    this.#report("connecting", url.host);
  }

  /** EventSource hides the status and the text of a refusal; a plain request shows them.
   * @param {any} source @param {URL} url */
  async #askWhy(source, url) {
    let problem, status = 0;
    try {
      const response = await fetch(url, { signal: AbortSignal.timeout(8000) });
      status = response.status;
      if (/json/.test(response.headers.get("content-type") ?? "")) problem = await response.json();
      else await response.body?.cancel();
    } catch { /* nobody there: no answer to report */ }
    if (this.#link !== source) return;
    if (!problem) return this.#lost(status ? `HTTP ${status}` : "the server can't be reached");
    const message = problem.detail ?? problem.title ?? `HTTP ${status}`;
    const repeated = JSON.stringify(this.#wanted) === JSON.stringify(this.#accepted);
    if (!FINAL_STATUSES.has(status)) this.#lost(message);
    else if (repeated) this.#finish(message);
    else {
      this.#settle();
      this.#open();
    }
    this.#emit({ type: "error", code: problem.code, message });
  }

  #opened() {
    this.#failedOpens = -Infinity; // what has opened once is not exchanged
    this.#report("open", this.#base.host);
  }

  /** A vanished peer (sleep, change of network) sends no close: ask, then give up. */
  #watch() {
    if (!this.#link) return;
    if (++this.#silence > PATIENCE[this.#transport]) this.#lost("the server fell silent");
    else if (this.#silence === 2) this.ping();
  }

  /** @param {string} detail @param {number} [code] */
  #lost(detail, code) {
    const opening = this.#status.state === "connecting";
    const orderedDelay = this.#orderedDelay;
    this.#drop();
    if (code && FINAL_CODES.has(code)) return this.#finish(detail, code);
    if (opening && this.#wantsAnything && ++this.#failedOpens >= 2 && this.#choice === "auto"
        && this.#EventSource && this.#WebSocket) {
      this.#failedOpens = 0;
      const [name, other] = this.#transport === "ws" ? ["WebSocket", "SSE"] : ["SSE", "WebSocket"];
      this.#transport = this.#transport === "ws" ? "sse" : "ws";
      detail = `${name} could not be opened, trying ${other}`;
    }
    this.#wait(detail, { code, retryInMs: orderedDelay ?? this.#backOff() });
  }

  /** @param {string} detail @param {{ code?: number, retryInMs?: number }} [more] */
  #wait(detail, more) {
    if (more) this.#timer = setTimeout(() => this.#open(), more.retryInMs);
    this.#report("waiting", detail, more);
  }

  /** Full jitter: clients that were cut together don't come back together. */
  #backOff() {
    const most = Math.min(BACK_OFF_MAX_MS, BACK_OFF_MS * 2 ** this.#attempt++);
    return Math.round(Math.random() * most);
  }

  /** @param {string} detail @param {number} [code] */
  #finish(detail, code) {
    this.#drop();
    globalThis.removeEventListener?.("online", this.#online);
    if (this.#status.state !== "closed") this.#report("closed", detail, { code });
  }

  #drop() {
    const link = this.#link;
    this.#link = null;
    this.#orderedDelay = undefined;
    this.#pending.clear();
    clearTimeout(this.#timer);
    clearInterval(this.#watchdog);
    link?.close();
  }

  get #wantsAnything() {
    return this.#wanted.sessionId !== null || this.#wanted.symbols.length > 0;
  }

  /** @returns {Position | null} where the wanted session goes on; null for a fresh snapshot */
  #resumption() {
    const from = this.#start === undefined ? this.#position : this.#start;
    return from?.sessionId === this.#wanted.sessionId ? from : null;
  }

  #sessionFields() {
    const { sessionId, types, updateInterval } = this.#wanted;
    const from = this.#resumption();
    return { sessionId, types, updateInterval, since: from?.seq, epoch: from?.epoch };
  }

  #sendWanted() {
    const { sessionId, symbols, priceInterval, onlyChanges } = this.#wanted;
    this.#pending.clear();
    if (sessionId !== null) this.#send("subscribe_session", this.#sessionFields());
    if (symbols.length) this.#send("subscribe_prices", { symbols, priceInterval, onlyChanges });
  }

  /** Tells the server of a change in #wanted: by a command, or on SSE by one new stream for all
   * changes of this turn. Without a connection the next one will tell.
   * @param {string} type @param {object} fields */
  #command(type, fields) {
    if (this.#transport === "ws") this.#send(type, fields);
    else if (!this.#reopening) {
      this.#reopening = true;
      queueMicrotask(() => {
        this.#reopening = false;
        if (this.#transport === "sse" && this.#status.state !== "closed") this.#open();
      });
    }
  }

  /** @param {string} type @param {object} fields @returns {boolean} whether it was sent */
  #send(type, fields) {
    if (this.#link?.readyState !== 1) return false;
    const id = ++this.#lastId;
    if (type !== "ping") this.#pending.set(id, type);
    this.#link.send(JSON.stringify({ type, id, ...fields }));
    return true;
  }

  /** @param {string} text */
  #receive(text) {
    /** @type {AnyMessage} */
    const message = JSON.parse(text);
    this.#silence = 0;
    if (message.type === "error") this.#refused(message);
    else if (message.type === "server_shutdown") this.#orderedDelay = message.data.reconnectAfterMs;
    else {
      this.#attempt = 0;
      this.#lastError = "";
    }
    if (message.type === "ack") this.#acknowledged(message);
    if (this.#advances(message)) this.#emit(message);
  }

  /** @param {AnyMessage} message */
  #acknowledged({ id, result }) {
    const command = id === undefined ? "stream" : this.#pending.get(id);
    this.#accepted = subscription(result);
    if (this.#accepted.sessionId === null) this.#position = null;
    else if (command === "stream" || command === "subscribe_session") {
      // An event may have come while the command was on its way: don't go back behind it.
      const from = this.#start === undefined ? this.#position : this.#start;
      const { sessionId, epoch } = result;
      const seq = result.recovered && from?.sessionId === sessionId ? from?.seq : result.seq;
      this.#position = { sessionId, seq, epoch };
    }
    this.#answered(id);
    if (command === "stream") this.#opened();
  }

  /** @param {AnyMessage} message */
  #refused({ id, code, message, retryAfterMs }) {
    this.#lastError = message ?? "";
    if (this.#transport === "sse") this.#orderedDelay = retryAfterMs; // the stream ends after it
    else if (this.#pending.has(id)) {
      if (!PASSING.has(code ?? "")) return this.#answered(id);
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.#sendWanted(), retryAfterMs ?? this.#backOff());
    }
  }

  /** @param {unknown} id */
  #answered(id) {
    this.#pending.delete(id);
    if (this.#pending.size === 0) this.#settle();
    else if (![...this.#pending.values()].includes("subscribe_session")) this.#start = undefined;
  }

  /** With no command under way the server's word is the truth: a refused change is forgotten. */
  #settle() {
    this.#wanted = subscription(this.#accepted);
    this.#start = undefined;
  }

  /** Moves the position on. @param {AnyMessage} message @returns {boolean} false for a trade event
   * that was delivered before */
  #advances({ type, seq, data }) {
    const position = this.#position;
    if (seq === undefined || !position || data.sessionId !== position.sessionId) return true;
    if (seq <= position.seq) return type === "session_update";
    position.seq = seq;
    return true;
  }

  /** @param {AnyMessage} message */
  #emit(message) {
    this.dispatchEvent(new CustomEvent(message.type, { detail: message }));
    this.dispatchEvent(new CustomEvent("message", { detail: message }));
  }

  /** @param {Status["state"]} state @param {string} detail @param {Partial<Status>} [more] */
  #report(state, detail, more) {
    this.#status = { state, transport: this.#transport, detail, ...more };
    this.dispatchEvent(new CustomEvent("status", { detail: this.#status }));
  }
}
