// @ts-check
/** How long to wait before the next attempt. */

const FIRST_MS = 1000;
const MOST_MS = 10_000;
/** Success for so long ends the back-off; being answered and lost again does not. */
const STEADY_MS = 5000;

export class BackOff {
  #attempt = 0;
  /** @type {any} */
  #steady;

  /** Full jitter: clients cut at the same time do not come back at the same time, even if the
   * server gave them the same delay. @param {number} [least] that delay */
  next(least = 0) {
    this.stop();
    const most = Math.min(MOST_MS, FIRST_MS * 2 ** this.#attempt++);
    return Math.round(least + Math.random() * most);
  }

  /** The last attempt does not count. */
  forgive() {
    this.#attempt -= 1;
  }

  reset() {
    this.#attempt = 0;
  }

  /** Success begins now, unless `stop` or another attempt says otherwise. */
  begin() {
    this.#steady = setTimeout(() => this.reset(), STEADY_MS);
  }

  stop() {
    clearTimeout(this.#steady);
  }
}
