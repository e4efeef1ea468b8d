// @ts-check
/** The session's P&L over time: realised where only that is known, with unrealised while we
 * watch. */
import { blank, colour, follow } from "./canvas.js";
import { $, put } from "./dom.js";
import {
  DAY_MS,
  dateTime,
  day,
  minute,
  money,
  shortMoney,
  signedMoney,
  time,
  tone,
} from "./format.js";
import { part, touch } from "./frame.js";
import { model } from "./model.js";
import { range, roundTimes } from "./series.js";
import { pnlIsOfThePast, pnlWords } from "./since.js";

/** @typedef {import("./series.js").Point} Point */

const EDGE = { left: 66, right: 14, top: 8, bottom: 20 };
/** @type {HTMLCanvasElement} */
const canvas = $("equity");
let minutes = 0;
/** @type {number | null} */
let pointer = null;

/** Round values that divide [low, high] into a few steps.
 * @param {number} low @param {number} high */
function ticks(low, high, most = 5) {
  const rough = (high - low) / most;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 5, 10].find((factor) => factor * power >= rough) ?? 10);
  const found = [];
  for (let value = Math.ceil(low / step) * step; value <= high; value += step)
    found.push(value || 0); // no −0
  return found;
}

/** @returns {Point[]} */
function visible() {
  const { points } = model.equity;
  const end = points.at(-1)?.t ?? 0;
  const start = minutes ? end - minutes * 60_000 : -Infinity;
  const first = points.findIndex(({ t }) => t >= start);
  return points
    .slice(Math.max(0, first - 1))
    .map((point) => (point.t < start ? { ...point, t: start } : point));
}

/** Between these nothing is known, and nothing is drawn. @param {Point[]} points */
function stretches(points) {
  /** @type {Point[][]} */
  const found = [];
  for (const point of points) {
    if (point.away || !found.length) found.push([]);
    found[found.length - 1].push(point);
  }
  return found;
}

function paint() {
  const isOld = pnlIsOfThePast();
  $("equity-chart").classList.toggle("old", isOld);
  put($("equity-legend"), isOld ? pnlWords() : "today minute by minute, before that each closing");
  const points = visible();
  $("no-equity").hidden = points.length > 1;
  const area = blank(canvas);
  if (!area || points.length < 2) return $("equity-readout").toggleAttribute("hidden", true);
  const { ink, width, height } = area;
  const values = points.map(({ v }) => v);
  const [low, high] = values.some(Boolean) ? range([0, ...values]) : [-1, 1];
  const [start, end] = [points[0].t, Math.max(points[points.length - 1].t, points[0].t + 1000)];
  const right = width - EDGE.right,
    bottom = height - EDGE.bottom;
  const x = (/** @type {number} */ t) =>
    EDGE.left + ((t - start) / (end - start)) * (right - EDGE.left);
  const y = (/** @type {number} */ v) =>
    EDGE.top + (1 - (v - low) / (high - low)) * (bottom - EDGE.top);

  ink.font = `12px ${getComputedStyle(canvas).fontFamily}`;
  ink.textBaseline = "middle";
  ink.textAlign = "right";
  for (const value of ticks(low, high)) {
    ink.fillStyle = colour("line");
    ink.fillRect(EDGE.left, Math.round(y(value)), right - EDGE.left, 1);
    ink.fillStyle = colour("quiet");
    ink.fillText(shortMoney(value), EDGE.left - 8, y(value));
  }
  ink.textBaseline = "alphabetic";
  const spans = Math.max(1, Math.min(6, Math.floor((right - EDGE.left) / 110)));
  const times = roundTimes(start, end, spans);
  const nameOf = names(times, end - start);
  for (const t of times) {
    ink.textAlign = x(t) > right - 30 ? "right" : x(t) < EDGE.left + 30 ? "left" : "center";
    ink.fillText(nameOf(t), x(t), height - 5);
  }

  // The same paths, painted twice: green above zero, red below.
  const zero = y(0);
  const [line, below] = [new Path2D(), new Path2D()];
  for (const stretch of stretches(points)) {
    const path = new Path2D();
    stretch.forEach(({ t, v, gap }, index) => {
      if (index && gap) path.lineTo(x(t), y(stretch[index - 1].v)); // as it stood
      path.lineTo(x(t), y(v));
    });
    line.addPath(path);
    path.lineTo(x(stretch[stretch.length - 1].t), zero);
    path.lineTo(x(stretch[0].t), zero);
    below.addPath(path);
  }
  for (const [name, top, tall] of /** @type {const} */ ([
    ["gain", 0, zero],
    ["loss", zero, height - zero],
  ])) {
    ink.save();
    ink.beginPath();
    ink.rect(EDGE.left, top, right - EDGE.left + 4, tall);
    ink.clip();
    ink.fillStyle = colour(`${name}-wash`);
    ink.fill(below);
    ink.strokeStyle = colour(name);
    ink.lineWidth = 1.6;
    ink.lineJoin = "round";
    ink.stroke(line);
    ink.restore();
  }
  ink.fillStyle = colour("strong-line");
  ink.fillRect(EDGE.left, Math.round(zero), right - EDGE.left, 1);
  mark(points, x, y);
  canvas.setAttribute(
    "aria-label",
    `P&L curve: now ${signedMoney(values[values.length - 1])}, ` +
      `highest ${signedMoney(Math.max(...values))}, lowest ${signedMoney(Math.min(...values))}`,
  );

  /** The point under the pointer, or the newest.
   * @param {Point[]} shown @param {(t: number) => number} x @param {(v: number) => number} y */
  function mark(shown, x, y) {
    const at = pointer;
    const near =
      at === null
        ? shown[shown.length - 1]
        : shown.reduce((best, one) =>
            Math.abs(x(one.t) - at) < Math.abs(x(best.t) - at) ? one : best,
          );
    ink.beginPath();
    ink.arc(x(near.t), y(near.v), 3.2, 0, 7);
    ink.fillStyle = colour(tone(near.v) || "quiet");
    ink.fill();
    $("equity-readout").hidden = at === null;
    if (at !== null)
      put($("equity-readout"), `${dateTime(near.t)} IST  ${signedMoney(near.v) || money(0)}`);
  }
}

/** What moments of the axis are called. @param {number[]} times @param {number} spanMs
 * @returns {(t: number) => string} */
function names(times, spanMs) {
  if (spanMs < 600_000) return time;
  if (spanMs < DAY_MS) return minute;
  const areDays = times.every((t) => minute(t) === "00:00");
  return areDays ? day : (t) => dateTime(t).slice(0, -3);
}

export function start() {
  part("equity", paint);
  follow(canvas, () => touch("equity"));
  canvas.addEventListener("pointermove", (event) => {
    pointer = event.offsetX;
    touch("equity");
  });
  canvas.addEventListener("pointerleave", () => {
    pointer = null;
    touch("equity");
  });
  $("ranges").addEventListener("click", (/** @type {any} */ { target }) => {
    const chosen = target.closest("button");
    if (!chosen) return;
    minutes = Number(chosen.dataset.minutes);
    for (const button of $("ranges").children)
      button.setAttribute("aria-pressed", String(button === chosen));
    touch("equity");
  });
}
