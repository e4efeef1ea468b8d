// @ts-check
/** Figures in a position's row. A column is as wide in all rows, whatever they show: nothing jumps
 * while figures change. */
import { attribute, put } from "./dom.js";
import {
  arrowMoney,
  LAKH,
  price,
  signedMoney,
  signedPercent,
  signedWholePercent,
  tone,
  whole,
  wholeArrowMoney,
} from "./format.js";

/** @typedef {import("./model.js").Position} Position */

/** Longer prices are written smaller. */
const MOST_DIGITS = "99,999.95".length;
/** Beside a level from here on there is no room for many digits. */
const LONG = 10_000;
/** From here on there is no room for a share beside it. */
const CRORE = 100 * LAKH;

/** @param {any} element @param {number | undefined} value */
export function putPrice(element, value) {
  const text = price(value);
  put(element, text);
  element.classList.toggle("long", text.length > MOST_DIGITS);
}

/** The P&L of a trade: what is large is rounded, and its tooltip is exact.
 * @param {any} parts of its row @param {Position} trade */
export function putGain({ pnl, money, percent }, { unrealizedPnL, pnlPercent }) {
  const name = `number pnl ${tone(unrealizedPnL)}`;
  if (pnl.className !== name) pnl.className = name;
  const size = Math.abs(unrealizedPnL ?? 0);
  const [isLarge, isManifold] = [size >= LAKH, Math.abs(pnlPercent ?? 0) >= 100];
  const gain = isLarge ? wholeArrowMoney : arrowMoney;
  put(money, unrealizedPnL === undefined ? "no price yet" : gain(unrealizedPnL));
  const inPercent = isManifold ? signedWholePercent : signedPercent;
  put(percent, size < CRORE ? inPercent(pnlPercent) : "");
  const exact = () => `${signedMoney(unrealizedPnL)} · ${signedPercent(pnlPercent)}`;
  attribute(pnl, "title", isLarge || isManifold ? exact() : null);
}

/** The share of the way from stop to target, which for a SELL lies below. @param {Position} trade
 * @param {number | undefined} at */
export function share({ stopLoss, target }, at) {
  if (stopLoss == null || target == null || at === undefined) return null;
  return Math.min(1, Math.max(0, (at - stopLoss) / (target - stopLoss)));
}

/** A level and how far the price is from it. @param {any} end @param {string} name
 * @param {number | null | undefined} level @param {number | undefined} now @param {string} more */
export function putLevel({ parts }, name, level, now, more = "") {
  const isKnown = level != null && now !== undefined;
  put(parts.word, level == null ? "" : `${name} `);
  put(parts.unit, isKnown ? " away" : "");
  put(parts.level, level == null ? `no ${name.toLowerCase()}` : price(level));
  put(parts.more, level == null ? "" : more);
  if (!isKnown) return put(parts.away, "");
  const away = Math.abs(level - now);
  const decimals = away < 0.01 ? 4 : 2;
  const isFar = away >= (level < LONG ? 100 : 10);
  put(parts.away, ` · ${isFar ? whole(away) : price(Number(away.toFixed(decimals)))}`);
}
