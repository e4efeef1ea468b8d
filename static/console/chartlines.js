// @ts-check
/** The lines of a chart: entries, stops and targets of the session's trades, and entries that wait
 * for their price. Some can be moved. */
import { money, price, signedMoney, whole } from "./format.js";
import { signOf } from "./levels.js";
import { model } from "./model.js";
import { distance, lastOf } from "./quotes.js";

/**
 * @typedef {"stopLoss" | "target" | "price"} Field
 * @typedef {{ key: string, title: string, price: number, tone: string, isDashed: boolean,
 *   symbol: string, path: string, field: Field | null,
 *   amountAt: (at: number) => string }} ChartLine
 *   `path`: of the trade or order; `field`: what a move changes of it, null if nothing can;
 *   `amountAt`: what it is about, in ₹, if the line lay there
 */

/** @param {any} owner a trade or an order @param {string} path @param {number} from its entry
 * @returns {(field: Field | null, at: number, title: string, tone: string) => ChartLine} */
const linesFor =
  ({ symbol, side, quantity }, path, from) =>
  (field, at, title, tone) => ({
    key: `${path} ${field ?? "entry"}`,
    title,
    price: at,
    tone,
    isDashed: field !== null,
    symbol,
    path,
    field,
    amountAt: (where) =>
      field === "price"
        ? `value ${money(where * quantity)}`
        : signedMoney((where - from) * quantity * signOf({ side })),
  });

/** @param {any} owner @param {string} which its number @param {ReturnType<typeof linesFor>} line */
const guardLines = ({ stopLoss, target }, which, line) => [
  ...(stopLoss == null ? [] : [line("stopLoss", stopLoss, `Stop ${which}`, "loss")]),
  ...(target == null ? [] : [line("target", target, `Target ${which}`, "gain")]),
];

/** @param {import("./model.js").Position} trade */
function tradeLines(trade) {
  const { tradeId, side, quantity, entryPrice } = trade;
  const line = linesFor(trade, `trades/${tradeId}`, entryPrice);
  return [
    line(null, entryPrice, `${side} ${whole(quantity)} #${tradeId}`, "accent"),
    ...guardLines(trade, `#${tradeId}`, line),
  ];
}

/** @param {any} order */
function orderLines(order) {
  const { orderId, side, quantity, type, price: at } = order;
  const line = linesFor(order, `orders/${orderId}`, at);
  const kind = type === "STOP" ? "stop" : "limit";
  return [
    line("price", at, `${side} ${whole(quantity)} ${kind}, order #${orderId}`, "warn"),
    ...guardLines(order, `of order #${orderId}`, line),
  ];
}

/** @param {string} symbol @returns {ChartLine[]} of the session on screen */
export const linesOf = (symbol) => [
  ...[...model.open.values()].filter((one) => one.symbol === symbol).flatMap(tradeLines),
  ...[...model.orders.values()].filter((one) => one.symbol === symbol).flatMap(orderLines),
];

/** What a line would mean at a price: how far that is, and what it is in ₹.
 * @param {ChartLine} line @param {number} at */
export function readout(line, at) {
  const last = lastOf(line.symbol)?.price;
  return [price(at), ...(last ? [distance(at, last)] : []), line.amountAt(at)].join(" · ");
}
