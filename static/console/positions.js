// @ts-check
/** Open trades: live P&L, and where the price stands between stop and target. */
import { putGain, putLevel, putPrice, share } from "./cells.js";
import { $, attribute, el, keyed, nameOf, put, ROWS_A_FRAME, rowsOf } from "./dom.js";
import { age, price, whole } from "./format.js";
import { part, touch } from "./frame.js";
import { feedIsLate, isLive, isStale, shutTrades, staleTrades } from "./liveness.js";
import { marketWords } from "./market.js";
import { model } from "./model.js";
import { ageOrSource, originOf } from "./quotes.js";
import { isOfThePast, sinceWords, staleWords } from "./since.js";
import { sorted, wireSorting } from "./sorting.js";
import { isChanging } from "./stream.js";
import { paintTotals } from "./totals.js";
import { guardsOf } from "./words.js";

/** @typedef {import("./model.js").Position} Position */

/** Symbols in one sentence. */
const MOST_NAMED = 6;
/** More digits of a quantity move only the name beside them. */
const MOST_OF_QUANTITY = "99,999".length;
/** @type {(tradeId: number, how?: "all" | "half" | "reverse") => void} */
let closing = () => {};
/** @type {(tradeId: number) => void} */
let guarding = () => {};

/** When rows were painted last. */
let wasLive = false;

/** @param {string} text @param {string} label which tells a row's from another's
 * @param {() => void} act */
function action(text, label, act) {
  const button = el("button", { type: "button", "aria-label": label, title: label }, text);
  button.addEventListener("click", act);
  return button;
}

/** @param {Position} trade */
function makeRow(trade) {
  const { tradeId } = trade;
  const cell = (/** @type {string} */ name, /** @type {any[]} */ ...inside) =>
    el("td", { class: name, role: "cell" }, ...inside);
  const which = `trade ${tradeId}, ${trade.symbol}`;
  const button = action("Close", `Close ${which}`, () => closing(tradeId));
  const half = action("½", `Close half of ${which}`, () => closing(tradeId, "half"));
  const reverse = action("⇄", `Reverse ${which}`, () => closing(tradeId, "reverse"));
  const guards = action("Guards", `Guards of ${which}`, () => guarding(tradeId));
  const [quantity, entry] = [el("span", { class: "quantity" }), el("span")];
  putPrice(entry, trade.entryPrice);
  const track = el(
    "span",
    { class: "track", "aria-hidden": "true" },
    el("span", { class: "entry" }),
    el("span", { class: "now" }),
  );
  const end = () => {
    const [word, level, away, unit, more] = ["word", "", "far", "unit", "unit"].map((name) =>
      el("span", { class: name }),
    );
    return Object.assign(el("span", {}, word, level, away, unit, more), {
      parts: { word, level, away, unit, more },
    });
  };
  const ends = el("span", { class: "ends" }, end(), end());
  const levels = cell("levels", track, ends);
  levels.addEventListener("pointerenter", () => {
    const now = model.open.get(tradeId) ?? trade; // what has no room in the row
    attribute(levels, "title", guardsOf(now, now.currentPrice));
  });
  const row = el(
    "tr",
    { role: "row", "data-trade": String(tradeId) },
    cell(
      "what",
      el("span", { class: `side ${trade.side}` }, trade.side),
      " ",
      quantity,
      " ",
      el("b", {}, ...nameOf(trade.symbol)),
      el("small", {}, `#${tradeId}`),
      el("small", { class: "waits" }),
    ),
    cell("number entry-price", entry),
    cell("number last", el("span"), el("small")),
    cell("number pnl", el("b"), el("small")),
    levels,
    cell("number held"),
    cell("number actions trades", guards, " ", half, " ", reverse, " ", button),
  );
  const [, , last, pnl, , held] = row.children;
  const [entryMark, now] = track.children;
  return Object.assign(row, {
    parts: {
      half,
      buttons: [guards, half, reverse, button],
      quantity,
      waits: row.querySelector(".waits"),
      last,
      price: last.firstChild,
      origin: last.lastChild,
      pnl,
      money: pnl.firstChild,
      percent: pnl.lastChild,
      track,
      entryMark,
      now,
      stop: ends.firstChild,
      target: ends.lastChild,
      held,
    },
  });
}

/** What an old price doesn't do. @param {Position} trade */
function waiting({ stopLoss, target }) {
  if (stopLoss != null && target != null) return ": exits wait";
  return stopLoss != null ? ": stop waits" : target != null ? ": target waits" : "";
}

/** @param {Position[]} trades */
function symbolsOf(trades) {
  const symbols = [...new Set(trades.map(({ symbol }) => symbol))];
  const more = symbols.length - MOST_NAMED;
  return more > 1
    ? `${symbols.slice(0, MOST_NAMED).join(", ")} and ${whole(more)} more`
    : symbols.join(", ");
}

/** Why stops do nothing now; empty if they do. */
function whyStopsWait() {
  const symbols = symbolsOf(staleTrades());
  if (symbols) {
    const since = sinceWords("no fresh price since", "no fresh price comes");
    return `Stops and targets of ${symbols} wait: ${since}.`;
  }
  return model.open.size && feedIsLate()
    ? `Stops and targets may wait: the price feed is ${model.feed?.state}.`
    : "";
}

/** The same where it is as it should be. */
function untilWhenStopsWait() {
  const symbols = symbolsOf(shutTrades());
  return symbols && `${marketWords()}: stops and targets of ${symbols} wait until it opens.`;
}

/** @param {any} row @param {Position} trade */
function updateRow(row, trade) {
  const { parts } = row;
  const { currentPrice } = trade;
  for (const button of parts.buttons) button.disabled = isChanging();
  parts.half.hidden = trade.quantity < 2;
  put(parts.quantity, whole(trade.quantity));
  const isOld = isStale(trade);
  row.classList.toggle("old", isOfThePast(trade));
  parts.last.classList.toggle("stale", isOld);
  putPrice(parts.price, currentPrice);
  const isNow = currentPrice !== undefined && !trade.stale && isLive();
  put(parts.origin, isNow ? ageOrSource(trade) : "");
  attribute(parts.last, "title", currentPrice === undefined ? null : originOf(trade));
  const words = isOld ? `${staleWords(trade)}${waiting(trade)}` : trade.stale && originOf(trade);
  put(parts.waits, words || "", isOld ? "waits" : "waits quiet");
  putGain(parts, trade);
  const at = share(trade, currentPrice);
  parts.track.classList.toggle("none", at === null);
  parts.now.hidden = parts.entryMark.hidden = at === null;
  if (at !== null) {
    parts.now.style.left = `${(at * 100).toFixed(1)}%`;
    parts.entryMark.style.left = `${((share(trade, trade.entryPrice) ?? 0) * 100).toFixed(1)}%`;
  }
  const trails = trade.trailingStop == null ? "" : ` · trails by ${price(trade.trailingStop)}`;
  putLevel(parts.stop, "Stop", trade.stopLoss, currentPrice, trails);
  putLevel(parts.target, "Target", trade.target, currentPrice);
  const { openedAt } = trade;
  const now = model.figures?.timestamp; // the server's clock, like openedAt
  put(parts.held, openedAt && now ? age(Date.parse(now) - Date.parse(openedAt)) : "–");
}

function paint() {
  wasLive = isLive();
  const rows = rowsOf(sorted([...model.open.values()]));
  const isWhole = keyed($("positions").tBodies[0], rows, makeRow, updateRow, ROWS_A_FRAME);
  if (!isWhole) touch("positions");
  const longest = whole(Math.max(100, ...rows.map(([, { quantity }]) => quantity)));
  $("positions").style.setProperty("--digits", String(Math.min(MOST_OF_QUANTITY, longest.length)));
  paintTotals(model.open.values());
  $("positions").hidden = model.open.size === 0;
  $("no-positions").hidden = model.open.size > 0;
  const trouble = whyStopsWait();
  put($("stops-wait"), trouble || untilWhenStopsWait(), trouble ? "note warn" : "note");
  put(
    $("no-positions"),
    model.sessionId === null
      ? "No session is on screen: choose or create one above."
      : "No open positions.",
  );
  put($("open-count"), model.open.size ? `${whole(model.open.size)} open` : "");
}

/** @param {(tradeId: number, how?: "all" | "half" | "reverse") => void} onClose a button in a row
 *   was pressed
 * @param {(tradeId: number) => void} onGuards likewise */
export function start(onClose, onGuards) {
  closing = onClose;
  guarding = onGuards;
  wireSorting($("positions"));
  part("positions", paint);
  setInterval(() => {
    if (isLive() !== wasLive) touch("positions"); // silence comes without a message
  }, 500);
}
