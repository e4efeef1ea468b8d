/** What a chart shows where, and what it leaves out. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { LINE_PX, placed } from "../../../static/console/labels.js";
import { rangeWith } from "../../../static/console/scale.js";

/** @param {number[]} levels */
const shown = (levels) => rangeWith({ minValue: 100, maxValue: 110 }, levels);

test("candles have half of the height at least, whatever lines are far away", () => {
  assert.deepEqual(shown([]), { minValue: 100, maxValue: 110 });
  assert.deepEqual(shown([96, 104, 115]), { minValue: 96, maxValue: 115 });
  assert.deepEqual(shown([94.9, 115.1, 50, 200]), { minValue: 100, maxValue: 110 });
  for (const far of [90, 95, 99, 111, 115, 116, 1000]) {
    const { minValue, maxValue } = shown([far, 210 - far]);
    assert.ok(10 / (maxValue - minValue) >= 0.5);
  }
});

test("what hardly moved is drawn as if it hardly moved, and lines near it are shown", () => {
  const still = rangeWith({ minValue: 1000, maxValue: 1000 }, [1000.9, 980]);
  assert.deepEqual(still, { minValue: 999.5, maxValue: 1000.9 });
});

test("words stand at the first free place, and where none is free they are left out", () => {
  const tops = [0, LINE_PX];
  const word = (/** @type {number} */ left) => ({ left, width: 50, tops });
  assert.deepEqual(placed([word(0), word(20), word(40), word(100)]), [0, LINE_PX, undefined, 0]);
  assert.deepEqual(placed([word(0), { left: 10, width: 5, tops: [4, 40] }]), [0, 40]);
});
