// @ts-check
/** How long things take, measured in the page. */

const PINGS = 12;
const SAMPLES = 2000;

/** Round trips, and from them how far the server's clock is ahead of this one's. */
export class Clock {
  /** @type {{ rtt_ms: number, ahead_ms: number }[]} */
  #answers = [];

  /** The server read its clock somewhere between sending and answer; taken for the middle, it is
   * wrong by at most half the round trip, so the fastest of the last ones is believed.
   * @param {number} sent_ms @param {number} received_ms epoch milliseconds of this machine
   * @param {string} timestamp the server's */
  note(sent_ms, received_ms, timestamp) {
    const ahead_ms = Date.parse(timestamp) - (sent_ms + received_ms) / 2;
    this.#answers.push({ rtt_ms: received_ms - sent_ms, ahead_ms });
    if (this.#answers.length > PINGS) this.#answers.shift();
  }

  /** Of the last round trip; undefined before the first. */
  get rtt_ms() {
    return this.#answers.at(-1)?.rtt_ms;
  }

  get ahead_ms() {
    return this.#answers.reduce(
      (best, one) => (best === undefined || one.rtt_ms < best.rtt_ms ? one : best),
      this.#answers[0],
    )?.ahead_ms;
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
export const now_ms = () => performance.timeOrigin + performance.now();
