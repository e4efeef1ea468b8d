// @ts-check
/** Canvases that fit their box and the theme. */
import { el } from "./dom.js";

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
