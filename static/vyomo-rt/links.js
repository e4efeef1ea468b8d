// @ts-check
/** One connection over either transport, from the page's wish to its end. */

/** The types on a stream beside those of the session, which its `ack` names. */
const SSE_EVENTS = [
  "ack",
  "price_update",
  "feed_status",
  "token_expiring",
  "server_shutdown",
  "server_error",
];

/**
 * What a link tells; nothing once it was closed.
 * @typedef {object} Ear
 * @property {() => void} opened a WebSocket can be written to
 * @property {(text: string) => void} received
 * @property {() => void} heard a sign of life without a text
 * @property {(detail: string, code?: number) => void} lost
 * @property {(url: URL) => void} refused a stream was answered by something else
 */
/** @typedef {new (url: string) => any} LinkClass */

export class WebSocketLink {
  #socket;

  /** Throws if the page may not make one. @param {LinkClass} WebSocket @param {URL} base
   * @param {Ear} ear */
  constructor(WebSocket, base, ear) {
    const url = socketUrl(base);
    const socket = new WebSocket(url.href);
    this.#socket = socket;
    /** @param {() => void} tell */
    const unlessClosed = (tell) => {
      if (this.#socket === socket) tell();
    };
    socket.onopen = () => unlessClosed(ear.opened);
    socket.onmessage = (/** @type {any} */ { data }) => unlessClosed(() => ear.received(data));
    socket.onerror = () => {
      // `close` follows and says more, except where the page is forbidden
      if (socket.readyState !== 3) return;
      const why = `no WebSocket: does connect-src allow ${url.origin}?`;
      setTimeout(() => unlessClosed(() => ear.lost(why)), 0);
    };
    socket.onclose = (/** @type {any} */ { code, reason }) =>
      unlessClosed(() => ear.lost(reason || `the connection ended (${code})`, code));
  }

  /** @param {object} message @returns {boolean} was it sent? */
  send(message) {
    if (this.#socket?.readyState !== 1) return false;
    this.#socket.send(JSON.stringify(message));
    return true;
  }

  close() {
    const socket = this.#socket;
    this.#socket = null;
    socket?.close();
  }
}

export class EventSourceLink {
  #source;
  #ear;

  /** Throws if the page may not make one. @param {LinkClass} EventSource @param {URL} url
   * @param {Ear} ear */
  constructor(EventSource, url, ear) {
    const source = new EventSource(url.href);
    this.#source = source;
    this.#ear = ear;
    this.hear(SSE_EVENTS);
    source.addEventListener("keep_alive", () => {
      if (this.#source === source) ear.heard();
    });
    // Left alone it would come back at a fixed pace, however long the server is in trouble.
    source.onerror = () => {
      if (this.#source !== source) return;
      if (source.readyState === 2) ear.refused(url);
      else ear.lost("the stream ended");
    };
  }

  /** EventSource delivers only the types that were asked for by name. @param {string[]} types */
  hear(types) {
    const source = this.#source;
    const listener = (/** @type {any} */ { data }) => {
      if (this.#source === source) this.#ear.received(data);
    };
    for (const type of types) source?.addEventListener(type, listener);
  }

  /** A stream can't be asked. @returns {boolean} */
  send() {
    return false;
  }

  close() {
    const source = this.#source;
    this.#source = null;
    source?.close();
  }
}

/** @param {URL} base */
export function socketUrl(base) {
  const url = new URL("ws/auto-trader", base);
  url.protocol = url.protocol.replace("http", "ws");
  return url;
}

/** @param {URL} base @param {Record<string, unknown>} query without what is empty */
export function streamUrl(base, query) {
  const url = new URL("sse/auto-trader", base);
  for (const [name, value] of Object.entries(query)) {
    const text = String(value ?? "");
    if (text) url.searchParams.set(name, text);
  }
  return url;
}
