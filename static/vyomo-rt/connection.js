// @ts-check
/** The life of a client's connections: open, lose, wait, change transport. */
import { BackOff } from "./backoff.js";
import { askForRedirect, askWhy } from "./inquiry.js";
import { Liveness, onReturn } from "./liveness.js";
import { Subscriptions } from "./subscription.js";

/** @import { AnyMessage, Events, Status, Transport, Typed } from "../vyomo-rt.js" */
/** @import { Change } from "./subscription.js" */

/** @typedef {<T extends keyof Events>(type: T, detail: Events[T]) => void} Report */
/** @typedef {new (url: string) => any} LinkClass */
/** @typedef {{ base: URL, transport: "auto" | Transport, WebSocket?: LinkClass,
 *   EventSource?: LinkClass }} Means */

/** The types on a stream beside those of the session, which its `ack` names. */
const SSE_EVENTS = ["ack", "price_update", "feed_status", "server_shutdown", "server_error"];
/** After these another attempt would only be refused again. */
const FINAL_CODES = new Set([1003, 1007, 1009, 4500, 4502, 4503, 4507, 4509]);
const FINAL_STATUSES = new Set([400, 401, 403, 404, 421]);
const REDIRECTS = "the server redirects: is it https://?";
const SILENT = "the server fell silent";
/** An opening that takes longer has failed. */
const OPEN_MS = 10_000;
const WHY_MS = 8000;

/** @param {string} text @returns {any} the message in it; undefined if there is none */
function parsed(text) {
  try {
    const message = JSON.parse(text);
    return typeof message?.type === "string" ? message : undefined;
  } catch {
    /* not JSON */
  }
}

export class Connection {
  /** @type {Status} */
  #status = { state: "closed", transport: "ws", detail: "not connected yet" };
  #means;
  #choice;
  #report;
  /** @type {Transport} */
  #transport = "ws";
  /** @type {any} the WebSocket or EventSource in use; events of any other are ignored */
  #link = null;
  /** @type {string | null} */
  #id = null;
  #failedOpens = 0;
  #redirects = false;
  /** @type {number | undefined} when to come back after what the server said */
  #orderedDelay;
  #lastError = "";
  /** @type {any} */
  #timer;
  #reopening = false;
  /** Ends the inquiry about a failed connection. @type {AbortController | undefined} */
  #asking;
  #ignoreReturns = () => {};
  #backOff = new BackOff();
  #liveness = new Liveness(
    () => this.ping(),
    () => {
      if (this.#link) this.#lost(SILENT);
    },
  );
  subscription = new Subscriptions(
    (message) => this.#write(message),
    (gap) => this.#report("gap", gap),
  );

  /** @param {Means} means @param {Report} report */
  constructor(means, report) {
    this.#means = means;
    this.#choice = means.transport;
    this.#report = report;
  }

  get status() {
    return this.#status;
  }

  /** The server's name for the connection; null while there is none. */
  get id() {
    return this.#id;
  }

  connect(choice = this.#choice) {
    if (this.#status.state !== "closed") return;
    this.#choose(choice);
    this.#ignoreReturns = onReturn(() => this.#revive());
    this.#open();
  }

  /** @param {"auto" | Transport} choice */
  use(choice) {
    const before = this.#transport;
    this.#choose(choice);
    if (this.#status.state !== "closed" && this.#transport !== before) this.#open();
  }

  cut() {
    if (this.#status.state === "open") this.#lost("cut by the page");
  }

  close() {
    this.#finish("closed by the page");
  }

  /** @returns {boolean} false if that is impossible */
  ping() {
    return this.subscription.ping();
  }

  /** Tells the server of a change: by a command, or on SSE by one new stream for all changes of
   * this turn. Without a connection, the next one tells it. @param {Change} change */
  tell(change) {
    if (this.#transport === "ws") this.subscription.send(change);
    else if (!this.#reopening && this.#status.state !== "closed") {
      this.#reopening = true;
      queueMicrotask(() => {
        this.#reopening = false;
        if (this.#transport === "sse" && this.#status.state !== "closed") this.#open();
      });
    }
  }

  /** @param {"auto" | Transport} choice */
  #choose(choice) {
    if (!["auto", "ws", "sse"].includes(choice)) {
      throw new TypeError(`transport: "auto", "ws" or "sse", not ${JSON.stringify(choice)}`);
    }
    const { WebSocket, EventSource } = this.#means;
    const transport = choice === "auto" ? (WebSocket ? "ws" : "sse") : choice;
    const [name, found] =
      transport === "ws" ? ["WebSocket", WebSocket] : ["EventSource", EventSource];
    if (!found) throw new TypeError(`there is no ${name} here: pass one as the option ${name}`);
    this.#choice = choice;
    this.#transport = transport;
    this.#backOff.reset();
    this.#failedOpens = 0;
    this.#redirects = false;
  }

  #open() {
    this.#drop();
    this.#liveness.start();
    if (this.#transport === "ws") this.#openWebSocket();
    else if (this.subscription.isEmpty) this.#wait("nothing is subscribed yet");
    else this.#openEventSource();
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
    const connecting = this.#become("connecting", url.host);
    if (this.#status !== connecting) return;
    if (failure === undefined) return link;
    this.#lost(failure);
  }

  #openWebSocket() {
    const url = new URL("ws/auto-trader", this.#means.base);
    url.protocol = url.protocol.replace("http", "ws");
    const socket = this.#make(this.#means.WebSocket, url);
    if (!socket) return;
    socket.onopen = () => {
      if (this.#link !== socket) return;
      this.subscription.askAll();
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
    const url = new URL("sse/auto-trader", this.#means.base);
    const query = { ...this.subscription.query(), keepAlive: "event" };
    for (const [name, value] of Object.entries(query)) {
      const text = String(value ?? "");
      if (text) url.searchParams.set(name, text);
    }
    const source = this.#make(this.#means.EventSource, url);
    if (!source) return;
    this.#hear(source, SSE_EVENTS);
    source.addEventListener("keep_alive", () => {
      if (this.#link === source) this.#liveness.heard();
    });
    // Left alone it would come back at a fixed pace, however long the server is in trouble.
    source.onerror = () => {
      if (this.#link !== source) return;
      if (source.readyState === 2) this.#refused(source, url);
      else this.#lost(this.#lastError || "the stream ended");
    };
  }

  /** EventSource delivers only the types that were asked for by name. @param {any} source
   * @param {string[]} types */
  #hear(source, types) {
    const listener = (/** @type {any} */ event) => this.#receive(source, event.data);
    for (const type of types) source.addEventListener(type, listener);
  }

  /** A stream was refused. @param {any} source @param {URL} url */
  async #refused(source, url) {
    this.#asking = new AbortController();
    this.#after(WHY_MS, () => this.#lost("the server can't be reached"));
    const { status, problem } = await askWhy(url, this.#asking.signal);
    if (this.#link !== source) return;
    const { detail, title, code } = problem ?? {};
    const message = detail ?? title ?? (status ? `HTTP ${status}` : "the server can't be reached");
    const command = this.subscription.unconfirmed();
    // What is no problem document may be a proxy's word for a server that restarts.
    if (!problem || !FINAL_STATUSES.has(status)) this.#lost(message);
    else if (!command) this.#finish(message);
    else {
      this.subscription.revert();
      this.#open();
    }
    if (problem) this.#emit({ type: "error", code, message, command });
  }

  async #lookForRedirect() {
    this.#asking = new AbortController();
    const { signal } = this.#asking;
    this.#redirects = (await askForRedirect(this.#means.base, signal)) ?? this.#redirects;
    if (signal.aborted || !this.#redirects) return;
    const { code, retryInMs } = this.#status;
    if (this.#choice === "auto" && this.#means.WebSocket) this.#transport = "ws";
    this.#become("waiting", REDIRECTS, { code, retryInMs });
  }

  #opened() {
    this.#failedOpens = -Infinity; // what has opened once is not exchanged
    clearTimeout(this.#timer);
    this.#backOff.begin();
    this.#become("open", this.#means.base.host);
  }

  /** The page was away. */
  #revive() {
    if (this.#status.state !== "open" || !this.#liveness.prove()) this.#open();
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
    this.#wait(detail, { code, retryInMs: orderedDelay ?? this.#backOff.next() });
    if (opening && this.#failedOpens >= 0 && !this.#redirects) this.#lookForRedirect();
  }

  /** Takes the other transport after each second failure. @returns {boolean} done? */
  #exchange() {
    const { WebSocket, EventSource } = this.#means;
    if (this.#choice !== "auto" || !EventSource || !WebSocket) return false;
    if (this.subscription.isEmpty || this.#failedOpens % 2) return false;
    this.#transport = this.#transport === "ws" ? "sse" : "ws";
    this.#backOff.forgive(); // it has not been tried yet, and waits no longer than the last one did
    return true;
  }

  /** @param {string} detail @param {{ code?: number, retryInMs?: number }} [more] */
  #wait(detail, more) {
    if (more) this.#after(more.retryInMs, () => this.#open());
    this.#become("waiting", detail, more);
  }

  /** In place of what else was to happen. @param {number | undefined} ms
   * @param {() => void} action */
  #after(ms, action) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(action, ms);
  }

  /** @param {string} detail @param {number} [code] */
  #finish(detail, code) {
    this.#drop();
    this.#ignoreReturns();
    if (this.#status.state !== "closed") this.#become("closed", detail, { code });
  }

  #drop() {
    const link = this.#link;
    this.#link = null;
    this.#id = null;
    this.#orderedDelay = undefined;
    this.subscription.drop();
    this.#liveness.stop();
    this.#backOff.stop();
    clearTimeout(this.#timer);
    this.#asking?.abort();
    link?.close();
  }

  /** @param {object} message @returns {boolean} was it sent? */
  #write(message) {
    if (this.#transport !== "ws" || this.#link?.readyState !== 1) return false;
    this.#link.send(JSON.stringify(message));
    return true;
  }

  /** @param {any} link the connection that it came on @param {string} text */
  #receive(link, text) {
    if (this.#link !== link) return;
    this.#liveness.heard();
    this.#report("raw", { text, transport: this.#transport });
    if (this.#link !== link) return; // ended by a listener
    const message = parsed(text) ?? {
      type: "error",
      code: "bad_json",
      message: `the server sent no message: ${text}`.slice(0, 200),
    };
    if (message.type === "error") this.#noteError(message);
    else this.#lastError = "";
    if (message.type === "server_shutdown") this.#orderedDelay = message.data?.reconnectAfterMs;
    if (message.type === "ack") this.#noteAck(message);
    if (this.subscription.advance(message)) this.#emit(message);
  }

  /** @param {Typed["ack"]} ack */
  #noteAck(ack) {
    if (this.#transport === "sse") this.#hear(this.#link, ack.result.types ?? []);
    this.#id = ack.connectionId ?? null;
    this.subscription.acknowledge(ack);
    if (ack.id === undefined) this.#opened();
  }

  /** @param {Typed["error"]} error */
  #noteError(error) {
    this.#lastError = error.message;
    if (this.#transport === "sse") {
      error.command = this.subscription.unconfirmed();
      this.#orderedDelay = this.#backOff.next(error.retryAfterMs); // the stream ends after it
    } else if (this.subscription.refuse(error)) {
      this.#after(this.#backOff.next(error.retryAfterMs), () => {
        this.#backOff.begin();
        this.subscription.repeat();
      });
    }
  }

  /** @param {AnyMessage} message */
  #emit(message) {
    this.#report(message.type, message);
    this.#report("message", message);
  }

  /** @param {Status["state"]} state @param {string} detail
   * @param {{ code?: number, retryInMs?: number }} [more]
   * @returns {Status} which listeners may have changed since */
  #become(state, detail, more) {
    const status = { state, transport: this.#transport, detail, ...more };
    this.#status = status;
    this.#report("status", status);
    return status;
  }
}
