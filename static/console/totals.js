// @ts-check
/** What all positions come to: their P&L, and what is held of each symbol on balance. */
import { $, el, keyed, put } from "./dom.js";
import { arrowMoney, tone, whole } from "./format.js";
import { toPaisa } from "./numbers.js";
import { pnlIsOfThePast } from "./since.js";

/** @typedef {import("./model.js").Position} Position */
/** @typedef {{ quantity: number, pnl: number, trades: number }} Net */

/** @param {Iterable<Position>} trades @returns {Map<string, Net>} by symbol, those of most trades
 *   first */
function netted(trades) {
  /** @type {Map<string, Net>} */
  const nets = new Map();
  for (const { symbol, side, quantity, unrealizedPnL = 0 } of trades) {
    const net = nets.get(symbol) ?? { quantity: 0, pnl: 0, trades: 0 };
    net.quantity += side === "SELL" ? -quantity : quantity;
    net.pnl += unrealizedPnL;
    net.trades += 1;
    nets.set(symbol, net);
  }
  return new Map([...nets].sort(([, one], [, other]) => other.trades - one.trades));
}

/** @param {number} quantity */
const inWords = (quantity) =>
  quantity ? `${quantity > 0 ? "long" : "short"} ${whole(Math.abs(quantity))}` : "flat";

/** @param {Net} _net @param {string} symbol */
function makeNet(_net, symbol) {
  const [held, pnl] = [el("span"), el("span")];
  const item = el("li", {}, el("b", {}, symbol), " ", held, " ", pnl);
  return Object.assign(item, { parts: { held, pnl } });
}

/** @param {any} element @param {number} sum */
function putSum(element, sum) {
  const rounded = toPaisa(sum);
  put(element, arrowMoney(rounded), tone(rounded));
}

/** @param {any} item @param {Net} net */
function updateNet({ parts }, { quantity, pnl }) {
  put(parts.held, inWords(quantity));
  putSum(parts.pnl, pnl);
}

/** @param {Iterable<Position>} trades */
export function paintTotals(trades) {
  const nets = netted(trades);
  $("totals").hidden = nets.size === 0;
  $("totals").classList.toggle("old", pnlIsOfThePast());
  keyed($("nets"), nets, makeNet, updateNet);
  const sum = [...nets.values()].reduce((total, { pnl }) => total + pnl, 0);
  putSum($("total-pnl"), sum);
}
