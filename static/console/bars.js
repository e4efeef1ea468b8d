// @ts-check
/** Bars of a symbol: what the server has, and what prices make of the last one until it is asked
 * again. */
import { call, reason } from "./api.js";
import { DAY_MS, IST_AHEAD_MS } from "./format.js";

/** @typedef {"1m" | "5m" | "15m" | "1h" | "1d"} Interval */
/** @typedef {{ price: number, asOf: string, stale: boolean }} Quote */
/** @typedef {{ startMs: number, open: number, high: number, low: number, close: number }} Bar */

const MINUTE_MS = 60_000;

/** How long a bar is, and how far back the chart begins.
 * @type {Record<Interval, { lengthMs: number, backMs: number }>} */
export const INTERVALS = {
  "1m": { lengthMs: MINUTE_MS, backMs: 3 * DAY_MS },
  "5m": { lengthMs: 5 * MINUTE_MS, backMs: 7 * DAY_MS },
  "15m": { lengthMs: 15 * MINUTE_MS, backMs: 15 * DAY_MS },
  "1h": { lengthMs: 60 * MINUTE_MS, backMs: 30 * DAY_MS },
  "1d": { lengthMs: DAY_MS, backMs: Infinity },
};

/** Of a moment, in Kolkata: a number for each. @param {number} atMs */
export const dateOf = (atMs) => Math.floor((atMs + IST_AHEAD_MS) / DAY_MS);

/** @param {any} document as the server has it @returns {Bar} */
const read = ({ start, open, high, low, close }) => ({
  startMs: Date.parse(start),
  open,
  high,
  low,
  close,
});

export class Bars {
  /** @type {Bar[]} */
  bars = [];
  problem = "";
  isLoaded = false;
  /** The newest that came before the bars did. @type {Quote | null} */
  early = null;

  /** @param {string} symbol @param {Interval} interval @param {() => void} changed */
  constructor(symbol, interval, changed) {
    this.symbol = symbol;
    this.interval = interval;
    this.changed = changed;
  }

  /** All that the chart begins with. @param {number} nowMs */
  async load(nowMs) {
    const { backMs } = INTERVALS[this.interval];
    await this.ask(Number.isFinite(backMs) ? Math.floor(nowMs - backMs) : null);
    this.isLoaded = true;
    if (this.early) this.note(this.early);
    this.changed();
  }

  /** Only those that begin within a span. @param {number} fromMs @param {number} toMs */
  async loadSpan(fromMs, toMs) {
    await this.ask(fromMs, `&to=${toMs}`);
    this.isLoaded = true;
  }

  /** The last bars once more: what they became while nobody looked, or by prices between two
   * messages. */
  async refresh() {
    if (!this.isLoaded) return;
    await this.ask(this.bars.at(-2)?.startMs ?? this.bars.at(-1)?.startMs ?? null);
    this.changed();
  }

  /** @param {number | null} fromMs @param {string} [more] of the query */
  async ask(fromMs, more = "") {
    const symbol = encodeURIComponent(this.symbol);
    const query = `bars?symbol=${symbol}&interval=${this.interval}${more}`;
    let from = fromMs === null ? "" : `&from=${fromMs}`;
    /** @type {Bar[]} */
    const found = [];
    for (;;) {
      const answer = await call("GET", query + from);
      this.problem = answer.ok ? "" : reason(answer);
      if (!answer.ok) return;
      found.push(...answer.document.bars.map(read));
      if (!answer.document.next) break;
      from = `&from=${encodeURIComponent(answer.document.next)}`;
    }
    const first = found[0]?.startMs ?? Infinity;
    this.bars = [...this.bars.filter(({ startMs }) => startMs < first), ...found];
  }

  /** A price that came on the stream: one a message, so the server is asked for what it made of
   * all of them when the next bar begins.
   * @param {Quote} quote */
  note(quote) {
    if (!this.isLoaded) {
      this.early = quote;
      return;
    }
    const { price, asOf, stale } = quote;
    const last = this.bars.at(-1);
    const atMs = Date.parse(asOf);
    if (stale || (last && atMs < last.startMs)) return;
    const { lengthMs } = INTERVALS[this.interval];
    if (last && dateOf(atMs) === dateOf(last.startMs) && atMs < last.startMs + lengthMs) {
      last.high = Math.max(last.high, price);
      last.low = Math.min(last.low, price);
      last.close = price;
    } else {
      if (last && dateOf(atMs) === dateOf(last.startMs)) {
        const startMs = atMs - ((atMs - last.startMs) % lengthMs);
        this.bars.push({ startMs, open: price, high: price, low: price, close: price });
      }
      this.refresh(); // only the server knows where a new day's bars begin
    }
    this.changed();
  }
}

/** Where on the axis of a chart a moment is: in its bar, or in the gap behind it.
 * @param {Bar} bar the last that began before it @param {number} atMs @param {Interval} interval */
export function slotOf({ startMs }, atMs, interval) {
  const { lengthMs } = INTERVALS[interval];
  const isSameDate = dateOf(startMs) === dateOf(atMs);
  return isSameDate ? atMs - ((atMs - startMs) % lengthMs) : atMs - (atMs % MINUTE_MS);
}

/** Bars with what is missing between two of one date, so that gaps are gaps.
 * @param {Bar[]} bars @param {Interval} interval
 * @returns {(Bar | { startMs: number })[]} */
export function withGaps(bars, interval) {
  const { lengthMs } = INTERVALS[interval];
  /** @type {(Bar | { startMs: number })[]} */
  const all = [];
  for (const bar of bars) {
    const before = all.at(-1);
    if (before && dateOf(before.startMs) === dateOf(bar.startMs))
      for (let at = before.startMs + lengthMs; at < bar.startMs; at += lengthMs)
        all.push({ startMs: at });
    all.push(bar);
  }
  return all;
}
