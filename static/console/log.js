// @ts-check
/** The session's newest events: what happened to its trades, its orders, itself. */
import { $, el, keyed, ROWS_A_FRAME } from "./dom.js";
import { arrowMoney, dateTime, time, tone, whole } from "./format.js";
import { part, touch } from "./frame.js";
import { model } from "./model.js";
import { told } from "./words.js";

const MOST_ROWS = 200;

/** Which trade, order or session. @param {any} data @returns {(Node | string)[]} */
function subject({ side, symbol, quantity, status, closedQuantity, tradeId, orderId, name }) {
  if (symbol === undefined) return [name];
  const many = status === "OPEN" && closedQuantity ? closedQuantity : quantity;
  return [
    ...(side ? [el("span", { class: `side ${side}` }, side), " "] : []),
    ...(many ? [`${whole(many)} `] : []),
    el("b", {}, symbol),
    el("small", {}, tradeId ? ` #${tradeId} ` : ` order #${orderId} `),
  ];
}

/** @param {any} event */
function makeRow(event) {
  const { data } = event;
  const [what, details] = told(event);
  const pnl = data.pnl == null ? "" : arrowMoney(data.pnl);
  const at = { datetime: data.timestamp, title: `${dateTime(data.timestamp)} IST` };
  return el(
    "tr",
    { "data-type": event.type, "data-seq": String(event.seq) },
    el("td", {}, el("time", at, time(data.timestamp))),
    el("td", {}, what),
    el("td", { class: "what" }, ...subject(data)),
    el("td", { class: "details" }, details),
    el("td", { class: `number ${tone(data.pnl)}` }, pnl),
  );
}

function paint() {
  const isWhole = keyed(
    $("log").tBodies[0],
    model.log
      .slice(0, MOST_ROWS)
      .map((event) => [`${event.data.sessionId} ${event.seq} ${event.data.timestamp}`, event]),
    makeRow,
    null,
    ROWS_A_FRAME,
  );
  if (!isWhole) touch("log");
  $("log").hidden = model.log.length === 0;
  $("no-log").hidden = model.log.length > 0;
}

export const start = () => part("log", paint);
