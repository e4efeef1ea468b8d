// @ts-check
/** The connection: what the page asks of the server, and what its messages make of the model. */
import { VyomoClient } from "../vyomo-rt.js";
import { call, callAll } from "./api.js";
import { noteServerTime, serverNowMs } from "./clock.js";
import { istDate } from "./format.js";
import { touch } from "./frame.js";
import { noteFeed } from "./market.js";
import * as book from "./model.js";
import { notePrice, noteSymbols } from "./watchlist.js";

const { model } = book;
const PAST_EVENTS = 2000;
const RETRY_MS = 2000;
const RETRY_MAX_MS = 30_000;

/** The types of a session's events. */
export const NUMBERED = /** @type {const} */ ([
  "trade_opened",
  "trade_closed",
  "trade_reduced",
  "trade_changed",
  "order_placed",
  "order_ended",
  "session_changed",
]);

export const client = new VyomoClient();

/** @type {number | null} asked for, and not yet confirmed */
let wanted = null;
/** @type {"auto" | import("../vyomo-rt.js").Transport} */
let transport = "auto";
/** The session that this connection confirmed. @type {number | null} */
let confirmed = null;

export const asked = () => ({ sessionId: wanted ?? model.sessionId, transport });

/** Another session is chosen, but the previous one is still on screen: an order or a halt would be
 * for the wrong one. */
export const isChanging = () => wanted !== null && wanted !== model.sessionId;
/** Why nothing is sent for what was opened in a session; empty while that is on screen.
 * @param {number | null} sessionId */
export const strayed = (sessionId) =>
  isChanging() || sessionId !== model.sessionId ? "Another session came on screen." : "";
const BOUND = [
  "past",
  "sessions",
  "session",
  "positions",
  "pending",
  "kill",
  "ticket",
  "closing",
  "bars",
];

let started = false;
let isNewLink = true;
/** Another session was asked for, so that even the one on screen begins with a fresh snapshot: what
 * happened before that is not told. */
let beginsAnew = false;
/** A new object each time a session begins anew. */
let begun = {};

/** @param {number} sessionId */
export function showSession(sessionId) {
  if (sessionId !== asked().sessionId) beginsAnew = true;
  wanted = sessionId;
  client.subscribeSession(sessionId, { updateInterval: model.intervalMs });
  if (client.status.state === "closed" && started) connect();
  touch(...BOUND);
}

/** @param {string[]} symbols */
export const addSymbols = (symbols) =>
  client.subscribePrices(symbols, { priceInterval: model.intervalMs });

/** @param {string} symbol */
export const removeSymbol = (symbol) => client.unsubscribePrices([symbol]);

/** Of prices and of the session alike. @param {number} intervalMs */
export function updateEvery(intervalMs) {
  model.intervalMs = intervalMs;
  client.subscribePrices([], { priceInterval: intervalMs });
  const { sessionId } = asked(); // the one that is being changed to, if any
  if (sessionId !== null) client.subscribeSession(sessionId, { updateInterval: intervalMs });
}

/** @param {"auto" | import("../vyomo-rt.js").Transport} choice */
export function setTransport(choice) {
  transport = choice;
  client.use(choice);
  touch("place");
}

/** @param {"auto" | import("../vyomo-rt.js").Transport} choice */
export function connect(choice = transport) {
  started = true;
  transport = choice;
  client.connect(choice);
}

/** Without waiting for the next attempt. */
export function reconnect() {
  client.close();
  client.connect(transport);
}

client.on("message", ({ type }) => {
  model.heardAt = performance.now();
  if (type !== "pong") model.heardAtWallMs = serverNowMs(); // a pong says nothing of the figures
});
client.on("price_update", ({ data }) => notePrice(data));
client.on("session_update", book.noteFigures);
client.on("session_update", ({ data }) => noteServerTime(data.timestamp));
client.on("pong", ({ timestamp }) => noteServerTime(timestamp));
for (const type of NUMBERED) client.on(type, (message) => book.addToLog([message]));
client.on("trade_opened", book.noteOpened);
client.on("trade_closed", book.noteClosed);
client.on("trade_reduced", book.noteReduced);
client.on("trade_changed", book.noteGuards);
client.on("order_placed", ({ data }) => book.noteOrder(data));
client.on("order_ended", ({ data }) => book.noteOrder({ ...data, status: data.reason }));
client.on("pnl_update", ({ data }) => book.notePnl(data));
client.on("feed_status", ({ data }) => {
  noteFeed(data);
  touch("link");
});
client.on("gap", () => {
  model.gaps += 1;
  touch("drawer");
});

client.on("ack", ({ result }) => {
  // On a new connection the session is subscribed before the symbols; those are wanted all the
  // same.
  if (!isNewLink || result.symbols.length) noteSymbols(result.symbols);
  isNewLink = false;
  if (result.symbols.length) model.intervalMs = result.priceInterval ?? model.intervalMs;
  else if (result.sessionId) model.intervalMs = result.updateInterval ?? model.intervalMs;
  confirmed = result.sessionId ?? null;
  const isLeft = confirmed !== model.sessionId || (beginsAnew && confirmed === wanted);
  const isNew = isLeft || result.recovered === false;
  if (confirmed !== null && isNew) startSession(confirmed);
  else if (result.recovered) book.beginReplay();
  if (confirmed === wanted) wanted = null;
  touch(...BOUND, "link", "place");
});

client.on("error", ({ command, code }) => {
  // Over SSE a command is a new stream, and its refusal names none.
  const isSession = command === "subscribe_session" || (command === undefined && wanted !== null);
  // That the store is away, or that nobody is signed in any more, says nothing of the session.
  if (!isSession || code === "unavailable" || code === "unauthorized") return;
  wanted = null;
  if (confirmed === null) startSession(null); // it was there before the server came back without it
  touch(...BOUND, "place");
});

client.on("status", ({ state }) => {
  if (state === "connecting") {
    confirmed = null;
    isNewLink = true;
  }
  if (state !== "open") model.equity.live = false;
  touch("link", "drawer", "place");
});

/** @param {number | null} sessionId */
function startSession(sessionId) {
  beginsAnew = false;
  book.begin(sessionId);
  begun = {};
  if (sessionId !== null) loadPast(sessionId, begun);
}

/** What happened before the stream: the figures' document, the newest events, open trades without a
 * price. @param {number} sessionId @param {object} mark the beginning for which this is loaded */
async function loadPast(sessionId, mark, retryInMs = RETRY_MS) {
  const path = `sessions/${sessionId}`;
  const session = await call("GET", path);
  const since = Math.max(0, session.document.seq - PAST_EVENTS);
  const events = session.ok ? await call("GET", `${path}/events?since=${since}`) : session;
  const trades = events.ok
    ? await callAll(`${path}/trades?status=OPEN&limit=500`, "trades")
    : events;
  const orders = trades.ok
    ? await callAll(`${path}/orders?status=PENDING&limit=500`, "orders")
    : trades;
  const today = orders.ok && istDate(session.document.timestamp);
  const curve = orders.ok ? await call("GET", `${path}/curve?from=${today}`) : orders;
  if (mark !== begun) return;
  if (curve.ok) {
    const { events: past } = events.document;
    const { rows } = curve.document;
    book.notePast(session.document, past, trades.document.trades, orders.document.orders, rows);
  } else if (curve.status !== 404) {
    // else the session is gone, which the stream tells
    const nextMs = Math.min(2 * retryInMs, RETRY_MAX_MS);
    setTimeout(() => {
      if (mark === begun) loadPast(sessionId, mark, nextMs);
    }, retryInMs);
  }
}
