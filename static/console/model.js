// @ts-check
/** What the page knows about the session and prices. Messages change it here; the parts paint
 * it. */
import { earned, follows, pastCurve } from "./earned.js";
import { touch, touchInBeat } from "./frame.js";
import { Seen, thin } from "./series.js";

/**
 * @typedef {import("../vyomo-rt.js").Messages} Messages
 * @typedef {import("./series.js").Point} Point
 * @typedef {{ type: string, seq: number, data: any }} LogEvent one of the seven numbered ones
 * @typedef {Messages["price_update"]["data"] & { receivedAt: number, first: number,
 *   direction: number, line: import("./series.js").Recent }} Quote
 *   `first`: the first price that this page saw;
 *   `direction`: of the last change
 * @typedef {{ tradeId: number, symbol: string, side: "BUY" | "SELL", quantity: number,
 *   entryPrice: number, stopLoss?: number | null, target?: number | null,
 *   trailingStop?: number | null, openedAt?: string, currentPrice?: number,
 *   unrealizedPnL?: number, pnlPercent?: number, stale?: boolean, toldMs?: number }} Position
 *   `toldMs`: when an event changed it last
 */

/** Of each kind of event but changes of the session: these are few, and a halt is long. */
const LOG_EVENTS = 200;
/** A little under a second: messages come a second apart, more or less. */
const EQUITY_SLOT_MS = 900;
const EQUITY_POINTS = 4000;

/** What guards a trade; changes name all of it. */
export const GUARDS = /** @type {const} */ ([
  "stopLoss",
  "target",
  "trailingStop",
  "trailingStep",
  "trailFrom",
  "breakevenAt",
]);

export const model = {
  /** @type {number | null} the session on screen, as the server confirmed it */
  sessionId: null,
  /** @type {any} its REST document: name, starting capital */
  session: null,
  /** @type {Messages["session_update"]["data"] | null} */
  figures: null,
  /** @type {Map<number, Position>} open trades, oldest first */
  open: new Map(),
  /** @type {Map<number, any>} pending entries, oldest first */
  orders: new Map(),
  /** @type {LogEvent[]} newest first */
  log: [],
  /** @type {{ points: Point[], live: boolean }} realised, and while live unrealised P&L too */
  equity: { points: [], live: false },
  /** @type {Map<string, Quote | null>} null: subscribed, without a price yet */
  prices: new Map(),
  /** @type {Messages["feed_status"]["data"] | null} null: as the page was served */
  feed: null,
  intervalMs: 1000,
  /** When the last message came, by the page's clock and by the server's. */
  heardAt: 0,
  heardAtWallMs: 0,
  gaps: 0,
};
/** Closed trades and ended entries: what is said of them later is old. */
const [closed, ended] = [new Seen(), new Seen()];
let realised = 0;
/** The position in the session's log. */
export let newestSeq = 0;
let replaying = false;

/** Another session, or the same one without its past. @param {number | null} sessionId */
export function begin(sessionId) {
  const equity = { points: [], live: false };
  Object.assign(model, { sessionId, session: null, figures: null, log: [], equity });
  model.open.clear();
  model.orders.clear();
  closed.clear();
  ended.clear();
  realised = 0;
  touch("session", "positions", "pending", "log", "equity", "rules", "ticket");
}

/** Events after this are the missed ones, until the next figures. */
export function beginReplay() {
  replaying = true;
  model.equity.live = false;
}

export const isReplaying = () => replaying;

/** @param {Messages["session_update"]} message */
export function noteFigures({ data, seq }) {
  if (data.sessionId !== model.sessionId || seq === undefined) return;
  newestSeq = seq;
  replaying = false;
  model.figures = data;
  realised = data.totalPnL;
  addEquity(Date.parse(data.timestamp), data.totalPnL + data.unrealizedPnL);
  touchInBeat("session");
}

/** Painted once a slot, however often figures come. @param {number} t @param {number} v */
function addEquity(t, v) {
  const { points, live } = model.equity;
  const last = points.at(-1);
  if (live && last && t - last.t < EQUITY_SLOT_MS) {
    last.v = v;
    return;
  }
  points.push({ t, v, gap: !live && points.length > 0 });
  model.equity.points = thin(points, EQUITY_POINTS);
  model.equity.live = true;
  touchInBeat("equity");
}

/** @param {Messages["trade_opened"]} message */
export function noteOpened({ data }) {
  if (!closed.has(data.tradeId))
    model.open.set(data.tradeId, { ...data, openedAt: data.timestamp });
  const { orderId } = /** @type {any} */ (data);
  if (orderId) noteOrder({ ...data, orderId, status: "FILLED" });
  touch("positions");
}

/** A pending entry as it is now, placed or ended. @param {any} order */
export function noteOrder({ sessionId, orderId, status, ...order }) {
  if (sessionId !== model.sessionId) return;
  if (status && status !== "PENDING") {
    ended.add(orderId);
    model.orders.delete(orderId);
  } else if (!ended.has(orderId) && !(model.orders.get(orderId)?.timestamp > order.timestamp))
    model.orders.set(orderId, { ...order, orderId }); // an answer may be late
  touch("pending");
}

/** @param {Messages["trade_closed"]} message */
export function noteClosed({ data }) {
  closed.add(data.tradeId);
  model.open.delete(data.tradeId);
  realised += earned("trade_closed", data);
  // Only this is known about the time away: the realised P&L.
  if (replaying)
    model.equity.points.push({ t: Date.parse(data.timestamp), v: realised, gap: true });
  touch("positions", "equity");
}

/** A part was closed: what is left stays. @param {Messages["trade_reduced"]} message */
export function noteReduced(message) {
  realised += message.data.pnl;
  noteTrade(message.data, { quantity: message.data.quantity });
  touch("equity");
}

/** @param {Messages["trade_changed"]} message */
export const noteGuards = ({ data }) => noteTrade(data, guardsOf(data));

/** @param {any} trade @returns {Partial<Position>} */
const guardsOf = (trade) => Object.fromEntries(GUARDS.map((name) => [name, trade[name] ?? null]));

/** @param {{ tradeId: number, timestamp: string }} data @param {Partial<Position>} news */
function noteTrade({ tradeId, timestamp }, news) {
  const known = model.open.get(tradeId);
  const toldMs = Math.max(known?.toldMs ?? 0, Date.parse(timestamp));
  if (known) model.open.set(tradeId, { ...known, ...news, toldMs });
  touch("positions");
}

/** The answer to an order, which may come without the stream; its event still follows.
 * @param {any} trade */
export function noteAnswer({ sessionId, tradeId, status, ...trade }) {
  if (sessionId !== model.sessionId) return;
  if (status === "CLOSED") {
    closed.add(tradeId);
    model.open.delete(tradeId);
  } else if (!closed.has(tradeId)) {
    const known = model.open.get(tradeId) ?? { ...trade, tradeId };
    // An answer may be late: what is left only becomes less, and guards may have moved since.
    const quantity = Math.min(known.quantity, trade.quantity);
    const guards = Date.parse(trade.timestamp) > (known.toldMs ?? 0) ? guardsOf(trade) : {};
    model.open.set(tradeId, { ...known, quantity, ...guards });
  }
  touch("positions", "session");
}

/** Of the session; an older one may come later. @param {any} session */
export function noteDocument(session) {
  const isOlder = session.seq < model.session?.seq;
  if (session.sessionId === model.sessionId && !isOlder) model.session = session;
}

/** Likewise of its status. @param {any} session */
export function noteStatus({ sessionId, status, seq }) {
  if (sessionId !== model.sessionId || !model.figures || seq < newestSeq) return;
  model.figures = { ...model.figures, status };
  touch("session", "ticket");
}

/** @param {Messages["pnl_update"]["data"]} data */
export function notePnl(data) {
  if (closed.has(data.tradeId)) return;
  model.open.set(data.tradeId, { ...model.open.get(data.tradeId), ...data });
  touchInBeat("positions", "session");
}

/**
 * What REST says about the session's past; the stream may have been faster.
 * @param {any} session @param {any[]} events the newest ones, in order @param {any[]} openTrades
 * @param {any[]} orders those that are pending @param {any[]} rows of today's curve
 */
export function notePast(session, events, openTrades, orders, rows) {
  noteDocument(session);
  const [live] = model.equity.points;
  const firstLive = live?.t ?? Infinity;
  if (live) live.gap = !follows(rows, live.t);
  const past = pastCurve(session, events, rows).filter(({ t }) => t < firstLive);
  model.equity.points = thin([...past, ...model.equity.points], EQUITY_POINTS);
  addToLog(events);
  for (const trade of openTrades) {
    if (closed.has(trade.tradeId)) continue;
    model.open.set(trade.tradeId, {
      ...trade,
      ...model.open.get(trade.tradeId),
      openedAt: trade.openedAt,
    });
  }
  model.open = new Map([...model.open].sort(([one], [other]) => one - other));
  for (const order of orders) if (!model.orders.has(order.orderId)) noteOrder(order);
  model.orders = new Map([...model.orders].sort(([one], [other]) => one - other));
  touch("session", "positions", "equity", "bars", "rules", "ticket");
}

/** @param {LogEvent[]} events some of which may be there already */
export function addToLog(events) {
  const known = new Set(model.log.map(({ seq }) => seq));
  const added = events.filter(({ seq }) => !known.has(seq));
  if (!added.length) return;
  /** @type {Record<string, number>} */
  const counts = { session_changed: -Infinity };
  model.log = [...added, ...model.log]
    .sort((one, other) => other.seq - one.seq)
    .filter(({ type }) => {
      counts[type] = (counts[type] ?? 0) + 1;
      return counts[type] <= LOG_EVENTS;
    });
  touch("log");
}
