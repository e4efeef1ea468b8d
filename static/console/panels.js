// @ts-check
/** Panels that are resized at their edges, by pointer or arrow keys; the browser remembers them. */
import { $ } from "./dom.js";
import { recall, remember } from "./remembered.js";

const STEP_PX = 16;

/**
 * @typedef {object} Edge
 * @property {string} id of its separator
 * @property {string} size the property that says how large the panel before it is
 * @property {string} panel a selector
 * @property {"width" | "height"} side
 * @property {1 | -1} sign −1: the panel lies behind the edge
 * @property {number} least px
 */

/** @type {Edge[]} */
const EDGES = [
  { id: "split-watch", size: "--watch", panel: ".prices", side: "width", sign: 1, least: 180 },
  { id: "split-top", size: "--top", panel: ".charts", side: "height", sign: 1, least: 140 },
  { id: "split-side", size: "--side", panel: ".right", side: "width", sign: -1, least: 240 },
];

/** @param {Edge} edge */
const measure = ({ panel, side }) =>
  /** @type {Element} */ (document.querySelector(panel)).getBoundingClientRect()[side];

/** At most what leaves half of the page to the others. @param {Edge} edge */
const most = ({ side }) => $("desk").getBoundingClientRect()[side] / 2;

/** @param {Edge} edge @param {number} px */
function resize(edge, px) {
  const size = Math.round(Math.max(edge.least, Math.min(px, most(edge))));
  $("desk").style.setProperty(edge.size, `${size}px`);
  remember(edge.size, String(size));
  describe(edge);
}

/** @param {Edge} edge */
function describe(edge) {
  const separator = $(edge.id);
  separator.setAttribute("aria-valuenow", String(Math.round(measure(edge))));
  separator.setAttribute("aria-valuemin", String(edge.least));
  separator.setAttribute("aria-valuemax", String(Math.round(most(edge))));
}

/** @param {Edge} edge */
function wire(edge) {
  const separator = $(edge.id);
  const [less, more] =
    edge.side === "width" ? ["ArrowLeft", "ArrowRight"] : ["ArrowUp", "ArrowDown"];
  separator.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
    const way = event.key === more ? 1 : event.key === less ? -1 : 0;
    if (!way) return;
    event.preventDefault();
    resize(edge, measure(edge) + way * edge.sign * STEP_PX);
  });
  separator.addEventListener("pointerdown", (/** @type {PointerEvent} */ event) => {
    const at = (/** @type {PointerEvent} */ one) =>
      edge.side === "width" ? one.clientX : one.clientY;
    const [from, size] = [at(event), measure(edge)];
    separator.setPointerCapture(event.pointerId);
    separator.onpointermove = (/** @type {PointerEvent} */ move) =>
      resize(edge, size + edge.sign * (at(move) - from));
  });
  for (const end of ["pointerup", "pointercancel"])
    separator.addEventListener(end, () => {
      separator.onpointermove = null;
    });
}

/** As they were at first. */
export function resetPanels() {
  for (const edge of EDGES) {
    $("desk").style.removeProperty(edge.size);
    remember(edge.size, null);
    describe(edge);
  }
}

export function start() {
  for (const edge of EDGES) {
    const size = Number(recall(edge.size));
    if (size >= edge.least) $("desk").style.setProperty(edge.size, `${size}px`);
    wire(edge);
    describe(edge);
  }
  addEventListener("resize", () => EDGES.forEach(describe));
}
