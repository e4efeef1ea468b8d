// @ts-check
/** Whether the other end is still there: one that vanished (sleep, change of network) sends no
 * close. */

/** How often a stream gets a `keep_alive`, and how often silence is looked for. */
const WATCH_MS = 15_000;
/** Silent watches until a connection counts as dead, which is 30 to 45 s after the last
 * message. */
const PATIENCE = 2;
/** After a sleep or a change of network a WebSocket has to answer within this. */
const PROOF_MS = 5000;

export class Liveness {
  #ask;
  #dead;
  #silence = 0;
  #heardAtMs = 0;
  /** @type {any} */
  #watchdog;
  /** @type {any} */
  #proof;

  /** @param {() => boolean} ask for an answer; false if that is impossible
   * @param {() => void} dead is called if none came */
  constructor(ask, dead) {
    this.#ask = ask;
    this.#dead = dead;
  }

  /** Watches a new connection. */
  start() {
    this.heard();
    this.#watchdog = setInterval(() => this.#watch(), WATCH_MS);
  }

  stop() {
    clearInterval(this.#watchdog);
    clearTimeout(this.#proof);
  }

  /** Something came. */
  heard() {
    this.#silence = 0;
    this.#heardAtMs = Date.now();
    clearTimeout(this.#proof);
  }

  /** The page was away: its connection may be gone silently.
   * @returns {boolean} false for what can't be asked and was silent for too long */
  prove() {
    if (!this.#ask()) return Date.now() - this.#heardAtMs <= WATCH_MS;
    clearTimeout(this.#proof);
    this.#proof = setTimeout(this.#dead, PROOF_MS);
    return true;
  }

  #watch() {
    if (++this.#silence > PATIENCE) this.#dead();
    else if (this.#silence === PATIENCE) this.#ask();
  }
}

/** Where and how a page is told that it was away: it slept, or its network changed.
 * @returns {[any, string][]} */
const signs = () => [
  [globalThis, "online"],
  [globalThis, "pageshow"],
  [globalThis.document, "visibilitychange"],
  [globalThis.document, "resume"],
];

/** Calls `act` whenever the page is back. @param {() => void} act @returns {() => void} ends it */
export function onReturn(act) {
  const places = signs();
  const told = (/** @type {any} */ { type, persisted }) => {
    const isBack =
      type === "visibilitychange"
        ? globalThis.document.visibilityState === "visible"
        : type !== "pageshow" || persisted;
    if (isBack) act();
  };
  for (const [place, type] of places) place?.addEventListener?.(type, told);
  return () => {
    for (const [place, type] of places) place?.removeEventListener?.(type, told);
  };
}
