// @ts-check
/**
 * One paint a frame. Messages change the model and `touch` the parts of the page that show it;
 * however many come, each touched part is painted once, in the next frame. Prices and figures come
 * in beats, and are painted once a beat, in two frames.
 */

import { keepFocus } from "./focus.js";

/** A beat comes within this time; a paint in its middle would show half of it. */
const GATHER_MS = 20;
/** From a paint to the next of beats: a little less than from a beat to the next. */
const BEAT_MS = 80;

/** What a beat paints a frame after all else, so that neither of the two has all to do. */
const SECOND = new Set(["positions", "session", "rules"]);

/** @type {Map<string, () => void>} */
const painters = new Map();
/** @type {Set<string>} */
const dirty = new Set();
/** @type {(() => void)[]} */
const afterPaint = [];
const painted = new MessageChannel();
let asked = false;
let gathers = false;
let isHalf = false;
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
  const due = [...dirty];
  const first = due.filter((name) => !SECOND.has(name));
  isHalf = 0 < first.length && first.length < due.length;
  paintBetween(isHalf ? first : due);
}

/** @param {string[]} due */
function paintBetween(due) {
  paint(due);
  requestAnimationFrame(tellPainted);
}

/** Everything, e.g. when the colours change. */
export const touchAll = () => touch(...painters.keys());

/** @param {() => void} listener called when a frame is on the screen */
export const onPainted = (listener) => afterPaint.push(listener);

/** @param {string[]} due */
function paint(due) {
  counts.paints += 1;
  paintedMs = performance.now();
  for (const name of due) dirty.delete(name);
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
  asked = isHalf = false;
  paint([...dirty]);
  tellPainted();
}

/** A task after a frame's callbacks runs once that is painted. */
const tellPainted = () => painted.port2.postMessage(null);

painted.port1.onmessage = () => {
  if (isHalf && !asked) {
    isHalf = false;
    return paintBetween([...dirty].filter((name) => SECOND.has(name)));
  }
  for (const listener of afterPaint) listener();
};
