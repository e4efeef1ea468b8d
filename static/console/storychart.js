// @ts-check
/** The candles of a trade's life, in its story. */
import { Bars, INTERVALS } from "./bars.js";
import { Candles } from "./candles.js";
import { $, attribute } from "./dom.js";
import { DAY_MS, price, whole } from "./format.js";
import { fillsOf } from "./moments.js";

/** @typedef {import("./bars.js").Interval} Interval */

const MOST_BARS = 400;
/** As much is shown before and after it. */
const BARS_BESIDE = 20;
/** So long the server keeps what is shorter than a day. */
const KEPT_MS = 29 * DAY_MS;

/** Loaded with the first story. @type {Promise<Candles> | null} */
let loaded = null;

async function load() {
  loaded ??= Candles.in($("story-chart"));
  try {
    return await loaded;
  } catch {
    loaded = null; // the next story tries once more
    return null;
  }
}

/** The shortest bars of which not too many are needed. @param {number} fromMs @param {number} toMs
 * @returns {Interval} */
function intervalFor(fromMs, toMs) {
  if (Date.now() - fromMs > KEPT_MS) return "1d";
  const names = /** @type {Interval[]} */ (Object.keys(INTERVALS));
  return names.find((name) => toMs - fromMs < MOST_BARS * INTERVALS[name].lengthMs) ?? "1d";
}

/** @param {any} trade its document @param {any[]} events its own
 * @param {() => boolean} isWanted still */
export async function drawStory({ symbol, openedAt, closedAt }, events, isWanted) {
  const [fromMs, toMs] = [Date.parse(openedAt), Date.parse(closedAt)];
  const interval = intervalFor(fromMs, toMs);
  const besideMs = BARS_BESIDE * INTERVALS[interval].lengthMs;
  const found = new Bars(symbol, interval, () => {});
  await found.loadSpan(fromMs - besideMs, toMs + besideMs);
  if (!isWanted() || !found.bars.length) return;
  $("story-plot").hidden = false; // a chart takes the size of its box
  const candles = await load();
  if (!isWanted()) return;
  $("story-plot").hidden = candles === null;
  if (!candles) return;
  const fills = fillsOf(symbol, events);
  candles.recolour();
  candles.show(found.bars, interval, true);
  candles.mark(fills, [], found.bars, interval);
  candles.fit();
  attribute($("story-chart"), "aria-label", inWords(symbol, found, fills));
}

/** @param {string} symbol @param {Bars} found @param {import("./candles.js").Fill[]} fills */
function inWords(symbol, { bars, interval }, fills) {
  const low = Math.min(...bars.map((bar) => bar.low));
  const high = Math.max(...bars.map((bar) => bar.high));
  return (
    `Chart of ${symbol}, bars of ${interval}: ${whole(bars.length)}, ` +
    `from ${price(low)} to ${price(high)}; fills: ${fills.map(({ text }) => text).join(", ")}`
  );
}
