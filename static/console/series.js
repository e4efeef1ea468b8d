// @ts-check
/** Values over time, bounded. */
import { DAY_MS, IST_AHEAD_MS } from "./format.js";

/**
 * @typedef {{ t: number, v: number, gap?: boolean, away?: boolean }} Point
 *   `gap`: of the time since the point before only this is known, that nothing was realised;
 *   `away`: nothing is known of it
 */

/** The newest points, one a slot of time: for sparklines. */
export class Recent {
  #slotMs;
  #most;
  #times;
  #values;
  #count = 0;

  /** @param {number} slotMs @param {number} most */
  constructor(slotMs, most) {
    this.#slotMs = slotMs;
    this.#most = most;
    this.#times = new Float64Array(most);
    this.#values = new Float64Array(most);
  }

  /** When the newest slot began; it tells whether there is a new point. */
  get newestMs() {
    return this.#count ? this.#times[(this.#count - 1) % this.#most] : -Infinity;
  }

  /** @param {number} t @param {number} v */
  add(t, v) {
    const slot = Math.floor(t / this.#slotMs) * this.#slotMs;
    if (slot > this.newestMs) {
      this.#times[this.#count % this.#most] = slot;
      this.#count += 1;
    }
    this.#values[(this.#count - 1) % this.#most] = v;
  }

  /** Oldest first. @returns {Point[]} */
  get points() {
    const length = Math.min(this.#count, this.#most);
    return Array.from({ length }, (_, index) => {
      const at = (this.#count - length + index) % this.#most;
      return { t: this.#times[at], v: this.#values[at] };
    });
  }
}

const SEEN = 1000;

/** The newest of many numbers, such as of what has ended. */
export class Seen {
  /** @type {Set<number>} */
  #numbers = new Set();

  /** @param {number} number */
  add(number) {
    this.#numbers.add(number);
    const [oldest] = this.#numbers;
    if (this.#numbers.size > SEEN) this.#numbers.delete(oldest);
  }

  /** @param {number} number */
  has(number) {
    return this.#numbers.has(number);
  }

  clear() {
    this.#numbers.clear();
  }
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

const STEPS_S = [
  1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 86400,
];

/** Round moments by the clock in India that divide a time into a few steps.
 * @param {number} start @param {number} end @param {number} most */
export function roundTimes(start, end, most) {
  const rough = (end - start) / most;
  const step =
    1000 * (STEPS_S.find((s) => s * 1000 >= rough) ?? 0) || Math.ceil(rough / DAY_MS) * DAY_MS;
  const found = [];
  const first = Math.ceil((start + IST_AHEAD_MS) / step) * step - IST_AHEAD_MS;
  for (let at = first; at <= end; at += step) found.push(at);
  return found;
}

/**
 * All day in a bounded number of points: when it is full, the older half loses every other one.
 * @param {Point[]} points
 * @param {number} most
 */
export function thin(points, most) {
  if (points.length <= most) return points;
  const half = points.length >> 1;
  return points.filter((point, index) => {
    if (index >= half || index % 2 === 0) return true;
    if (point.gap) points[index + 1].gap = true;
    if (point.away) points[index + 1].away = true;
    return false;
  });
}
