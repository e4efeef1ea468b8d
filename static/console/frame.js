// @ts-check
/**
 * One paint a frame. Messages change the model and `touch` the parts of the page that show it;
 * however many come, each touched part is painted once, in the next frame. Prices and figures come
 * in beats, and are painted once a beat.
 */

import { keepFocus } from "./focus.js";

/** A beat comes within this time; a paint in its middle would show half of it. */
const GATHER_MS = 20;
/** From a paint to the next of beats: a little less than from a beat to the next. */
const BEAT_MS = 80;

/** @type {Map<string, () => void>} */
const painters = new Map();
/** @type {Set<string>} */
const dirty = new Set();
/** @type {(() => void)[]} */
const afterPaint = [];
const painted = new MessageChannel();
let asked = false;
let gathers = false;
let paintedMs = 0;

export const counts = { paints: 0 };

/** @param {string} name @param {() => void} paint */
export function part(name, paint) {
  painters.set(name, paint);
  touch(name);
}

/** @param {...string} names the parts whose data changed */
export function touch(...names) {
  for (const name of names) dirty.add(name);
  if (asked) return;
  asked = true;
  requestAnimationFrame(paintFrame);
}

/** @param {...string} names the parts whose data a beat changed */
export function touchInBeat(...names) {
  for (const name of names) dirty.add(name);
  if (asked || gathers) return;
  gathers = true;
  setTimeout(gathered, Math.max(GATHER_MS, paintedMs + BEAT_MS - performance.now()));
}

/** Between two frames: the chart, which asks for a frame of its own, then comes into the same one
 * as all else, and that has less to do. A page that is not looked at has no frames. */
function gathered() {
  gathers = false;
  if (asked || !dirty.size) return;
  if (document.hidden) return touch();
  paint();
  requestAnimationFrame(tellPainted);
}

/** Everything, e.g. when the colours change. */
export const touchAll = () => touch(...painters.keys());

/** @param {() => void} listener called when a frame is on the screen */
export const onPainted = (listener) => afterPaint.push(listener);

function paint() {
  asked = false;
  counts.paints += 1;
  paintedMs = performance.now();
  const due = [...dirty];
  dirty.clear();
  const keep = keepFocus();
  for (const name of due) {
    try {
      painters.get(name)?.();
    } catch (error) {
      reportError(error); // a part that fails leaves the others alone
    }
  }
  keep();
}

function paintFrame() {
  paint();
  tellPainted();
}

/** A task after a frame's callbacks runs once that is painted. */
const tellPainted = () => painted.port2.postMessage(null);

painted.port1.onmessage = () => {
  for (const listener of afterPaint) listener();
};
