// @ts-check
/** How long things take, measured in the page. */

const PINGS = 12;
const SAMPLES = 2000;

/** Round trips, and from them how far the server's clock is ahead of this one's. */
export class Clock {
  /** @type {{ rttMs: number, aheadMs: number }[]} */
  #answers = [];

  /** The server read its clock somewhere between sending and answer; taken for the middle, it is
   * wrong by at most half the round trip, so the fastest of the last ones is believed.
   * @param {number} sentMs @param {number} receivedMs epoch milliseconds of this machine
   * @param {string} timestamp the server's */
  note(sentMs, receivedMs, timestamp) {
    const aheadMs = Date.parse(timestamp) - (sentMs + receivedMs) / 2;
    this.#answers.push({ rttMs: receivedMs - sentMs, aheadMs });
    if (this.#answers.length > PINGS) this.#answers.shift();
  }

  /** Of the last round trip; undefined before the first. */
  get rttMs() {
    return this.#answers.at(-1)?.rttMs;
  }

  get aheadMs() {
    return this.#answers.reduce(
      (best, one) => (best === undefined || one.rttMs < best.rttMs ? one : best),
      this.#answers[0],
    )?.aheadMs;
  }
}

/** The newest durations, for their percentiles. */
export class Samples {
  /** @type {number[]} */
  #values = [];
  #next = 0;

  /** @param {number} ms */
  add(ms) {
    this.#values[this.#next] = ms;
    this.#next = (this.#next + 1) % SAMPLES;
  }

  /** @param {number} share 0.5 is the median @returns {number | undefined} */
  percentile(share) {
    const sorted = [...this.#values].sort((one, other) => one - other);
    return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
  }
}

/** Something a second, over the last few seconds. */
export class Rate {
  #seconds = [0];

  /** @param {number} [count] */
  add(count = 1) {
    this.#seconds[0] += count;
  }

  /** To be called once a second. */
  turn() {
    this.#seconds.unshift(0);
    this.#seconds.length = Math.min(this.#seconds.length, 6);
  }

  get perSecond() {
    const whole = this.#seconds.slice(1);
    return whole.length ? whole.reduce((sum, count) => sum + count, 0) / whole.length : 0;
  }
}

/** Milliseconds since the epoch, finer than Date.now(). */
export const nowMs = () => performance.timeOrigin + performance.now();
