// @ts-check
/** The life of a client's connections: open, lose, wait, change transport. */
import { BackOff } from "./backoff.js";
import { askForRedirect, askForTicket, askWhy } from "./inquiry.js";
import { EventSourceLink, socketUrl, streamUrl, WebSocketLink } from "./links.js";
import { Liveness, onReturn } from "./liveness.js";
import { parsed } from "./messages.js";
import { Subscriptions } from "./subscription.js";
import { NoToken, Tokens } from "./tokens.js";

/** @import { AnyMessage, Events, Status, Transport, Typed } from "../vyomo-rt.js" */
/** @import { Change } from "./subscription.js" */
/** @typedef {<T extends keyof Events>(type: T, detail: Events[T]) => void} Report */
/** @import { LinkClass } from "./links.js" */
/** @import { GetToken } from "./tokens.js" */

/** @typedef {{ base: URL, transport: "auto" | Transport, getToken?: GetToken,
 *   WebSocket?: LinkClass, EventSource?: LinkClass }} Means */

/** After these another attempt would only be refused again. */
const FINAL_CODES = new Set([1003, 1007, 1009, 4500, 4502, 4503, 4507, 4509]);
const FINAL_STATUSES = new Set([400, 401, 403, 404, 421]);
const REDIRECTS = "the server redirects: is it https://?";
/** The `id` of the first message of a page with a token. */
const AUTH_ID = "auth";
const TOKEN_ENDED = 4005;
const BAD_TOKEN = 4500;
const SILENT = "the server fell silent";
/** An opening that takes longer has failed. */
const OPEN_MS = 10_000;
const WHY_MS = 8000;

export class Connection {
  /** @type {Status} */
  #status = { state: "closed", transport: "ws", detail: "not connected yet" };
  #means;
  #choice;
  #report;
  #tokens;
  /** @type {Transport} */
  #transport = "ws";
  /** @type {WebSocketLink | EventSourceLink | null} */
  #link = null;
  /** What this connection was opened with, or goes on with; empty without access control. */
  #token = "";
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
    this.#tokens = new Tokens(means.getToken);
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
    if (this.#transport === "sse" && this.subscription.isEmpty) {
      this.#wait("nothing is subscribed yet");
    } else if (this.#tokens.areNeeded) this.#openWithToken();
    else this.#openLink();
  }

  async #openWithToken() {
    this.#asking = new AbortController();
    const { signal } = this.#asking;
    const { base } = this.#means;
    let token = "";
    this.#after(OPEN_MS, () => this.#lost(`no token within ${OPEN_MS / 1000} s`));
    this.#become("connecting", base.host);
    try {
      token = await this.#tokens.current();
      const ticket =
        this.#transport === "sse" && !signal.aborted
          ? await askForTicket(base, this.#streamUrl(), token, signal)
          : undefined;
      if (signal.aborted) return;
      this.#token = token;
      this.#openLink(ticket);
    } catch (error) {
      if (!signal.aborted) this.#unwelcome(token, /** @type {any} */ (error));
    }
  }

  /** There is no token or no ticket. @param {string} token
   * @param {Error & { status?: number, retryAfterMs?: number }} error */
  #unwelcome(token, error) {
    if (error instanceof NoToken) return this.#finish(error.message);
    if (error.status === 401) this.#tokens.refuse(token, error.message);
    this.#orderedDelay = this.#backOff.next(error.retryAfterMs);
    this.#lost(error.message);
  }

  #streamUrl() {
    return streamUrl(this.#means.base, { ...this.subscription.query(), keepAlive: "event" });
  }

  /** @param {string} [ticket] */
  #openLink(ticket) {
    const { base, WebSocket, EventSource } = this.#means;
    const isSocket = this.#transport === "ws";
    const url = isSocket ? socketUrl(base) : this.#streamUrl();
    if (ticket) url.searchParams.set("ticket", ticket);
    let failure;
    try {
      const ear = this.#ear;
      // The transport was chosen by what there is.
      this.#link = isSocket
        ? new WebSocketLink(/** @type {LinkClass} */ (WebSocket), base, ear)
        : new EventSourceLink(/** @type {LinkClass} */ (EventSource), url, ear);
    } catch (error) {
      // its Content-Security-Policy or mixed content forbids the page to make one
      failure = error instanceof Error ? error.message : String(error);
    }
    this.#after(OPEN_MS, () => this.#lost(`no answer within ${OPEN_MS / 1000} s`));
    const connecting = this.#become("connecting", url.host);
    if (failure !== undefined && this.#status === connecting) this.#lost(failure);
  }

  /** What a link in use tells. @type {import("./links.js").Ear} */
  #ear = {
    opened: () => {
      if (this.#token) this.#write({ type: "auth", id: AUTH_ID, token: this.#token });
      this.subscription.askAll();
      if (!this.#token) this.#opened();
    },
    received: (text) => this.#receive(text),
    heard: () => this.#liveness.heard(),
    lost: (detail, code) => this.#lost((code === undefined && this.#lastError) || detail, code),
    refused: (url) => this.#refused(url),
  };

  /** A stream was refused. @param {URL} url */
  async #refused(url) {
    const link = this.#link;
    this.#asking = new AbortController();
    this.#after(WHY_MS, () => this.#lost("the server can't be reached"));
    const { status, problem } = await askWhy(url, this.#asking.signal);
    if (this.#link !== link) return;
    const { detail, title, code } = problem ?? {};
    const message = detail ?? title ?? (status ? `HTTP ${status}` : "the server can't be reached");
    // Who asks was refused, not what was asked for: that is asked for again.
    const isOfTheAsker = status === 401;
    const command = isOfTheAsker ? undefined : this.subscription.unconfirmed();
    // What is no problem document may be a proxy's word for a server that restarts.
    const mayPass = !problem || !FINAL_STATUSES.has(status) || (isOfTheAsker && this.#token);
    if (mayPass) this.#lost(message);
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
    if (this.#token && (code === TOKEN_ENDED || (code === BAD_TOKEN && opening))) {
      this.#tokens.refuse(this.#token, detail);
    } else if (code && FINAL_CODES.has(code)) return this.#finish(detail, code);
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

  /** Instead of what else was to happen. @param {number | undefined} ms @param {() => void} act */
  #after(ms, act) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(act, ms);
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
    return this.#link?.send(message) ?? false;
  }

  /** @param {string} text */
  #receive(text) {
    const link = this.#link;
    this.#liveness.heard();
    this.#report("raw", { text, transport: this.#transport });
    if (this.#link !== link) return; // ended by a listener
    const message = parsed(text);
    if (message.type === "error") this.#noteError(message);
    else this.#lastError = "";
    if (message.type === "server_shutdown") this.#orderedDelay = message.data?.reconnectAfterMs;
    if (message.type === "token_expiring" && this.#tokens.areNeeded) this.#renewToken();
    if (message.type === "ack") this.#noteAck(message);
    if (this.subscription.advance(message)) this.#emit(message);
  }

  /** @param {Typed["ack"]} ack */
  #noteAck(ack) {
    if (this.#link instanceof EventSourceLink) this.#link.hear(ack.result.types ?? []);
    this.#id = ack.connectionId ?? null;
    const isForToken = ack.id === AUTH_ID; // its position may be ahead of what has come
    if (!isForToken) this.subscription.acknowledge(ack);
    if (ack.id === undefined || (isForToken && this.#status.state !== "open")) this.#opened();
  }

  /** The token will end: the connection goes on with the next one, or a stream ends and is
   * opened with that. */
  async #renewToken() {
    const link = this.#link;
    try {
      const token = await this.#tokens.renew();
      if (this.#link !== link || token === this.#token) return;
      if (this.#write({ type: "auth", id: AUTH_ID, token })) this.#token = token;
    } catch (error) {
      // What else goes wrong is tried again at the end.
      if (error instanceof NoToken && this.#link === link) this.#finish(error.message);
    }
  }

  /** @param {Typed["error"]} error */
  #noteError(error) {
    this.#lastError = error.message;
    if (this.#transport === "sse") {
      if (error.code === "unauthorized") this.#tokens.refuse(this.#token, error.message);
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
