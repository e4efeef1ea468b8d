import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { numberOf, typed } from "../../../static/console/numbers.js";

/** A decimal as an exact integer of 10⁻³⁰; undefined if it is none. */
function exact(text) {
  const [, sign, whole, fraction = ""] = /^([+-]?)(\d+)(?:\.(\d+))?$/.exec(text) ?? [];
  return whole === undefined
    ? undefined
    : BigInt(`${whole}${fraction.padEnd(30, "0")}`) * (sign === "-" ? -1n : 1n);
}

const pick = (list) => list[Math.floor(Math.random() * list.length)];
const some = (list, most) =>
  Array.from({ length: Math.floor(Math.random() * (most + 1)) }, () => pick(list)).join("");
const DIGITS = [..."0123456789"];
const made = {
  number: () =>
    pick(["", "", "+", "-"]) +
    pick(DIGITS) +
    some(DIGITS, 18) +
    pick(["", `.${pick(DIGITS)}${some(DIGITS, 17)}`]),
  price: () => `${pick(DIGITS)}${some(DIGITS, 7)}.${some(DIGITS, 3)}${pick(DIGITS)}`,
  anything: () => some([...DIGITS, ..."+-.,eExXoObBnN_ ∞", "Infinity", "NaN"], 12),
};

describe("a number that is typed", () => {
  it("stands in a field as it is shown, and is read back as it was", () => {
    assert.equal(typed(1_250_000.5), "12,50,000.5");
    for (const value of [0, 999, 1000, 22150.0525, 500_000, 10_000_000_000, -1500])
      assert.equal(numberOf(typed(value)), value);
    assert.deepEqual([undefined, null, "15:15"].map(typed), ["", "", "15:15"]);
  });

  it("is sent as exactly this number, or as it was typed", () => {
    for (const make of Object.values(made)) {
      for (let left = 20_000; left > 0; left -= 1) {
        const typed = make();
        const sent = JSON.parse(JSON.stringify({ typed: numberOf(typed) })).typed;
        if (sent === typed) continue;
        assert.equal(typeof sent, "number", typed);
        assert.equal(exact(JSON.stringify(sent)), exact(typed.replaceAll(",", "")), typed);
      }
    }
  });

  it("is a number in JSON if it may be a price", () => {
    for (let left = 20_000; left > 0; left -= 1)
      assert.equal(typeof numberOf(made.price()), "number");
    assert.deepEqual(
      ["22150", "+5", "-5", "007", "0.50", "1,50,000.50", "150,000.50", "0"].map(numberOf),
      [22150, 5, -5, 7, 0.5, 150000.5, 150000.5, 0],
    );
  });

  it("stays a text where a computer would read something else", () => {
    for (const typed of [
      "Infinity",
      "1e999",
      "1e3",
      "0x10",
      "0b1",
      "22,50",
      "1,2",
      ".5",
      "5.",
      "-0",
      "22150.000000000000001",
      "9007199254740993",
      "1_000",
      "NaN",
      "− 5",
    ])
      assert.equal(numberOf(typed), typed);
  });
});
