// @ts-check
/** Which prices a chart shows: those of its candles, and lines that are near them. */

/** A share of the price: what moved less is drawn as if it hardly moved. */
const LEAST = 0.001;
/** Lines so far beyond the candles, in spans of the candles, are shown at their place: on both
 * sides, the candles still have half of the height. */
const BESIDE = 0.5;

/** @typedef {{ minValue: number, maxValue: number }} PriceRange */

/** @param {PriceRange} candles on screen @param {number[]} levels the prices of the lines
 * @returns {PriceRange} */
export function rangeWith({ minValue, maxValue }, levels) {
  const missing = Math.max(0, maxValue * LEAST - (maxValue - minValue)) / 2;
  const [low, high] = [minValue - missing, maxValue + missing];
  const room = (high - low) * BESIDE;
  const near = levels.filter((at) => at >= low - room && at <= high + room);
  return { minValue: Math.min(low, ...near), maxValue: Math.max(high, ...near) };
}
