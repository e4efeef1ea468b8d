// @ts-check
/** What the page knows about the prices that it watches. Messages change it here. */
import { touch, touchInBeat } from "./frame.js";
import { model } from "./model.js";
import { Recent } from "./series.js";

/** @typedef {import("../vyomo-rt.js").Messages} Messages */

const LINE_SLOT_MS = 1000;
const LINE_POINTS = 120;

/** @param {Messages["price_update"]["data"]} data */
export function notePrice(data) {
  const before = model.prices.get(data.symbol);
  if (before === undefined) return; // was unsubscribed while it was on its way
  const change = before ? Math.sign(data.price - before.price) : 0;
  const line = before?.line ?? new Recent(LINE_SLOT_MS, LINE_POINTS);
  line.add(Date.parse(data.timestamp), data.price);
  model.prices.set(data.symbol, {
    ...data,
    receivedAt: performance.now(),
    line,
    first: before?.first ?? data.price,
    direction: change || (before?.direction ?? 0),
  });
  touchInBeat("prices");
}

/** @param {string[]} symbols those that the server confirmed */
export function noteSymbols(symbols) {
  for (const symbol of model.prices.keys())
    if (!symbols.includes(symbol)) model.prices.delete(symbol);
  for (const symbol of symbols) if (!model.prices.has(symbol)) model.prices.set(symbol, null);
  touch("prices");
}
