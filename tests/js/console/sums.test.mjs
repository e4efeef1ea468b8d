/** What closed trades come to. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { sumOf } from "../../../static/console/sums.js";

test("closed trades are summed to the paisa, net only where each of them is", () => {
  const trades = [
    { pnl: 0.1, netPnl: -1.1 },
    { pnl: 0.2, netPnl: -2.2 },
    { pnl: -0.6, netPnl: -3.3 },
    { pnl: 0, netPnl: 0 },
  ];
  assert.deepEqual(sumOf(trades), { count: 4, won: 2, lost: 1, pnl: -0.3, net: -6.6 });
  assert.equal(sumOf([...trades, { pnl: 5, netPnl: null }]).net, null);
  assert.deepEqual(sumOf([]), { count: 0, won: 0, lost: 0, pnl: 0, net: null });
});
