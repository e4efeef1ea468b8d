// @ts-check
// Client of a vyomo-rt server. Made for browsers; other places pass in what they lack. The types
// below are what vyomo-rt.d.ts is made of (`make types`).

/** @typedef {"session_update" | "pnl_update" | "trade_opened" | "trade_closed"
 *   | "session_changed"} SessionType */
/** @typedef {"ws" | "sse"} Transport */
/** @typedef {"subscribe_session" | "unsubscribe_session" | "subscribe_prices"
 *   | "unsubscribe_prices"} Command */
/**
 * The last event that was delivered; `epoch` names the history in which `seq` counts.
 * @typedef {{ sessionId: number, seq: number, epoch?: string }} Position
 */
/** @typedef {{ sessionId: number | null, types?: SessionType[], updateInterval?: number,
 *   symbols: string[], priceInterval?: number, onlyChanges?: boolean }} Subscription */
/** @typedef {{ tradeId: number, sessionId: number, symbol: string, side: "BUY" | "SELL",
 *   quantity: number, entryPrice: number, timestamp: string }} Trade */
/** @typedef {{ stopLoss?: number | null, target?: number | null }} Exits */
/** @typedef {{ exitPrice: number, pnl: number, pnlPercent: number,
 *   exitReason: "SL" | "TARGET" | "MANUAL" | "SQUARE_OFF" | "RISK" }} Exit */
/** @typedef {{ sessionId: number, status: "ACTIVE" | "PAUSED" | "HALTED" | "STOPPED",
 *   currentCapital: number, totalPnL: number, todayPnL: number, unrealizedPnL: number,
 *   totalTrades: number, openTrades: number, winningTrades: number, losingTrades: number,
 *   winRate: number, timestamp: string }} Figures */
/** @typedef {{ sessionId: number, name: string, status: Figures["status"],
 *   statusReason: string | null, reason: string, detail: string | null,
 *   rules: Record<string, any>, charges: string | null,
 *   lock: Record<string, any> | null, waived: string[], waivedOn: string | null,
 *   timestamp: string }} Change */
/** @typedef {{ symbol: string, price: number, timestamp: string, asOf: string, source: string,
 *   stale: boolean }} Quote */

/**
 * What the server sends, by type; docs/protocol.md says what it means.
 * @typedef {object} Messages
 * @property {{ data: Quote }} price_update
 * @property {{ seq: number, data: Trade & Exits & { status: "OPEN" } }} trade_opened
 * @property {{ seq: number, data: Trade & Exit & { status: "CLOSED" } }} trade_closed
 * @property {{ seq: number, data: Change }} session_changed
 * @property {{ seq: number, recovered?: boolean, data: Figures }} session_update
 * @property {{ data: Trade & Exits & { currentPrice: number, unrealizedPnL: number,
 *   pnlPercent: number, stale: boolean } }} pnl_update
 * @property {{ data: { source: string, state: "LIVE" | "DEGRADED" | "DOWN", message: string,
 *   timestamp: string } }} feed_status
 * @property {{ data: { reconnectAfterMs: number } }} server_shutdown
 * @property {{ id?: string | number, timestamp: string }} pong
 * @property {{ id?: string | number, connectionId?: string, result: Subscription & {
 *   seq?: number | null, epoch?: string | null, recovered?: boolean, unknown?: string[] } }} ack
 * @property {{ id?: string | number, message: string, code?: string, detail?: string,
 *   retryAfterMs?: number, command?: Command }} error `command`: the one that was refused, if any
 */
/** @typedef {{ [T in keyof Messages]: { type: T } & Messages[T] }} Typed */
/** @typedef {Typed[keyof Messages]} AnyMessage */

/**
 * What the client itself says.
 * @typedef {object} Reports
 * @property {AnyMessage} message every message, after those who listen to its type
 * @property {{ text: string, transport: Transport }} raw a text as it came, before it is read
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

/** The types on a stream beside those of the session, which its `ack` names. */
const SSE_EVENTS = ["ack", "price_update", "feed_status", "server_shutdown", "server_error"];
/** After these another attempt would only be refused again. */
const FINAL_CODES = new Set([1003, 1007, 1009, 4500, 4502, 4503, 4507, 4509]);
const FINAL_STATUSES = new Set([400, 401, 403, 404, 421]);
/** Refusals that pass by themselves. */
const PASSING = new Set(["unavailable", "rate_limited", "internal"]);
const REDIRECTS = "the server redirects: is it https://?";
const BACK_OFF_MS = 1000;
const BACK_OFF_MAX_MS = 10_000;
/** What goes well for so long ends the back-off: to be answered, and lost again, does not. */
const STEADY_MS = 5000;
/** An opening that takes longer has failed. */
const OPEN_MS = 10_000;
/** How often a stream gets a `keep_alive`, and how often silence is looked for. */
const WATCH_MS = 15_000;
/** Silent watches until a connection counts as dead: it is found so 30 to 45 s after the last
 * message. */
const PATIENCE = 2;
/** After a sleep or a change of network a WebSocket has to answer within this. */
const PROOF_MS = 5000;
const WHY_MS = 8000;

/** @param {Partial<Subscription>} from @returns {Subscription} */
const subscription = ({
  sessionId,
  types,
  updateInterval,
  symbols,
  priceInterval,
  onlyChanges,
}) => ({
  sessionId: sessionId ?? null,
  types,
  updateInterval,
  symbols: symbols ?? [],
  priceInterval,
  onlyChanges,
});

/** @param {string[]} symbols @returns {string[]} as the server spells them */
const spelled = (symbols) => symbols.map((symbol) => symbol.trim().toUpperCase());

/** @param {[unknown, { command: Command }]} pending */
const isOfSession = ([, { command }]) => command.endsWith("_session");

/** Where and how a page is told that it was away: it slept, or its network changed.
 * @returns {[any, string][]} */
const waking = () => [
  [globalThis, "online"],
  [globalThis, "pageshow"],
  [globalThis.document, "visibilitychange"],
];

/** @param {string} text @returns {any} the message in it; undefined if there is none */
function parsed(text) {
  try {
    const message = JSON.parse(text);
    return typeof message?.type === "string" ? message : undefined;
  } catch {
    /* not JSON */
  }
}

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
 * After a lost connection it comes back by itself, takes up the same subscription and resumes the
 * session where it stopped: every event is delivered once and in order.
 */
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
  /** What the server last said that this connection has; a refused change falls back to it. */
  #accepted = subscription({});
  /** What was accepted when last no change was under way, maybe on an earlier connection. */
  #settled = subscription({});
  /** @type {string | null} */
  #connectionId = null;
  /** @type {Position | null} */
  #position = null;
  /** Where the page wants a session to start that is not yet accepted, without a number with a
   * fresh snapshot; undefined goes on at #position. `rewinds`: behind what was delivered.
   * @type {{ sessionId: number, seq?: number, epoch?: string, rewinds?: boolean } | undefined} */
  #start;
  /** Commands under way, by id (a stream has none), from where they resume, and the session's
   * types: more may be asked for before the answer. `passes`: refused for now, to be repeated.
   * @type {Map<any, { command: Command, from: any, types?: SessionType[], passes?: boolean }>} */
  #pending = new Map();
  #lastId = 0;
  #attempt = 0;
  #failedOpens = 0;
  /** @type {number | undefined} when to come back after what the server said */
  #orderedDelay;
  #lastError = "";
  /** @type {any} */
  #timer;
  /** @type {any} */
  #proof;
  /** @type {any} */
  #steady;
  /** @type {any} */
  #watchdog;
  #silence = 0;
  #heardAtMs = 0;
  #reopening = false;
  /** Ends what is asked beside a connection that failed. @type {AbortController | undefined} */
  #asking;
  #redirects = false;
  #woke = (/** @type {any} */ { type, persisted }) => {
    const isBack =
      type === "visibilitychange"
        ? globalThis.document.visibilityState === "visible"
        : type === "online" || persisted;
    if (isBack) this.#revive();
  };

  /**
   * @param {object} [options]
   * @param {string | URL} [options.url] the server's address, http(s) or ws(s); by default the one
   *   that this module was loaded from
   * @param {"auto" | Transport} [options.transport] `auto` takes WebSocket, and Server-Sent Events
   *   where that can't be opened
   * @param {new (url: string) => any} [options.WebSocket] a class to use where there is no global
   *   one
   * @param {new (url: string) => any} [options.EventSource] likewise
   */
  constructor(options = {}) {
    super();
    this.#base = new URL(options.url ?? new URL("..", import.meta.url));
    this.#base.protocol = this.#base.protocol.replace(/^ws/, "http");
    if (!/^https?:$/.test(this.#base.protocol)) {
      throw new TypeError(`url: the server's address with http:// or ws://, not ${this.#base}`);
    }
    this.#base.pathname = this.#base.pathname.replace(/\/?$/, "/");
    this.#choice = options.transport ?? "auto";
    this.#WebSocket = options.WebSocket ?? globalThis.WebSocket;
    this.#EventSource = options.EventSource ?? globalThis.EventSource;
  }

  /** The connection, as last reported by a `status` event. */
  get status() {
    return this.#status;
  }

  /** Where the session stands; to go on from later: `subscribeSession(id, { since: seq, epoch })`.
   * @returns {Position | null} */
  get position() {
    return this.#position && { ...this.#position };
  }

  /** The server's name for this connection, for its log; null while there is none. */
  get connectionId() {
    return this.#connectionId;
  }

  /**
   * Calls `listener` with every message of a type. One that throws disturbs nobody else.
   * @template {keyof Events} T
   * @param {T} type a message type, `message` for all of them, or `status`, `gap`, `raw`
   * @param {(message: Events[T]) => void} listener
   * @returns {() => void} ends it
   */
  on(type, listener) {
    const heard = (/** @type {any} */ event) => {
      try {
        listener(event.detail);
      } catch (error) {
        (globalThis.reportError ?? console.error)(error); // Node would end the process
      }
    };
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
    this.#choose(transport);
    for (const [place, type] of waking()) place?.addEventListener?.(type, this.#woke);
    this.#open();
  }

  /**
   * Goes over to another transport with subscription and position: nothing is lost or doubled.
   * Nothing happens where it is in use already; a closed client takes it at the next `connect`.
   * @param {"auto" | Transport} transport
   */
  use(transport) {
    const before = this.#transport;
    this.#choose(transport);
    if (this.#status.state !== "closed" && this.#transport !== before) this.#open();
  }

  /** Drops an open connection as a failing network would: it comes back by itself and resumes. */
  cut() {
    if (this.#status.state === "open") this.#lost("cut by the page");
  }

  /** Closes the connection; subscription and position are kept for another `connect`. */
  close() {
    this.#finish("closed by the page");
  }

  /**
   * Subscribes a session in place of any other. Without `since` it starts with a fresh snapshot;
   * but the one that is followed already, with `types` or `updateInterval`, goes on with these,
   * and nothing is lost or doubled.
   * @param {number} sessionId
   * @param {{ types?: SessionType[], updateInterval?: number, since?: number,
   *   epoch?: string }} [options]
   */
  subscribeSession(sessionId, { types, updateInterval, since, epoch } = {}) {
    const changes =
      since === undefined &&
      sessionId === this.#wanted.sessionId &&
      (types ?? updateInterval) !== undefined;
    Object.assign(this.#wanted, { sessionId, types });
    this.#wanted.updateInterval = updateInterval ?? this.#wanted.updateInterval;
    if (!changes) {
      const held = this.#position;
      const rewinds = since !== undefined && held?.sessionId === sessionId && since < held.seq;
      this.#start = { sessionId, seq: since, epoch, rewinds };
    }
    this.#command("subscribe_session", this.#sessionFields());
  }

  unsubscribeSession() {
    this.#wanted.sessionId = this.#position = null;
    this.#settled = { ...this.#settled, sessionId: null }; // to leave is never refused
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
    for (const held of [this.#wanted, this.#settled]) {
      held.symbols = held.symbols.filter((symbol) => !leaving.has(symbol));
    }
    this.#command("unsubscribe_prices", { symbols });
  }

  /** Asks for a `pong`. @returns {boolean} false where nobody can be asked: SSE, no connection */
  ping() {
    return this.#transport === "ws" && this.#send("ping", {});
  }

  /** @param {"auto" | Transport} choice */
  #choose(choice) {
    if (!["auto", "ws", "sse"].includes(choice)) {
      throw new TypeError(`transport: "auto", "ws" or "sse", not ${JSON.stringify(choice)}`);
    }
    const transport = choice === "auto" ? (this.#WebSocket ? "ws" : "sse") : choice;
    const [name, found] =
      transport === "ws" ? ["WebSocket", this.#WebSocket] : ["EventSource", this.#EventSource];
    if (!found) throw new TypeError(`there is no ${name} here: pass one as the option ${name}`);
    this.#choice = choice;
    this.#transport = transport;
    this.#attempt = this.#failedOpens = 0;
    this.#redirects = false;
  }

  #open() {
    this.#drop();
    this.#heard();
    this.#watchdog = setInterval(() => this.#watch(), WATCH_MS);
    if (this.#transport === "ws") this.#openWebSocket();
    else if (this.#wantsAnything) this.#openEventSource();
    else this.#wait("nothing is subscribed yet");
  }

  /** @param {any} Kind @param {URL} url @returns {any} a link; undefined if the page may not
   * make one, as its Content-Security-Policy or mixed content forbids it, or does not
   * want it any more */
  #make(Kind, url) {
    let failure;
    try {
      this.#link = new Kind(url.href);
    } catch (error) {
      failure = error instanceof Error ? error.message : String(error);
    }
    const link = this.#link;
    this.#after(OPEN_MS, () => this.#lost(`no answer within ${OPEN_MS / 1000} s`));
    const connecting = this.#report("connecting", url.host);
    if (this.#status !== connecting) return;
    if (failure === undefined) return link;
    this.#lost(failure);
  }

  #openWebSocket() {
    const url = new URL("ws/auto-trader", this.#base);
    url.protocol = url.protocol.replace("http", "ws");
    const socket = this.#make(this.#WebSocket, url);
    if (!socket) return;
    socket.onopen = () => {
      if (this.#link !== socket) return;
      this.#accepted = subscription({});
      this.#sendSession();
      this.#sendSymbols();
      this.#opened();
    };
    socket.onmessage = (/** @type {any} */ event) => this.#receive(socket, event.data);
    socket.onerror = () => {
      // `close` follows and says more, except where the page is forbidden
      if (this.#link !== socket || socket.readyState !== 3) return;
      this.#after(0, () => this.#lost(`no WebSocket: does connect-src allow ${url.origin}?`));
    };
    socket.onclose = (/** @type {any} */ { code, reason }) => {
      if (this.#link === socket) this.#lost(reason || `the connection ended (${code})`, code);
    };
  }

  #openEventSource() {
    const url = new URL("sse/auto-trader", this.#base);
    const from = this.#resumption();
    const { types } = this.#wanted;
    this.#pending.set(undefined, { command: "subscribe_session", from, types });
    const lastEventId =
      from?.seq === undefined ? "" : [from.sessionId, from.seq, from.epoch ?? []].flat().join("-");
    const query = { ...this.#wanted, lastEventId, keepAlive: "event" };
    for (const [name, value] of Object.entries(query)) {
      const text = String(value ?? "");
      if (text) url.searchParams.set(name, text);
    }
    const source = this.#make(this.#EventSource, url);
    if (!source) return;
    this.#hear(source, SSE_EVENTS);
    source.addEventListener("keep_alive", () => {
      if (this.#link === source) this.#heard();
    });
    // Left alone it would come back at a fixed pace, however long the server is in trouble.
    source.onerror = () => {
      if (this.#link !== source) return;
      if (source.readyState === 2) this.#askWhy(source, url);
      else this.#lost(this.#lastError || "the stream ended");
    };
  }

  /** EventSource gives only what was asked for by name. @param {any} source
   * @param {string[]} types */
  #hear(source, types) {
    for (const type of types) {
      source.addEventListener(type, (/** @type {any} */ event) =>
        this.#receive(source, event.data),
      );
    }
  }

  /** EventSource hides the status and the text of a refusal; a plain request shows them.
   * @param {any} source @param {URL} url */
  async #askWhy(source, url) {
    let problem,
      status = 0;
    this.#asking = new AbortController();
    const { signal } = this.#asking;
    this.#after(WHY_MS, () => this.#lost("the server can't be reached"));
    try {
      const response = await fetch(url, { signal });
      status = response.status;
      if (/json/.test(response.headers.get("content-type") ?? "")) problem = await response.json();
      else await response.body?.cancel();
    } catch {
      /* nobody there: no answer to report */
    }
    if (this.#link !== source) return;
    const { detail, title, code } = problem ?? {};
    const message = detail ?? title ?? (status ? `HTTP ${status}` : "the server can't be reached");
    const command = this.#change();
    // What is no problem document may be a proxy's word for a server that restarts.
    if (!problem || !FINAL_STATUSES.has(status)) this.#lost(message);
    else if (!command) this.#finish(message);
    else {
      this.#settle(this.#settled);
      this.#open();
    }
    if (problem) this.#emit({ type: "error", code, message, command });
  }

  /** A WebSocket does not follow redirects and does not tell of them; EventSource would, and stay.
   */
  async #askForRedirect() {
    this.#asking = new AbortController();
    const { signal } = this.#asking;
    try {
      const { type, status } = await fetch(new URL("livez", this.#base), {
        redirect: "manual",
        signal,
      });
      // Browsers show no more than the type, Node.js the status.
      this.#redirects = type === "opaqueredirect" || (status >= 300 && status < 400);
    } catch {
      /* nobody there, or nobody who may be asked */
    }
    if (signal.aborted || !this.#redirects) return;
    const { code, retryInMs } = this.#status;
    if (this.#choice === "auto" && this.#WebSocket) this.#transport = "ws";
    this.#report("waiting", REDIRECTS, { code, retryInMs });
  }

  #opened() {
    this.#failedOpens = -Infinity; // what has opened once is not exchanged
    clearTimeout(this.#timer);
    this.#steadies();
    this.#report("open", this.#base.host);
  }

  /** A vanished peer (sleep, change of network) sends no close: ask, then give up. */
  #watch() {
    if (!this.#link) return;
    if (++this.#silence > PATIENCE) this.#lost("the server fell silent");
    else if (this.#silence === PATIENCE) this.ping();
  }

  /** Something came. */
  #heard() {
    this.#silence = 0;
    this.#heardAtMs = Date.now();
    clearTimeout(this.#proof);
  }

  /** The page was away: what it held may be gone without a word. */
  #revive() {
    if (this.#status.state !== "open") this.#open();
    else if (this.ping()) {
      clearTimeout(this.#proof);
      this.#proof = setTimeout(() => this.#lost("the server fell silent"), PROOF_MS);
    } else if (Date.now() - this.#heardAtMs > WATCH_MS) this.#open();
  }

  /** @param {string} detail @param {number} [code] */
  #lost(detail, code) {
    const opening = this.#status.state === "connecting";
    const orderedDelay = this.#orderedDelay;
    this.#drop();
    if (code && FINAL_CODES.has(code)) return this.#finish(detail, code);
    if (opening && ++this.#failedOpens > 0) {
      if (this.#redirects) detail = REDIRECTS;
      else if (this.#exchange()) {
        const [name, other] =
          this.#transport === "sse" ? ["WebSocket", "SSE"] : ["SSE", "WebSocket"];
        detail = `${name} could not be opened, trying ${other}`;
      }
    }
    this.#wait(detail, { code, retryInMs: orderedDelay ?? this.#backOff() });
    if (opening && this.#failedOpens >= 0 && !this.#redirects) this.#askForRedirect();
  }

  /** Takes the other transport after each second failure. @returns {boolean} done? */
  #exchange() {
    if (this.#choice !== "auto" || !this.#EventSource || !this.#WebSocket) return false;
    if (!this.#wantsAnything || this.#failedOpens % 2) return false;
    this.#transport = this.#transport === "ws" ? "sse" : "ws";
    this.#attempt -= 1; // it has not been tried yet, and waits no longer than the last one did
    return true;
  }

  /** @param {string} detail @param {{ code?: number, retryInMs?: number }} [more] */
  #wait(detail, more) {
    if (more) this.#after(more.retryInMs, () => this.#open());
    this.#report("waiting", detail, more);
  }

  /** In place of what else was to happen. @param {number | undefined} ms
   * @param {() => void} action */
  #after(ms, action) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(action, ms);
  }

  #steadies() {
    this.#steady = setTimeout(() => {
      this.#attempt = 0;
    }, STEADY_MS);
  }

  /** Full jitter: clients that were cut together don't come back together, and those that the
   * server told the same delay neither. @param {number} [least] that delay */
  #backOff(least = 0) {
    clearTimeout(this.#steady);
    const most = Math.min(BACK_OFF_MAX_MS, BACK_OFF_MS * 2 ** this.#attempt++);
    return Math.round(least + Math.random() * most);
  }

  /** @param {string} detail @param {number} [code] */
  #finish(detail, code) {
    this.#drop();
    for (const [place, type] of waking()) place?.removeEventListener?.(type, this.#woke);
    if (this.#status.state !== "closed") this.#report("closed", detail, { code });
  }

  #drop() {
    const link = this.#link;
    this.#link = null;
    this.#connectionId = null;
    this.#orderedDelay = undefined;
    this.#pending.clear();
    clearTimeout(this.#timer);
    clearTimeout(this.#proof);
    clearTimeout(this.#steady);
    this.#asking?.abort();
    clearInterval(this.#watchdog);
    link?.close();
  }

  get #wantsAnything() {
    return this.#wanted.sessionId !== null || this.#wanted.symbols.length > 0;
  }

  /** Where the wanted session goes on. */
  #resumption() {
    const from = this.#start ?? this.position;
    return from?.sessionId === this.#wanted.sessionId ? from : undefined;
  }

  #sessionFields() {
    const { sessionId, types, updateInterval } = this.#wanted;
    const from = this.#resumption();
    return { sessionId, types, updateInterval, since: from?.seq, epoch: from?.epoch };
  }

  #sendSession() {
    if (this.#wanted.sessionId !== null) this.#send("subscribe_session", this.#sessionFields());
  }

  /** Symbols that were confirmed before go apart from new ones, so that a refusal does not take
   * them along. */
  #sendSymbols() {
    const { symbols, priceInterval, onlyChanges } = this.#wanted;
    const old = new Set(this.#settled.symbols);
    for (const known of [true, false]) {
      const part = symbols.filter((symbol) => old.has(symbol) === known);
      const fields = { symbols: part, priceInterval, onlyChanges };
      if (part.length) this.#send("subscribe_prices", fields);
    }
  }

  /** Sends again what was refused for now. */
  #repeat() {
    const passed = [...this.#pending].filter(([, { passes }]) => passes);
    for (const [id] of passed) this.#pending.delete(id);
    this.#steadies();
    if (passed.some(isOfSession)) this.#sendSession();
    if (!passed.every(isOfSession)) this.#sendSymbols();
    if (this.#pending.size === 0) this.#settle(this.#accepted);
  }

  /** Tells the server of a change in #wanted: by a command, or on SSE by one new stream for all
   * changes of this turn. Without a connection the next one will tell.
   * @param {Command} type @param {object} fields */
  #command(type, fields) {
    if (this.#transport === "ws") this.#send(type, fields);
    else if (!this.#reopening && this.#status.state !== "closed") {
      this.#reopening = true;
      queueMicrotask(() => {
        this.#reopening = false;
        if (this.#transport === "sse" && this.#status.state !== "closed") this.#open();
      });
    }
  }

  /** @param {Command | "ping"} type @param {object} fields @returns {boolean} was it sent? */
  #send(type, fields) {
    if (this.#link?.readyState !== 1) return false;
    const id = ++this.#lastId;
    if (type.endsWith("_session")) {
      // it takes the place of one that would have been repeated
      for (const entry of this.#pending) {
        if (entry[1].passes && isOfSession(entry)) this.#pending.delete(entry[0]);
      }
    }
    if (type !== "ping") {
      const { types } = this.#wanted;
      this.#pending.set(id, { command: type, from: this.#resumption(), types });
    }
    this.#link.send(JSON.stringify({ type, id, ...fields }));
    return true;
  }

  /** @param {any} link the connection that it came on @param {string} text */
  #receive(link, text) {
    if (this.#link !== link) return;
    this.#heard();
    this.#dispatch("raw", { text, transport: this.#transport });
    if (this.#link !== link) return; // ended by a listener
    const message = parsed(text) ?? {
      type: "error",
      code: "bad_json",
      message: `the server sent no message: ${text}`.slice(0, 200),
    };
    if (message.type === "error") this.#refused(message);
    else this.#lastError = "";
    if (message.type === "server_shutdown") this.#orderedDelay = message.data?.reconnectAfterMs;
    if (message.type === "ack") this.#acknowledged(message);
    if (this.#advances(message)) this.#emit(message);
  }

  /** @param {Typed["ack"]} message */
  #acknowledged({ id, connectionId, result }) {
    const { command, from, types } = this.#pending.get(id) ?? {};
    if (this.#transport === "sse") this.#hear(this.#link, result.types ?? []);
    // Left out they stay left out: a newer server has more of them.
    this.#accepted = subscription({
      ...result,
      types: command === "subscribe_session" ? types : this.#accepted.types,
    });
    this.#connectionId = connectionId ?? null;
    const { sessionId } = this.#accepted;
    if (sessionId !== null && command === "subscribe_session") this.#begun(sessionId, from, result);
    this.#answered(id);
    if (id === undefined) this.#opened();
  }

  /** Moves the position to where an accepted session begins.
   * @param {number} sessionId @param {any} from where its command resumed
   * @param {Typed["ack"]["result"]} result */
  #begun(sessionId, from, { seq, epoch, recovered }) {
    if (from === this.#start) this.#start = undefined;
    let at = seq ?? 0;
    if (from?.seq !== undefined) {
      const held = this.#position;
      const isHeld = held?.sessionId === sessionId && held.epoch === (from.epoch ?? held.epoch);
      // Events may have come while the command was on its way: only a page goes back behind them.
      const before = isHeld && !from.rewinds ? Math.max(from.seq, held.seq) : from.seq;
      from.rewinds = false;
      if (recovered) at = before;
      else if (recovered === false) this.#missed(sessionId, before, at);
    }
    this.#position = { sessionId, seq: at, epoch: epoch ?? undefined };
  }

  /** Completes the message with the command that was refused. @param {Typed["error"]} refusal */
  #refused(refusal) {
    const { id, code, message, retryAfterMs } = refusal;
    const pending = this.#pending.get(id);
    this.#lastError = message;
    if (this.#transport === "sse") {
      refusal.command = this.#change();
      this.#orderedDelay = this.#backOff(retryAfterMs); // the stream ends after it
    } else if (pending) {
      const { command } = pending;
      refusal.command = command;
      const isSuperseded = command === "subscribe_session" && this.#isSuperseded(id);
      if (PASSING.has(code ?? "") && !isSuperseded) {
        pending.passes = true;
        this.#after(this.#backOff(retryAfterMs), () => this.#repeat());
      } else {
        if (command === "subscribe_session" && !isSuperseded) this.#goBack();
        this.#answered(id);
      }
    }
  }

  /** @param {any} id @returns {boolean} is a newer command for a session under way? */
  #isSuperseded(id) {
    return [...this.#pending].some((entry) => entry[0] > id && isOfSession(entry));
  }

  /** Where a new connection refuses a session that was asked for while the old one was lost, the
   * session before it is not there yet. */
  #goBack() {
    const { sessionId, types, updateInterval } = this.#settled;
    if (
      sessionId === null ||
      sessionId === this.#wanted.sessionId ||
      this.#accepted.sessionId !== null
    )
      return;
    Object.assign(this.#wanted, { sessionId, types, updateInterval });
    this.#start = undefined;
    this.#send("subscribe_session", this.#sessionFields());
  }

  /** @param {unknown} id */
  #answered(id) {
    this.#pending.delete(id);
    // With no command under way the server's word is the truth: a refused change is forgotten.
    if (this.#pending.size === 0) this.#settle(this.#accepted);
    else if (![...this.#pending].some(isOfSession)) this.#start = undefined;
  }

  /** @param {Subscription} truth */
  #settle(truth) {
    this.#accepted = truth;
    this.#settled = subscription(truth);
    this.#wanted = subscription(truth);
    this.#start = undefined;
    if (truth.sessionId === null) this.#position = null;
  }

  /** @returns {Command | undefined} what is wanted but not confirmed yet. One stream stands for
   * both halves of a subscription; if both changed, it is the session's. */
  #change() {
    const differs = (/** @type {(keyof Subscription)[]} */ ...names) =>
      names.some((name) => String(this.#wanted[name]) !== String(this.#settled[name]));
    if (differs("sessionId", "types", "updateInterval")) return "subscribe_session";
    if (differs("symbols", "priceInterval", "onlyChanges")) return "subscribe_prices";
  }

  /** Moves the position on. What carries a `seq` is an event, also of a type that is not known
   * here; only `session_update` is state, which says how many events there are.
   * @param {any} message @returns {boolean} false for an event that was delivered before */
  #advances({ type, seq, data }) {
    const position = this.#position;
    if (seq === undefined || !position) return true;
    if ((data?.sessionId ?? position.sessionId) !== position.sessionId) return true;
    const before = position.seq;
    if (seq <= before) return type === "session_update";
    position.seq = seq;
    const unseen = type === "session_update" ? seq : seq - 1;
    // Of some types only, the numbers that are left out are no loss.
    if (!this.#accepted.types && unseen > before) this.#missed(position.sessionId, before, unseen);
    return true;
  }

  /** @param {number} sessionId @param {number} from @param {number} to */
  #missed(sessionId, from, to) {
    this.#dispatch("gap", { sessionId, from, to, recovered: false });
  }

  /** @param {AnyMessage} message */
  #emit(message) {
    this.#dispatch(message.type, message);
    this.#dispatch("message", message);
  }

  /** @param {Status["state"]} state @param {string} detail
   * @param {{ code?: number, retryInMs?: number }} [more]
   * @returns {Status} which listeners may have changed since */
  #report(state, detail, more) {
    const status = { state, transport: this.#transport, detail, ...more };
    this.#status = status;
    this.#dispatch("status", status);
    return status;
  }

  /** @template {keyof Events} T @param {T} type @param {Events[T]} detail */
  #dispatch(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
