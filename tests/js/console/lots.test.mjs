/** A field of a quantity follows the lot of its symbol. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { followLot } from "../../../static/console/lots.js";

/** @type {(lot: number) => void} */
let answer;
globalThis.fetch = async () =>
  new Promise((resolve) => {
    answer = (lot) => resolve(Response.json({ instruments: [{ lot, tick: 0.05 }] }));
  });
globalThis.document = /** @type {any} */ ({ activeElement: null });

/** @param {string} value */
function field(value) {
  const input = /** @type {any} */ (Object.assign(new EventTarget(), { value }));
  const type = (/** @type {string} */ typed) => {
    input.value = typed;
    input.dispatchEvent(new Event("input"));
  };
  return { input, type };
}

test("one lot comes when it is known", async () => {
  const { input } = field("75");
  const followed = followLot(input, () => "ONE")();
  assert.equal(input.value, "");
  answer(35);
  await followed;
  assert.equal(input.value, "35");
});

test("a quantity that is emptied while its lot is asked for stays empty", async () => {
  const { input, type } = field("75");
  const followed = followLot(input, () => "TWO")();
  type("");
  answer(35);
  await followed;
  assert.equal(input.value, "");
});

test("a quantity that was typed stays", async () => {
  const { input, type } = field("75");
  const follow = followLot(input, () => "THREE");
  type("70");
  const followed = follow();
  answer(35);
  await followed;
  assert.equal(input.value, "70");
});
