// @ts-check
/** The order of the positions: by a column, up or down; at first as they were opened. */
import { touch } from "./frame.js";
import { recall, remember } from "./remembered.js";

/** @typedef {import("./model.js").Position} Position */

/** @type {Record<string, (trade: Position) => number | string>} */
const KEYS = {
  symbol: ({ symbol }) => symbol,
  entry: ({ entryPrice }) => entryPrice,
  last: ({ currentPrice }) => currentPrice ?? 0,
  pnl: ({ unrealizedPnL }) => unrealizedPnL ?? 0,
  held: ({ tradeId }) => -tradeId,
};

/** A column's name, and a minus before it where it falls. */
let chosen = recall("sort") ?? "";

/** @param {string} name */
const direction = (name) =>
  chosen === name ? "ascending" : chosen === `-${name}` ? "descending" : "none";

/** @param {Position[]} trades as they were opened @returns {Position[]} */
export function sorted(trades) {
  const key = KEYS[chosen.replace("-", "")];
  if (!key) return trades;
  const sign = chosen.startsWith("-") ? -1 : 1;
  return trades.sort((one, other) => {
    const [a, b] = [key(one), key(other)];
    return a === b ? one.tradeId - other.tradeId : a < b ? -sign : sign;
  });
}

/** Up, then down, then as they were opened.
 * @param {HTMLTableElement} table whose heads name their column in `data-sort` */
export function wireSorting(table) {
  const heads = /** @type {HTMLElement[]} */ ([...table.querySelectorAll("th[data-sort]")]);
  const describe = () => {
    for (const head of heads) head.setAttribute("aria-sort", direction(head.dataset.sort ?? ""));
  };
  for (const head of heads) {
    const name = head.dataset.sort ?? "";
    head.querySelector("button")?.addEventListener("click", () => {
      chosen = { none: name, ascending: `-${name}`, descending: "" }[direction(name)];
      remember("sort", chosen || null);
      describe();
      touch("positions");
    });
  }
  describe();
}
