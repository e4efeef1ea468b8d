import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { follows, pastCurve } from "../../../static/console/earned.js";
import { thin } from "../../../static/console/series.js";

const MINUTE_MS = 60_000;
const NOON_MS = Date.parse("2026-11-23T06:30:00.000Z");
const at = (minutes) => new Date(NOON_MS + minutes * MINUTE_MS).toISOString();
const session = { seq: 2, totalPnL: 70, timestamp: at(0) };
const closed = (seq, minutes, pnl) => ({
  type: "trade_closed",
  seq,
  data: { timestamp: at(minutes), pnl },
});
const row = (minutes, realizedPnL, unrealizedPnL) => ({
  at: at(minutes),
  realizedPnL,
  unrealizedPnL,
});
const shown = (points) =>
  points.map(({ t, v, gap, away }) => [
    (t - NOON_MS) / MINUTE_MS,
    v,
    away ? "away" : gap ? "gap" : "",
  ]);

describe("the curve before the page", () => {
  it("has the closings before the first row, and then the rows", () => {
    const events = [closed(1, -90, 20), closed(2, 1, 50)];
    const rows = [row(0, 20, 5), row(1, 20, 7), row(2, 70, 0)];
    assert.deepEqual(shown(pastCurve(session, events, rows)), [
      [-90, 0, ""],
      [-90, 20, "gap"],
      [0, 25, "gap"],
      [1, 27, ""],
      [2, 70, ""],
    ]);
  });

  it("knows nothing of minutes that have no row", () => {
    const rows = [row(0, 0, 5), row(1, 0, 6), row(20, 0, 9), row(21, 0, 8)];
    assert.deepEqual(
      shown(pastCurve({ ...session, totalPnL: 0 }, [], rows)).map(([, , how]) => how),
      ["", "", "away", ""],
    );
  });

  it("goes on to the page's first figure within a minute, and not over a time away", () => {
    const rows = [row(0, 0, 5), row(1, 0, 6)];
    assert.ok(follows(rows, NOON_MS + 1.9 * MINUTE_MS));
    assert.ok(!follows(rows, NOON_MS + 2.5 * MINUTE_MS));
    assert.ok(!follows([], NOON_MS));
  });

  it("keeps its gaps when it is thinned", () => {
    const rows = Array.from({ length: 400 }, (_, index) =>
      row(index < 201 ? index : index + 9, 0, 1),
    );
    const points = thin(pastCurve({ ...session, totalPnL: 0 }, [], rows), 300);
    assert.ok(points.length <= 300);
    assert.equal(points.filter(({ away }) => away).length, 1);
  });
});
