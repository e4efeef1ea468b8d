/** Bars as the chart has them: what prices make of the last one, and gaps. */
import assert from "node:assert/strict";
import test from "node:test";
import { Bars, withGaps } from "../../../static/console/bars.js";

const at = (/** @type {string} */ ist) => Date.parse(`2026-11-26T${ist}+05:30`);
const bar = (/** @type {string} */ ist, price = 100) => ({
  startMs: at(ist),
  open: price,
  high: price,
  low: price,
  close: price,
});
const quote = (/** @type {string} */ ist, /** @type {number} */ price, stale = false) => ({
  price,
  asOf: new Date(at(ist)).toISOString(),
  stale,
});

/** The bars of a server, which answers with what it has by now.
 * @param {any[]} there @returns {Promise<{ bars: Bars, asked: string[] }>} */
async function loaded(there, interval = /** @type {const} */ ("5m")) {
  /** @type {string[]} */
  const asked = [];
  globalThis.fetch = /** @type {any} */ (
    async (/** @type {URL} */ url) => {
      asked.push(url.search);
      const from = url.searchParams.get("from");
      const after = /^\d+$/.test(from ?? "") ? Number(from) : Date.parse(from ?? "1970-01-01");
      const found = there.filter(({ startMs }) => startMs >= after);
      const page = found.slice(0, 2).map(({ startMs, ...prices }) => ({
        start: new Date(startMs).toISOString(),
        ...prices,
      }));
      const next = found[2] ? new Date(found[2].startMs).toISOString() : null;
      return { ok: true, status: 200, json: async () => ({ bars: page, next }) };
    }
  );
  const bars = new Bars("M&M", interval, () => {});
  await bars.load(at("12:00"));
  return { bars, asked };
}

test("all pages are asked for, each once", async () => {
  const there = ["09:15", "09:20", "09:25", "09:30", "09:35"].map((ist) => bar(ist));
  const { bars, asked } = await loaded(there);
  assert.deepEqual(bars.bars, there);
  assert.equal(asked.length, 3);
  assert.match(asked[0], /^\?symbol=M%26M&interval=5m&from=\d+$/);
});

test("a price of the last bar's time makes it longer, and nothing is asked", async () => {
  const { bars, asked } = await loaded([bar("09:15")]);
  bars.note(quote("09:16:00", 102));
  bars.note(quote("09:19:59", 99));
  bars.note(quote("09:14:59", 50));
  bars.note(quote("09:17:00", 200, true));
  assert.deepEqual(bars.bars, [{ ...bar("09:15"), high: 102, low: 99, close: 99 }]);
  assert.equal(asked.length, 1);
});

test("a price that comes while the bars are on their way is not lost", async () => {
  await loaded([bar("09:15")]);
  const bars = new Bars("M&M", "5m", () => {});
  const loading = bars.load(at("12:00"));
  bars.note(quote("09:16:00", 102));
  await loading;
  assert.deepEqual(bars.bars, [{ ...bar("09:15"), high: 102, close: 102 }]);
});

test("a price after the last bar begins one, and the server is asked for both", async () => {
  const there = [bar("09:15")];
  const { bars, asked } = await loaded(there);
  there[0] = { ...bar("09:15"), high: 105 }; // between two messages
  there.push(bar("09:25", 101));
  bars.note(quote("09:26:00", 101));
  assert.deepEqual(bars.bars.at(-1), bar("09:25", 101));
  await new Promise((done) => setTimeout(done, 10));
  assert.deepEqual(bars.bars, there);
  assert.equal(asked.length, 2);
});

test("gaps of a date are filled with bars without a price, nights are not", () => {
  const before = { ...bar("09:15"), startMs: at("09:15") - 86_400_000 };
  const all = withGaps([before, bar("09:15"), bar("09:30"), bar("09:35")], "5m");
  assert.deepEqual(all, [
    before,
    bar("09:15"),
    { startMs: at("09:20") },
    { startMs: at("09:25") },
    bar("09:30"),
    bar("09:35"),
  ]);
});
