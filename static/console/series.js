// @ts-check
/** Values over time, bounded. */

/**
 * @typedef {{ t: number, v: number, gap?: boolean, away?: boolean }} Point
 *   `gap`: of the time since the point before only this is known, that nothing was realised;
 *   `away`: nothing is known of it
 */

/** The newest points, one a slot of time: for sparklines. */
export class Recent {
  /** @type {Point[]} */
  points = [];

  /** @param {number} slotMs @param {number} most */
  constructor(slotMs, most) {
    this.slotMs = slotMs;
    this.most = most;
  }

  /** @param {number} t @param {number} v @returns {boolean} whether anything changed */
  add(t, v) {
    const slot = Math.floor(t / this.slotMs) * this.slotMs;
    const last = this.points.at(-1);
    if (last && last.t >= slot) {
      if (last.v === v) return false;
      last.v = v;
      return true;
    }
    this.points.push({ t: slot, v });
    if (this.points.length > this.most) this.points.shift();
    return true;
  }
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
