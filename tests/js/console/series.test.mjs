import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { Recent, Seen } from "../../../static/console/series.js";

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
