// @ts-check
/** Price tiles: last price, its recent line, how old it is, and whose. */
import { baseOf } from "./base.js";
import { $, attribute, el, keyed, nameOf, put, ROWS_A_FRAME } from "./dom.js";
import { arrow, price, signedPercent, tone } from "./format.js";
import { part, touch, touchInBeat } from "./frame.js";
import { model } from "./model.js";
import { origin, standOf } from "./quotes.js";
import { drawSpark, makeSpark } from "./spark.js";
import { addSymbols, client, removeSymbol, updateEvery } from "./stream.js";
import { explainBad, symbolsIn } from "./symbols.js";

/** @typedef {import("./model.js").Quote} Quote */

const SPAN_MS = 120_000;
const INTERVALS_MS = [100, 200, 500, 1000, 2000, 5000, 10_000, 30_000, 60_000];
/** Of these the server has prices. @type {Set<string>} */
let known = new Set();
/** What was typed when symbols were last added. */
let typed = "";
/** @type {(symbol: string) => void} */
let picked = () => {};

/** @param {Quote | null} _quote @param {string} symbol */
function makeTile(_quote, symbol) {
  const name = el(
    "button",
    { type: "button", class: "name", title: `New trade in ${symbol}` },
    ...nameOf(symbol),
  );
  const remove = el(
    "button",
    { type: "button", class: "icon remove", "aria-label": `Remove ${symbol}` },
    "×",
  );
  const spark = makeSpark();
  const tile = el(
    "li",
    { class: "tile", "data-symbol": symbol },
    name,
    remove,
    el("span", { class: "last" }, el("i", { "aria-hidden": "true" }), el("b")),
    el("span", { class: "change" }),
    spark,
    el("span", { class: "age" }),
  );
  const [last, change, , ageText] = [...tile.children].slice(2);
  Object.assign(tile, {
    parts: {
      arrow: last.firstChild,
      last: last.lastChild,
      change,
      spark,
      age: ageText,
      drawnMs: 0,
    },
  });
  name.addEventListener("click", () => picked(symbol));
  remove.addEventListener("click", () => {
    const next = tile.nextElementSibling ?? tile.previousElementSibling;
    (next?.querySelector(".remove") ?? $("add-symbol")).focus(); // it would fall to the page's top
    complain("");
    removeSymbol(symbol);
  });
  return tile;
}

/** @param {any} tile @param {Quote | null} quote */
function updateTile(tile, quote) {
  const { parts } = tile;
  const base = quote && baseOf(quote);
  const change = base ? Math.round((quote.price / base.price - 1) * 1e4) / 100 : null;
  const stand = quote ? standOf(quote) : "";
  const name = stand ? `tile ${stand}` : "tile";
  if (tile.className !== name) tile.className = name;
  put(parts.arrow, arrow(quote?.direction), tone(quote?.direction));
  put(parts.last, price(quote?.price));
  put(parts.change, quote ? signedPercent(change) : "", `change ${tone(change)}`);
  attribute(parts.change, "title", base ? base.words : null);
  put(parts.age, quote ? origin(quote, stand) : "no price yet");
  attribute(parts.spark, "class", `spark ${tone(change)}`);
  if (!quote || parts.drawnMs === quote.line.newestMs) return;
  parts.drawnMs = quote.line.newestMs; // once a slot of its line, however many prices come
  drawSpark(parts.spark, quote.line.points, SPAN_MS);
}

function paint() {
  if (!keyed($("tiles"), model.prices, makeTile, updateTile, ROWS_A_FRAME)) touch("prices");
  $("no-prices").hidden = model.prices.size > 0;
  const choices = [...new Set([...INTERVALS_MS, model.intervalMs])].sort(
    (one, other) => one - other,
  );
  keyed(
    $("interval"),
    choices.map((ms) => [ms, ms]),
    (ms) => el("option", { value: String(ms) }),
    (option, ms) => put(option, ms < 1000 ? `${ms} ms` : `${ms / 1000} s`),
  );
  if (document.activeElement !== $("interval")) $("interval").value = String(model.intervalMs);
}

/** @param {string[]} symbols for the suggestions of the fields */
export function suggest(symbols) {
  known = new Set(symbols);
  $("symbols").replaceChildren(...symbols.map((symbol) => el("option", { value: symbol })));
}

/** Adds what can be one; the rest stays in the field, to be corrected. @param {string} text */
export function add(text) {
  const { good, bad } = symbolsIn(text, known);
  typed = text;
  if (good.length) addSymbols(good);
  $("add-symbol").value = bad.join(", ");
  complain(bad.length ? explainBad(bad) : "");
  return good;
}

/** What was refused is typed already. @param {string} text */
function giveBack(text) {
  if (!$("add-symbol").value) $("add-symbol").value = text;
}

/** @param {string} problem */
function complain(problem) {
  put($("symbols-error"), problem);
  $("add-symbol").setAttribute("aria-invalid", String(Boolean(problem)));
}

/** @param {(symbol: string) => void} onPick a tile's name was pressed */
export function start(onPick) {
  picked = onPick;
  part("prices", paint);
  setInterval(() => touchInBeat("prices"), 1000); // ages grow without messages
  $("add-symbols").addEventListener("submit", (/** @type {Event} */ event) => {
    event.preventDefault();
    if (!$("add-symbol").value.trim()) return complain("Name a symbol, or several with commas.");
    add($("add-symbol").value);
  });
  $("add-symbol").addEventListener("input", () => complain(""));
  const ticks = new URL("../../api/auto-trader/ticks", import.meta.url);
  $("push").textContent = `curl ${ticks} -d '{"symbol":"NIFTY","price":22150.5}'`;
  $("interval").addEventListener("change", () => {
    complain("");
    updateEvery(Number($("interval").value));
  });
  client.on("ack", ({ result }) => {
    if (!result.unknown?.length) return;
    complain(`The feed has no ${result.unknown.join(", ")}.`);
    giveBack(result.unknown.join(", "));
  });
  client.on("error", ({ message, command }) => {
    if (!command?.endsWith("_prices")) return;
    complain(message);
    giveBack(typed);
  });
}
