// @ts-check
/** Draws what happened into a chart: fills as arrows at their bars, and moments, such as halts, as
 * lines with their words at the top. Words for which there is no room are left out. */
import { colour } from "./canvas.js";
import { whole } from "./format.js";
import { LINE_PX, placed } from "./labels.js";

/** @typedef {import("./bars.js").Bar} Bar */
/** @typedef {import("./candles.js").Fill} Fill */
/** `bar`: null for a moment; `width` of the words, as soon as it is measured
 * @typedef {{ time: number, text: string, tone: string, bar: Bar | null, isBuy: boolean,
 *   width?: number }} Mark */
/** @typedef {{ ink: CanvasRenderingContext2D, width: number, height: number,
 *   xOf: (time: number) => number | null, yOf: (at: number) => number | null }} Place */

const ARROW_PX = 8;
const AWAY_PX = 4;
/** So many lines of words at the top, or at a bar. */
const MOST_LINES = 3;
/** What marks need beyond the candles. */
export const MARGIN_PX = AWAY_PX + ARROW_PX + LINE_PX;

/** Fills of one side in one bar are one mark. @param {Fill[]} fills @param {Bar[]} bars
 * @param {(startMs: number) => number} timeOf @returns {Mark[]} */
export function fillMarks(fills, bars, timeOf) {
  /** @type {Map<string, Mark & { quantity: number }>} */
  const found = new Map();
  for (const { atMs, side, quantity } of fills) {
    const bar = bars.findLast(({ startMs }) => startMs <= atMs);
    if (!bar) continue;
    const isBuy = side === "BUY";
    const key = `${bar.startMs} ${side}`;
    const all = quantity + (found.get(key)?.quantity ?? 0);
    found.set(key, {
      time: timeOf(bar.startMs),
      text: `${side} ${whole(all)}`,
      tone: isBuy ? "gain" : "loss",
      bar,
      isBuy,
      quantity: all,
    });
  }
  return [...found.values()];
}

/** @param {Place} place @param {Mark} mark @param {number} x @returns {number[]} where its words
 * may stand; draws the rest of it */
function drawSign({ ink, height, yOf }, { tone, bar, isBuy }, x) {
  ink.fillStyle = ink.strokeStyle = colour(tone);
  ink.beginPath();
  if (!bar) {
    ink.setLineDash([2, 3]);
    ink.moveTo(x, 0);
    ink.lineTo(x, height);
    ink.stroke();
    ink.setLineDash([]);
    return Array.from({ length: MOST_LINES }, (_, line) => 2 + line * LINE_PX);
  }
  const way = isBuy ? 1 : -1;
  const tip = (yOf(isBuy ? bar.low : bar.high) ?? 0) + way * AWAY_PX;
  ink.moveTo(x, tip);
  ink.lineTo(x - ARROW_PX / 2, tip + way * ARROW_PX);
  ink.lineTo(x + ARROW_PX / 2, tip + way * ARROW_PX);
  ink.fill();
  const end = tip + way * (ARROW_PX + 1);
  return Array.from(
    { length: MOST_LINES },
    (_, line) => end + way * line * LINE_PX - (isBuy ? 0 : LINE_PX),
  );
}

/** Where words begin: those of a moment beside its line. @param {Mark} mark @param {number} width
 * @param {number} x @param {number} most the chart's width */
function leftOf({ bar }, width, x, most) {
  if (bar) return Math.max(2, Math.min(most - width - 2, x - width / 2));
  return x + AWAY_PX + width <= most ? x + AWAY_PX : Math.max(2, x - AWAY_PX - width);
}

/** @param {Place} place @param {Mark[]} marks in the order of time */
export function drawMarks(place, marks) {
  const { ink, width: most, xOf } = place;
  const shown = marks
    .map((mark) => ({ mark, x: xOf(mark.time) ?? -1 }))
    .filter(({ x }) => x >= 0 && x <= most)
    .reverse() // the newest words first
    .map(({ mark, x }) => {
      const tops = drawSign(place, mark, x);
      mark.width ??= ink.measureText(mark.text).width;
      const left = leftOf(mark, mark.width, x, most);
      return { mark, left, width: mark.width, tops };
    });
  const tops = placed(shown);
  ink.textBaseline = "top";
  ink.lineJoin = "round";
  ink.lineWidth = 3;
  ink.strokeStyle = colour("panel");
  shown.forEach(({ mark, left }, index) => {
    const top = tops[index];
    if (top === undefined) return;
    ink.strokeText(mark.text, left, top + 2); // readable over candles
    ink.fillStyle = colour(mark.tone);
    ink.fillText(mark.text, left, top + 2);
  });
}
