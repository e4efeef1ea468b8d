// The console: the steps of a manual test as buttons, and what the server then says.
import { VyomoClient } from "./vyomo-rt.js";

const LOG_LINES = 200;
const api = new URL("../api/auto-trader/", import.meta.url);
const client = new VyomoClient();

const $ = (id) => document.getElementById(id);

// What is shown. Messages only change this; `paint` brings it to the page once a frame.
let sessionId = null;
let figures = null;
let snapshotDue = false; // asked for by the person: what is shown does not go on
const prices = new Map(); // by symbol; null: subscribed, but no price yet
const positions = new Map(); // by trade id
let closed = new Set(); // trades that closed while the open ones were being fetched
let closing = new Set(); // trades whose close is under way
let unlogged = []; // newest first

// --- numbers and times ---------------------------------------------------------------------

const format = (least, most) => {
  const { format } = new Intl.NumberFormat("en-IN", {
    minimumFractionDigits: least, maximumFractionDigits: most,
  });
  return (value) => (value ?? null) === null ? "–" : format(value).replace("-", "−");
};
const price = format(2, 4);
const money = format(2, 2);
const whole = format(0, 0);
const signed = (value) => (value > 0 ? "+" : "") + money(value);
/** The sign says it already; the colour only repeats it. */
const tone = (value) => (value > 0 ? "gain" : value < 0 ? "loss" : "");

const age = ({ asOf, timestamp, receivedAt }) => {
  // From the server's own clock on: this machine's may be wrong.
  const ms = Date.parse(timestamp) - Date.parse(asOf) + performance.now() - receivedAt;
  return ms < 60_000 ? `${Math.max(0, Math.floor(ms / 1000))} s` : `${Math.floor(ms / 60_000)} min`;
};

// --- painting ------------------------------------------------------------------------------

let painting = 0;
const repaint = () => { painting ||= requestAnimationFrame(paint); };

const put = (element, text, className = "") => {
  if (element.textContent !== text) element.textContent = text;
  if (element.className !== className) element.className = className;
};

/** One row an item, kept while the item lives so that focus stays where it is.
 * `cells` gives text or [text, class] for each column; `finish` completes a new row. */
function paintTable(id, items, empty, cells, finish) {
  const body = $(id).tBodies[0];
  const rows = new Map([...body.rows].map((row) => [row.dataset.key, row]));
  for (const [key, item] of items) {
    const values = cells(item, key);
    let row = rows.get(String(key));
    rows.delete(String(key));
    if (!row) {
      row = body.insertRow();
      row.dataset.key = key;
      for (const _ of values) row.insertCell();
      finish?.(row, key);
    }
    values.forEach((value, column) => put(row.cells[column], ...[value].flat()));
  }
  for (const row of rows.values()) if (row.dataset.key || items.size) row.remove();
  if (!body.rows.length) {
    const cell = Object.assign(body.insertRow().insertCell(), { colSpan: 99, className: "empty" });
    cell.textContent = empty;
  }
}

function addCloseButton(row, tradeId) {
  const button = document.createElement("button");
  button.textContent = "Close";
  button.setAttribute("aria-label", `Close trade ${tradeId}`);
  button.addEventListener("click", () => closeTrade(tradeId));
  row.insertCell().append(button);
}

function paint() {
  painting = 0;
  const live = client.status.state === "open" ? "live" : ["no connection", "loss"];
  paintTable("prices", prices, "No prices subscribed.", (quote, symbol) => quote
    ? [symbol, price(quote.price), age(quote), quote.stale ? ["stale", "loss"] : live]
    : [symbol, "–", "–", "no price yet"]);
  paintTable("positions", positions, "No open positions.", (trade, tradeId) => [
    String(tradeId), trade.symbol,
    [signed(trade.unrealizedPnL), tone(trade.unrealizedPnL)],
    [signed(trade.pnlPercent), tone(trade.pnlPercent)],
    `${trade.side} ${whole(trade.quantity)}`, [price(trade.currentPrice), trade.stale ? "stale" : ""],
    price(trade.entryPrice), price(trade.stopLoss), price(trade.target),
  ], addCloseButton);
  for (const button of $("positions").querySelectorAll("button")) {
    button.disabled = closing.has(Number(button.closest("tr").dataset.key));
  }
  put($("shown-session"), String(sessionId ?? ""));
  for (const element of document.querySelectorAll("[data-figure]")) {
    put(element, ...figure(element.dataset.figure));
  }
  $("log").prepend(...unlogged.splice(0).map(logLine));
  while ($("log").childElementCount > LOG_LINES) $("log").lastElementChild.remove();
}

function figure(name) {
  if (!figures) return ["–"];
  const value = figures[name];
  if (name === "wonLost") return [`${figures.winningTrades} / ${figures.losingTrades}`];
  if (name === "status") return [value];
  if (name === "winRate") return [`${money(value)} %`];
  if (name.endsWith("PnL")) return [signed(value), tone(value)];
  return [name === "currentCapital" ? money(value) : whole(value)];
}

function logLine({ at, text }) {
  const line = document.createElement("li");
  const time = document.createElement("time");
  const code = document.createElement("code");
  time.textContent = at;
  code.textContent = text;
  line.append(time, " ", code);
  return line;
}

function log(message) {
  const chatty = message.type === "price_update" || message.type === "pnl_update";
  if ($("pause").checked || (chatty && $("brief").checked)) return;
  const at = new Date().toLocaleTimeString("en-GB", { hour12: false });
  unlogged.unshift({ at, text: JSON.stringify(message) });
  unlogged.length = Math.min(unlogged.length, LOG_LINES); // a hidden page paints nothing
}

// --- what the server says ------------------------------------------------------------------

client.on("message", (message) => { log(message); repaint(); });
client.on("price_update", ({ data }) => {
  prices.set(data.symbol, { ...data, receivedAt: performance.now() });
});
client.on("trade_opened", ({ data }) => positions.set(data.tradeId, data));
client.on("pnl_update", ({ data }) => positions.set(data.tradeId, data));
client.on("trade_closed", ({ data }) => {
  positions.delete(data.tradeId);
  closed.add(data.tradeId);
  answer(`Trade ${data.tradeId} closed (${data.exitReason}): ${signed(data.pnl)}`);
});
client.on("session_update", ({ data }) => { figures = data; });
client.on("feed_status", ({ data }) => put($("feed"), `${data.source} ${data.state}: ${data.message}`));
client.on("error", ({ message }) => answer(message));
client.on("pong", () => answer("pong"));

client.on("ack", ({ result }) => {
  for (const symbol of prices.keys()) if (!result.symbols.includes(symbol)) prices.delete(symbol);
  for (const symbol of result.symbols) if (!prices.has(symbol)) prices.set(symbol, null);
  if (result.unknown?.length) answer(`Unknown: ${result.unknown.join(", ")}`);
  if (snapshotDue || result.sessionId !== sessionId || result.recovered === false) {
    snapshotDue = false;
    sessionId = result.sessionId ?? null;
    figures = null;
    positions.clear();
    if (sessionId !== null) fetchOpenTrades(sessionId);
  }
});

client.on("status", ({ state, transport, detail, retryInMs }) => {
  const names = { ws: "WebSocket", sse: "SSE" };
  const retry = retryInMs === undefined ? "" : `, trying again in ${(retryInMs / 1000).toFixed(1)} s`;
  document.body.dataset.state = state;
  put($("status"), state === "open" ? `connected over ${names[transport]}` : `${state}: ${detail}${retry}`);
  log({ type: `(${state})`, transport, detail, retryInMs });
  repaint();
});

/** A trade whose symbol has no price yet has no P&L message: only this shows it. */
async function fetchOpenTrades(id) {
  closed = new Set();
  const { document: page } = await call("GET", `sessions/${id}/trades?status=OPEN`);
  if (id !== sessionId) return;
  for (const trade of page.trades ?? []) {
    if (!closed.has(trade.tradeId) && !positions.has(trade.tradeId)) positions.set(trade.tradeId, trade);
  }
  repaint();
}

// --- what the person does ------------------------------------------------------------------

const answer = (text) => put($("answer"), text);
const onSubmit = (id, action) => $(id).addEventListener("submit", (event) => {
  event.preventDefault();
  action(event.target);
});
const onClick = (id, action) => $(id).addEventListener("click", action);

/** @returns {{ ok: boolean, passing: boolean, document: any }} passing: nobody knows the outcome */
async function call(method, path, body, key) {
  const headers = { "Content-Type": "application/json", ...(key && { "Idempotency-Key": key }) };
  try {
    const response = await fetch(new URL(path, api), { method, headers, body: body && JSON.stringify(body) });
    const document = await response.json().catch(() => ({ detail: `HTTP ${response.status}` }));
    return { ok: response.ok, passing: response.status >= 500, document };
  } catch {
    return { ok: false, passing: true, document: { detail: "The server can't be reached." } };
  }
}

/** `crypto.randomUUID` is missing on plain http away from localhost. */
const newKey = () => crypto.getRandomValues(new Uint32Array(4)).join("-");

/** Sends a form to REST; pressed again after a lost answer it repeats the request, not the deed. */
function onOrder(id, order, done) {
  const form = $(id);
  const error = form.querySelector(".error");
  let key = newKey();
  form.addEventListener("input", () => { key = newKey(); });
  onSubmit(id, async () => {
    const button = form.querySelector("button");
    button.disabled = true;
    error.textContent = "";
    const { ok, passing, document } = await call("POST", ...order(), key);
    if (!passing) key = newKey();
    button.disabled = false;
    if (ok) done?.(document);
    else error.textContent = document.detail ?? document.title;
  });
}

/** The field as a number; as it was typed if it is none, for the server to say what is wrong. */
const number = (id) => {
  const text = $(id).value.trim();
  return text === "" ? undefined : Number.isNaN(Number(text)) ? text : Number(text);
};

const closeKeys = new Map();
async function closeTrade(tradeId) {
  if (!closeKeys.has(tradeId)) closeKeys.set(tradeId, newKey());
  closing.add(tradeId);
  repaint();
  const { ok, passing, document } = await call("POST", `trades/${tradeId}/close`, {}, closeKeys.get(tradeId));
  if (!passing) closeKeys.delete(tradeId);
  closing.delete(tradeId);
  $("closing-error").textContent = ok ? "" : document.detail ?? document.title;
  repaint();
}

const subscribeSession = () => {
  snapshotDue = true;
  client.subscribeSession(number("session"));
};
const subscribePrices = () =>
  client.subscribePrices($("symbols").value.split(","), { priceInterval: number("interval") });
const connect = () => {
  client.close();
  client.connect($("transport").value);
};

onSubmit("connection", connect);
onClick("disconnect", () => client.close());
onClick("ping", () => answer(client.ping() ? "ping …" : "Only an open WebSocket can be pinged."));
onSubmit("subscribe-session", subscribeSession);
onClick("unsubscribe-session", () => client.unsubscribeSession());
onSubmit("subscribe-prices", subscribePrices);
onClick("unsubscribe-prices", () => client.unsubscribePrices());
onOrder("create-session", () => ["sessions", { name: $("name").value || undefined, startingCapital: number("capital") }],
  (session) => {
    $("session").value = session.sessionId;
    subscribeSession();
  });
onOrder("open-trade", () => [`sessions/${sessionId ?? number("session")}/trades`, {
  symbol: $("symbol").value, side: $("side").value, quantity: number("quantity"),
  stopLoss: number("stop"), target: number("target"),
}]);
onClick("clear", () => {
  unlogged = [];
  $("log").replaceChildren();
});

setInterval(repaint, 1000); // ages grow without messages
repaint();
if ("demo" in document.body.dataset) {
  subscribeSession();
  subscribePrices();
  connect();
}
