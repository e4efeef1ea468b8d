// @ts-check
/** Canvases that fit their box and the theme, and the sparkline. */
import { el } from "./dom.js";

/** @typedef {import("./series.js").Point} Point */

/** @type {WeakMap<Element, { width: number, height: number }>} */
const sizes = new WeakMap();
/** @type {Map<string, string>} */
const colours = new Map();

const observer = new ResizeObserver((entries) => {
  for (const {
    target,
    contentRect: { width, height },
  } of entries) {
    sizes.set(target, { width, height });
    target.dispatchEvent(new CustomEvent("sized"));
  }
});

/** @param {HTMLCanvasElement} canvas @param {() => void} redraw called when its size changed */
export function follow(canvas, redraw) {
  canvas.addEventListener("sized", redraw);
  observer.observe(canvas);
}

/** A canvas knows no CSS variables: an element tells what they are. @param {string} name */
export function colour(name) {
  let value = colours.get(name);
  if (value === undefined) {
    const probe = el("i", { hidden: "" });
    probe.style.color = `var(--${name})`;
    document.body.append(probe);
    value = getComputedStyle(probe).color;
    probe.remove();
    colours.set(name, value);
  }
  return value;
}

/** The theme changed. */
export const forgetColours = () => colours.clear();

/** Clears it. @param {HTMLCanvasElement} canvas
 * @returns {{ ink: CanvasRenderingContext2D, width: number, height: number } | null} in CSS pixels;
 *   null before it has a size */
export function blank(canvas) {
  const size = sizes.get(canvas);
  const ink = canvas.getContext("2d");
  if (!size?.width || !size.height || !ink) return null;
  const scale = Math.min(devicePixelRatio || 1, 3);
  const [width, height] = [Math.round(size.width * scale), Math.round(size.height * scale)];
  if (canvas.width !== width) canvas.width = width;
  if (canvas.height !== height) canvas.height = height;
  ink.setTransform(scale, 0, 0, scale, 0, 0);
  ink.clearRect(0, 0, size.width, size.height);
  return { ink, ...size };
}

/** @param {number[]} values @returns {[number, number]} lowest and highest, never the same */
export function range(values) {
  let low = Infinity,
    high = -Infinity;
  for (const value of values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return low < high
    ? [low, high]
    : [low - Math.abs(low || 1) / 1e4, high + Math.abs(high || 1) / 1e4];
}

/** @param {HTMLCanvasElement} canvas @param {Point[]} points @param {string} tone of the line
 * @param {number} spanMs the time that fills the canvas */
export function drawSpark(canvas, points, tone, spanMs) {
  const area = blank(canvas);
  if (!area || !points.length) return;
  const { ink, width, height } = area;
  const [low, high] = range(points.map(({ v }) => v));
  const newest = points[points.length - 1].t;
  // A young line starts at the left too; it is squeezed once it spans the whole width.
  const start = Math.max(points[0].t, newest - spanMs);
  const across = Math.max(newest - start, spanMs / 4);
  const x = (/** @type {number} */ t) => 1 + ((t - start) / across) * (width - 4);
  const y = (/** @type {number} */ v) => 2 + (1 - (v - low) / (high - low)) * (height - 4);
  ink.beginPath();
  for (const { t, v } of points) ink.lineTo(x(t), y(v));
  ink.lineWidth = 1.4;
  ink.lineJoin = "round";
  ink.strokeStyle = colour(tone || "quiet");
  ink.stroke();
  const last = points[points.length - 1];
  ink.beginPath();
  ink.arc(x(last.t), y(last.v), 2, 0, 7);
  ink.fillStyle = ink.strokeStyle;
  ink.fill();
}
