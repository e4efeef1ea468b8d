// @ts-check
/** What was asked for, what the server made of it, and where the session stands. */

/** @import { Command, Gap, Position, SessionType, Subscription, Typed } from "../vyomo-rt.js" */

/**
 * A change to tell the server.
 * @typedef {{ type: Command, fields: object }} Change
 */
/**
 * From where a session starts; without `seq`, with a fresh snapshot. `rewinds`: before what was
 * already delivered.
 * @typedef {{ sessionId: number, seq?: number, epoch?: string, rewinds?: boolean }} Start
 */
/**
 * A command under way, from where it resumes, and the session's types: more may be asked for
 * before the answer. `passes`: refused for now, to be repeated.
 * @typedef {{ command: Command, from?: Start, types?: SessionType[], passes?: boolean }} Pending
 */

/** Refusals for a passing reason. */
const PASSING = new Set(["unavailable", "rate_limited", "internal"]);

/** @param {Partial<Subscription>} from @returns {Subscription} */
const subscription = ({
  sessionId,
  types,
  updateInterval,
  symbols,
  priceInterval,
  onlyChanges,
  watching,
  watchInterval,
}) => ({
  sessionId: sessionId ?? null,
  types,
  updateInterval,
  symbols: symbols ?? [],
  priceInterval,
  onlyChanges,
  watching: watching || undefined,
  watchInterval,
});

/** @param {string[]} symbols @returns {string[]} as the server spells them */
const spelled = (symbols) => symbols.map((symbol) => symbol.trim().toUpperCase());

/** @param {[unknown, { command: Command }]} pending */
const isOfSession = ([, { command }]) => command.endsWith("_session");

export class Subscriptions {
  #write;
  #missed;
  /** What the page asked for. */
  #wanted = subscription({});
  /** What this connection has, by the server's last word; a refused change falls back to it. */
  #accepted = subscription({});
  /** What was accepted when last no change was under way, maybe on an earlier connection. */
  #settled = subscription({});
  /** @type {Position | null} */
  #position = null;
  /** Where the page wants a not yet accepted session to start; undefined goes on at
   * #position. @type {Start | undefined} */
  #start;
  /** By id; a stream has none. @type {Map<any, Pending>} */
  #pending = new Map();
  #lastId = 0;

  /** @param {(message: object) => boolean} write sends to the server, where that can be asked
   * @param {(gap: Gap) => void} missed */
  constructor(write, missed) {
    this.#write = write;
    this.#missed = missed;
  }

  /** @returns {Position | null} */
  get position() {
    return this.#position && { ...this.#position };
  }

  get isEmpty() {
    const { sessionId, symbols, watching } = this.#wanted;
    return sessionId === null && symbols.length === 0 && !watching;
  }

  /** @param {number} sessionId
   * @param {{ types?: SessionType[], updateInterval?: number, since?: number,
   *   epoch?: string }} options
   * @returns {Change} */
  wantSession(sessionId, { types, updateInterval, since, epoch }) {
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
    return { type: "subscribe_session", fields: this.#sessionFields() };
  }

  /** @returns {Change} */
  leaveSession() {
    this.#wanted.sessionId = this.#position = null;
    this.#settled = { ...this.#settled, sessionId: null }; // to leave is never refused
    return { type: "unsubscribe_session", fields: {} };
  }

  /** @param {string[]} symbols
   * @param {{ priceInterval?: number, onlyChanges?: boolean }} options
   * @returns {Change} */
  wantPrices(symbols, { priceInterval, onlyChanges }) {
    const wanted = this.#wanted;
    wanted.symbols = [...new Set([...wanted.symbols, ...spelled(symbols)])];
    wanted.priceInterval = priceInterval ?? wanted.priceInterval;
    wanted.onlyChanges = onlyChanges ?? wanted.onlyChanges;
    return { type: "subscribe_prices", fields: { symbols, priceInterval, onlyChanges } };
  }

  /** @param {string[]} [symbols] @returns {Change} */
  leavePrices(symbols) {
    const leaving = new Set(spelled(symbols ?? this.#wanted.symbols));
    for (const held of [this.#wanted, this.#settled]) {
      held.symbols = held.symbols.filter((symbol) => !leaving.has(symbol));
    }
    return { type: "unsubscribe_prices", fields: { symbols } };
  }

  /** @param {{ updateInterval?: number }} options @returns {Change} */
  wantSessions({ updateInterval }) {
    this.#wanted.watching = true;
    this.#wanted.watchInterval = updateInterval ?? this.#wanted.watchInterval;
    return { type: "watch_sessions", fields: { updateInterval } };
  }

  /** @returns {Change} */
  leaveSessions() {
    this.#wanted.watching = this.#settled.watching = undefined;
    return { type: "unwatch_sessions", fields: {} };
  }

  /** Asks for all that is wanted, on a new connection. */
  askAll() {
    this.#accepted = subscription({});
    this.#askSession();
    this.#askSymbols();
    this.#askSessions();
  }

  /** All that is wanted as the query of a stream. @returns {Record<string, unknown>} */
  query() {
    const from = this.#resumption();
    const { types, watching, watchInterval } = this.#wanted;
    this.#pending.set(undefined, { command: "subscribe_session", from, types });
    const lastEventId =
      from?.seq === undefined ? "" : [from.sessionId, from.seq, from.epoch ?? []].flat().join("-");
    return { ...this.#wanted, watchInterval: watching && watchInterval, lastEventId };
  }

  /** The connection is gone, and with it the awaited answers. */
  drop() {
    this.#pending.clear();
  }

  /** Sends a command. @param {Change} change */
  send({ type, fields }) {
    const { types } = this.#wanted;
    const pending = { command: type, from: this.#resumption(), types };
    const id = this.#post(type, fields);
    if (!id) return;
    if (type.endsWith("_session")) {
      // it takes the place of one that would have been repeated
      for (const entry of this.#pending) {
        if (entry[1].passes && isOfSession(entry)) this.#pending.delete(entry[0]);
      }
    }
    this.#pending.set(id, pending);
  }

  /** Asks for a `pong`. @returns {boolean} was it sent? */
  ping() {
    return this.#post("ping", {}) > 0;
  }

  /** Sends again what was refused for now. */
  repeat() {
    const passed = [...this.#pending].filter(([, { passes }]) => passes);
    for (const [id] of passed) this.#pending.delete(id);
    const commands = new Set(passed.map(([, { command }]) => command));
    if (passed.some(isOfSession)) this.#askSession();
    if (commands.has("subscribe_prices")) this.#askSymbols();
    if (commands.has("watch_sessions")) this.#askSessions();
    if (this.#pending.size === 0) this.#settle(this.#accepted);
  }

  /** Adopts what an `ack` says. @param {Typed["ack"]} message */
  acknowledge({ id, result }) {
    const { command, from, types } = this.#pending.get(id) ?? {};
    // Types that were left out stay left out: a newer server has more of them.
    this.#accepted = subscription({
      ...result,
      types: command === "subscribe_session" ? types : this.#accepted.types,
    });
    const { sessionId } = this.#accepted;
    if (sessionId !== null && command === "subscribe_session") this.#begun(sessionId, from, result);
    this.#answered(id);
  }

  /** Completes an `error` with the command that was refused.
   * @param {Typed["error"]} refusal @returns {boolean} is the command to be repeated later? */
  refuse(refusal) {
    const { id, code } = refusal;
    const pending = this.#pending.get(id);
    if (!pending) return false;
    const { command } = pending;
    refusal.command = command;
    const isSuperseded = command === "subscribe_session" && this.#isSuperseded(id);
    // Who nobody knows is let go of, and asks again on the next connection.
    const isOfTheAsker = code === "unauthorized";
    if ((PASSING.has(code ?? "") || isOfTheAsker) && !isSuperseded) {
      pending.passes = true;
      return !isOfTheAsker;
    }
    if (command === "subscribe_session" && !isSuperseded) this.#goBack();
    this.#answered(id);
    return false;
  }

  /** @returns {Command | undefined} what is wanted but not confirmed yet. One stream stands for
   * both halves of a subscription; if both changed, it is the session's. */
  unconfirmed() {
    const differs = (/** @type {(keyof Subscription)[]} */ ...names) =>
      names.some((name) => String(this.#wanted[name]) !== String(this.#settled[name]));
    if (differs("sessionId", "types", "updateInterval")) return "subscribe_session";
    if (differs("symbols", "priceInterval", "onlyChanges")) return "subscribe_prices";
    if (differs("watching", "watchInterval")) return "watch_sessions";
  }

  /** Forgets what is wanted but not confirmed. */
  revert() {
    this.#settle(this.#settled);
  }

  /** Advances the position. A message with a `seq` is an event, even of an unknown type; only
   * `session_update` is state, whose `seq` is that of the newest event.
   * @param {any} message @returns {boolean} false for an event that was delivered before */
  advance({ type, seq, data }) {
    const position = this.#position;
    if (seq === undefined || !position) return true;
    if ((data?.sessionId ?? position.sessionId) !== position.sessionId) return true;
    const before = position.seq;
    if (seq <= before) return type === "session_update";
    position.seq = seq;
    const unseen = type === "session_update" ? seq : seq - 1;
    // With only some types, missing numbers are no loss.
    if (!this.#accepted.types && unseen > before) this.#miss(position.sessionId, before, unseen);
    return true;
  }

  /** @param {Command | "ping"} type @param {object} fields
   * @returns {number} its id; 0 if nothing can be sent */
  #post(type, fields) {
    const id = this.#lastId + 1;
    if (!this.#write({ type, id, ...fields })) return 0;
    this.#lastId = id;
    return id;
  }

  /** Where the wanted session goes on. */
  #resumption() {
    const from = this.#start ?? this.position ?? undefined;
    return from?.sessionId === this.#wanted.sessionId ? from : undefined;
  }

  #sessionFields() {
    const { sessionId, types, updateInterval } = this.#wanted;
    const from = this.#resumption();
    return { sessionId, types, updateInterval, since: from?.seq, epoch: from?.epoch };
  }

  #askSession() {
    if (this.#wanted.sessionId === null) return;
    this.send({ type: "subscribe_session", fields: this.#sessionFields() });
  }

  /** Confirmed symbols are sent separately from new ones, so that a refusal does not take them
   * along. */
  #askSymbols() {
    const { symbols, priceInterval, onlyChanges } = this.#wanted;
    const old = new Set(this.#settled.symbols);
    for (const known of [true, false]) {
      const part = symbols.filter((symbol) => old.has(symbol) === known);
      const fields = { symbols: part, priceInterval, onlyChanges };
      if (part.length) this.send({ type: "subscribe_prices", fields });
    }
  }

  #askSessions() {
    const { watching, watchInterval: updateInterval } = this.#wanted;
    if (watching) this.send({ type: "watch_sessions", fields: { updateInterval } });
  }

  /** Moves the position to where an accepted session begins.
   * @param {number} sessionId @param {Start | undefined} from where its command resumed
   * @param {Typed["ack"]["result"]} result */
  #begun(sessionId, from, { seq, epoch, recovered }) {
    if (from === this.#start) this.#start = undefined;
    let at = seq ?? 0;
    if (from?.seq !== undefined) {
      const held = this.#position;
      const isHeld = held?.sessionId === sessionId && held.epoch === (from.epoch ?? held.epoch);
      // Events may have come while the command was on its way: only the page may go back.
      const before = isHeld && !from.rewinds ? Math.max(from.seq, held.seq) : from.seq;
      from.rewinds = false;
      if (recovered) at = before;
      else if (recovered === false) this.#miss(sessionId, before, at);
    }
    this.#position = { sessionId, seq: at, epoch: epoch ?? undefined };
  }

  /** @param {any} id @returns {boolean} is a newer command for a session under way? */
  #isSuperseded(id) {
    return [...this.#pending].some((entry) => entry[0] > id && isOfSession(entry));
  }

  /** If a new connection refuses a session that was asked for while the old one was lost, the
   * previous session is not there yet. */
  #goBack() {
    const { sessionId, types, updateInterval } = this.#settled;
    if (sessionId === null || sessionId === this.#wanted.sessionId) return;
    if (this.#accepted.sessionId !== null) return;
    Object.assign(this.#wanted, { sessionId, types, updateInterval });
    this.#start = undefined;
    this.#askSession();
  }

  /** @param {unknown} id */
  #answered(id) {
    this.#pending.delete(id);
    // With no command under way, the server's word is the truth: a refused change is forgotten.
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

  /** @param {number} sessionId @param {number} from @param {number} to */
  #miss(sessionId, from, to) {
    this.#missed({ sessionId, from, to, recovered: false });
  }
}
