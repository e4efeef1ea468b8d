// @ts-check
/** The session's closed trades: filtered, by pages, as a table to print and as CSV. */
import { call, reason } from "./api.js";
import { $, el, keyed, nameOf, put, rowsOf } from "./dom.js";
import { age, arrowMoney, dateTime, istDate, price, signedMoney, tone, whole } from "./format.js";
import { part, touch } from "./frame.js";
import { marketNowMs } from "./market.js";
import { model } from "./model.js";
import { openStory } from "./story.js";
import { client } from "./stream.js";
import { sumOf } from "./sums.js";
import { whyClosed } from "./words.js";

const ROWS_A_PAGE = 50;
/** The pages that are shown; `next`: where the following one begins, null: there is none. */
const shown = { trades: /** @type {any[]} */ ([]), next: /** @type {number | null} */ (null) };
let problem = "";
/** The session whose trades are shown. @type {number | null} */
let of = null;
/** Counts the questions, so that a late answer to an old one is dropped. */
let asked = 0;

/** @type {HTMLFormElement} */
const form = $("history-filter");

const isVisible = () => !$("history-panel").hidden;

/** What is asked for, as a query. */
function query() {
  const wanted = new URLSearchParams({ status: "CLOSED" });
  for (const [name, value] of new FormData(form))
    if (String(value).trim()) wanted.set(name, String(value).trim());
  return wanted;
}

/** @param {number | null} [after] the page that begins there; without it the first one */
async function load(after = null) {
  const { sessionId } = model;
  asked += 1;
  const question = asked;
  if (sessionId === null) return show([], null, "");
  const wanted = query();
  wanted.set("limit", String(ROWS_A_PAGE));
  if (after) wanted.set("after", String(after));
  const answer = await call("GET", `sessions/${sessionId}/trades?${wanted}`);
  if (question !== asked) return;
  if (!answer.ok) return show(after ? shown.trades : [], after, reason(answer));
  const { trades, next } = answer.document;
  show(after ? [...shown.trades, ...trades] : trades, next, "");
}

/** @param {any[]} trades @param {number | null} next @param {string} why */
function show(trades, next, why) {
  // The server's pages are by number; what closed last is looked for first.
  const newestFirst = trades.toSorted((one, other) => other.closedAt.localeCompare(one.closedAt));
  Object.assign(shown, { trades: newestFirst, next });
  problem = why;
  touch("history");
}

/** @param {any} trade */
function makeRow(trade) {
  const { tradeId, side, symbol, openedQuantity, entryPrice, exitPrice, openedAt, closedAt } =
    trade;
  const gain = trade.netPnl ?? trade.pnl;
  const story = el(
    "button",
    { type: "button", title: `The story of trade ${tradeId}` },
    `#${tradeId}`,
  );
  story.addEventListener("click", () => openStory(trade));
  const cell = (/** @type {string} */ name, /** @type {any[]} */ ...inside) =>
    el("td", { class: name }, ...inside);
  return el(
    "tr",
    { "data-trade": String(tradeId) },
    cell(
      "what",
      el("span", { class: `side ${side}` }, side),
      " ",
      el("span", {}, whole(openedQuantity)),
      " ",
      el("b", {}, ...nameOf(symbol)),
      " ",
      story,
    ),
    cell("", dateTime(closedAt)),
    cell("number", price(entryPrice)),
    cell("number", price(exitPrice)),
    cell(`number ${tone(trade.pnl)}`, arrowMoney(trade.pnl)),
    cell(`number ${tone(gain)}`, trade.netPnl == null ? "" : signedMoney(trade.netPnl)),
    cell("", whyClosed(trade)),
    cell("number", age(Date.parse(closedAt) - Date.parse(openedAt))),
  );
}

function paint() {
  if (!isVisible()) return;
  // Those of another session stand there until this one's have come.
  const trades = shown.trades.filter(({ sessionId }) => sessionId === model.sessionId);
  keyed($("history").tBodies[0], rowsOf(trades), makeRow);
  $("history").hidden = trades.length === 0;
  put($("no-history"), trades.length ? "" : "No closed trade is like that.");
  paintSum(trades);
  put($("history-error"), problem);
  $("history-more").hidden = !shown.next;
  const wanted = query();
  wanted.delete("status");
  const csv = new URL(
    `../../api/auto-trader/sessions/${model.sessionId}/trades.csv?${wanted}`,
    import.meta.url,
  );
  $("history-csv").href = csv.href;
}

/** Of what is listed. @param {any[]} trades */
function paintSum(trades) {
  const { count, won, lost, pnl, net } = sumOf(trades);
  put(
    $("history-count"),
    `${whole(count)} ${count === 1 ? "trade" : "trades"}${shown.next ? " listed" : ""}`,
  );
  put($("history-pnl"), arrowMoney(pnl), `number ${tone(pnl)}`);
  put($("history-net"), net === null ? "" : signedMoney(net), `number ${tone(net)}`);
  put($("history-won"), `${whole(won)} won · ${whole(lost)} lost`);
}

/** Today's trades, all of them, on paper. */
async function print() {
  const today = istDate(marketNowMs());
  form.reset();
  for (const name of ["from", "to"]) {
    /** @type {any} */
    const field = form.elements.namedItem(name);
    field.value = today;
  }
  await load();
  while (shown.next && !problem) await load(shown.next);
  put($("print-title"), `${$("session").selectedOptions[0]?.textContent ?? ""}, ${today}`);
  requestAnimationFrame(() => requestAnimationFrame(() => window.print()));
}

/** What happens often at once is asked about once.
 * @type {ReturnType<typeof setTimeout> | undefined} */
let waiting;
function reload() {
  if (!isVisible()) return;
  clearTimeout(waiting);
  waiting = setTimeout(load, 300);
}

export function start() {
  part("history", paint);
  form.addEventListener("input", reload);
  form.addEventListener("submit", (event) => event.preventDefault());
  $("history-more").addEventListener("click", () => load(shown.next));
  $("history-print").addEventListener("click", print);
  $("tab-history").addEventListener("chosen", () => load());
  client.on("trade_closed", reload);
  client.on("ack", () => problem && reload()); // the server is there again, or who asks
  client.on("session_update", () => {
    if (of === model.sessionId) return;
    of = model.sessionId;
    touch("history");
    reload();
  });
}
