// @ts-check
/** The chart of a symbol's bars: which symbol, which interval, and what of the session is drawn
 * into it. The P&L curve takes its place where that is wanted. */
import { Bars } from "./bars.js";
import { Candles } from "./candles.js";
import { linesOf } from "./chartlines.js";
import { $, attribute, el, keyed, put } from "./dom.js";
import { dateTime, moment, price, whole } from "./format.js";
import { part, touch, touchInBeat } from "./frame.js";
import { isHeld, paintGrips, placeGrips, placeOf } from "./grips.js";
import { learnLot } from "./lots.js";
import { marketNowMs } from "./market.js";
import { model } from "./model.js";
import { fillsOf, momentsOf } from "./moments.js";
import { standOf } from "./quotes.js";
import { recall, remember } from "./remembered.js";
import { client, NUMBERED } from "./stream.js";

/** @typedef {import("./chartlines.js").ChartLine} ChartLine */

/** @type {Candles | null} */
let candles = null;
/** @type {Bars | null} */
let bars = null;
/** What was drawn: a new past is a new list, a new price is not.
 * @type {import("./bars.js").Bar[]} */
let drawn = [];
let chosen = "";
let isLoading = false;
let trouble = "";

const isOpen = () => !$("bars").hidden;

/** The symbol of the chart: the chosen one while it is on screen. */
const symbolShown = () => (model.prices.has(chosen) ? chosen : ([...model.prices.keys()][0] ?? ""));

/** A symbol was chosen somewhere on the page. @param {string} symbol */
export function choose(symbol) {
  chosen = symbol;
  touch("bars");
}

/** Another symbol or interval: what was there is not of it. @param {string} symbol
 * @param {any} interval */
function begin(symbol, interval) {
  const quote = model.prices.get(symbol);
  bars = new Bars(symbol, interval, () => touchInBeat("bars"));
  drawn = [];
  learnLot(symbol); // a line is moved by its tick
  bars.load(quote ? Date.parse(quote.asOf) : marketNowMs());
}

function paint() {
  if (!isOpen()) return;
  const symbol = symbolShown();
  keyed(
    $("bars-symbol"),
    [...model.prices.keys()].map((one) => [one, one]),
    (one) => el("option", { value: one }, one),
  );
  $("bars-symbol").value = symbol;
  const interval = $("bars-interval").value;
  if (symbol && (bars?.symbol !== symbol || bars.interval !== interval)) begin(symbol, interval);
  if (bars?.isLoaded) loadLibrary();
  const since = silentSince(symbol);
  $("bars").classList.toggle("old", since !== null);
  const silence = since && `No fresh price since ${since}.`;
  put($("bars-note"), [note(symbol), silence].filter(Boolean).join(" · "));
  if (!candles || !bars || !symbol) return;
  const isNew = drawn !== bars.bars;
  drawn = bars.bars;
  const lines = linesOf(symbol);
  const fills = fillsOf(symbol, model.log);
  const moments = momentsOf([...model.log].reverse());
  paintGrips(lines);
  candles.show(drawn, bars.interval, isNew);
  candles.draw(lines.map(asDrawn), isHeld());
  candles.mark(fills, moments, drawn, bars.interval);
  placeGrips(candles);
  attribute($("bars-chart"), "aria-label", inWords(symbol, lines, fills, moments));
}

/** When its price was last fresh, if it no longer is. @param {string} symbol
 * @returns {string | null} */
function silentSince(symbol) {
  const quote = model.prices.get(symbol);
  return quote && standOf(quote) === "stale" ? moment(quote.asOf) : null;
}

/** Its name stands on its label. @param {ChartLine} line
 * @returns {import("./candles.js").Line} */
const asDrawn = (line) => ({
  price: placeOf(line),
  tone: line.tone,
  isDashed: line.isDashed,
});

/** What is drawn, for those who do not see it. @param {string} symbol @param {ChartLine[]} lines
 * @param {import("./candles.js").Fill[]} fills @param {import("./candles.js").Moment[]} moments */
function inWords(symbol, lines, fills, moments) {
  const last = drawn.at(-1);
  return [
    `Chart of ${symbol}, bars: ${whole(drawn.length)}`,
    last && `the last one from ${price(last.low)} to ${price(last.high)}, now ${price(last.close)}`,
    ...lines.map(({ title, price: at }) => `${title} at ${price(at)}`),
    ...moments.map(({ atMs, text }) => `${text} at ${dateTime(atMs)}`),
    fills.length && `fills: ${fills.map(({ text }) => text).join(", ")}`,
  ]
    .filter(Boolean)
    .join("; ");
}

/** @param {string} symbol what is missing, and why */
function note(symbol) {
  if (trouble) return trouble;
  if (!symbol) return "Add a symbol above to see its bars.";
  if (bars?.problem) return bars.problem;
  if (!bars?.isLoaded || !candles) return "Loading…";
  return bars.bars.length ? "" : `${symbol} has no bars yet: they begin while it is on screen.`;
}

/** Behind all else, and only if it is looked at: the library is larger than all of the page. */
async function loadLibrary() {
  if (candles || isLoading || trouble) return;
  isLoading = true;
  try {
    const made = await Candles.in($("bars-chart"));
    made.onDrawn = () => placeGrips(made);
    candles = made;
  } catch {
    trouble = "The chart could not be loaded. Show the P&L curve and come back to try once more.";
  }
  isLoading = false;
  touch("bars");
}

/** @param {boolean} open */
function show(open) {
  $("bars").hidden = !open;
  $("equity-chart").hidden = open;
  $("ranges").hidden = open;
  $("equity-legend").hidden = open;
  $("bars-choices").hidden = !open;
  put($("equity-title"), open ? "Candles" : "P&L curve");
  $("curve-toggle").setAttribute("aria-pressed", String(!open));
  remember("chart", open ? null : "curve");
  trouble = "";
  touch("bars", "equity");
}

export const toggleChart = () => show(!isOpen());

/** Colours changed. */
export const recolour = () => candles?.recolour();

export function start() {
  part("bars", paint);
  const remembered = recall("interval");
  for (const { value } of $("bars-interval").options)
    if (value === remembered) $("bars-interval").value = value;
  $("curve-toggle").addEventListener("click", toggleChart);
  $("bars-symbol").addEventListener("change", () => choose($("bars-symbol").value));
  $("bars-interval").addEventListener("change", () => {
    remember("interval", $("bars-interval").value);
    touch("bars");
  });
  $("bars-chart").addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (candles?.press(event.key)) event.preventDefault();
  });
  client.on("price_update", ({ data }) => {
    if (isOpen() && data.symbol === bars?.symbol) bars.note(data);
  });
  setInterval(() => isOpen() && touchInBeat("bars"), 1000); // silence comes without a message
  for (const type of NUMBERED) client.on(type, () => isOpen() && touch("bars"));
  client.on("status", ({ state }) => {
    if (state === "open" && isOpen()) bars?.refresh();
  });
  if (recall("chart") === "curve") show(false);
}
