import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { Recent, roundTimes, Seen } from "../../../static/console/series.js";

describe("the line of a price", () => {
  const line = () => new Recent(1000, 3);

  it("has a point a second, whose value is the newest", () => {
    const recent = line();
    recent.add(1100, 5);
    recent.add(1900, 6);
    recent.add(2000, 7);
    assert.deepEqual(recent.points, [
      { t: 1000, v: 6 },
      { t: 2000, v: 7 },
    ]);
    assert.equal(recent.newestMs, 2000);
  });

  it("keeps the newest points, oldest first", () => {
    const recent = line();
    for (let second = 1; second < 8; second += 1) recent.add(second * 1000, second);
    assert.deepEqual(
      recent.points.map(({ v }) => v),
      [5, 6, 7],
    );
  });

  it("takes a price of an older moment for the newest one", () => {
    const recent = line();
    recent.add(5000, 1);
    recent.add(3000, 2);
    assert.deepEqual(recent.points, [{ t: 5000, v: 2 }]);
  });

  it("is empty at first", () => {
    assert.deepEqual(line().points, []);
  });
});

it("of numbers that were seen, only the newest thousand are kept", () => {
  const seen = new Seen();
  for (let number = 0; number < 1500; number += 1) seen.add(number);
  assert.equal(seen.has(1499), true);
  assert.equal(seen.has(500), true);
  assert.equal(seen.has(499), false);
  seen.clear();
  assert.equal(seen.has(1499), false);
});

describe("the times below a curve", () => {
  const at = (text) => Date.parse(`2026-11-23T${text}+05:30`);

  it("are round by the clock in India, and few", () => {
    assert.deepEqual(roundTimes(at("09:15:07"), at("09:16:41"), 6), [
      at("09:15:30"),
      at("09:16:00"),
      at("09:16:30"),
    ]);
    const day = roundTimes(at("09:15:00"), at("15:30:00"), 6);
    assert.deepEqual(day, [at("10:00:00"), at("12:00:00"), at("14:00:00")]);
  });

  it("are midnights over many days", () => {
    const end = at("15:30:00") + 60 * 86_400_000;
    const found = roundTimes(at("09:15:00"), end, 6);
    assert.ok(found.length > 2 && found.length <= 6);
    assert.ok(found.every((one) => (one - at("00:00:00")) % 86_400_000 === 0));
  });
});
