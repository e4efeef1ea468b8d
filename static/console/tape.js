// @ts-check
/** The newest openings and closings of the session, and its changes. */
import { $, el, keyed, nameOf } from "./dom.js";
import { arrowMoney, dateTime, price, time, tone, whole } from "./format.js";
import { part } from "./frame.js";
import { model } from "./model.js";

/** In words, for people. */
export const REASONS = /** @type {Record<string, string>} */ ({
  SL: "Stop",
  TARGET: "Target",
  MANUAL: "By hand",
  SQUARE_OFF: "Squared off",
  RISK: "Risk",
  TRAILING: "Trailing stop",
  BREAKEVEN: "Stop to the entry",
  KILL: "All closed by hand",
  DAILY_LOSS: "Loss limit of the day",
  DAILY_TARGET: "Target of the day",
  LOCK_ARMED: "Profit lock armed",
  PROFIT_LOCK: "Profit lock",
  LOSING_STREAK: "Losing streak",
  NEW_DAY: "New day",
});

/** @param {any} event */
function makeRow({ type, data }) {
  const [what, content, pnl = ""] =
    type === "session_changed" ? changed(data) : traded(type === "trade_opened", data);
  return el(
    "tr",
    {},
    el(
      "td",
      {},
      el(
        "time",
        { datetime: data.timestamp, title: `${dateTime(data.timestamp)} IST` },
        time(data.timestamp),
      ),
      el("small", { class: "reason" }, what),
    ),
    el("td", { class: "what" }, ...content),
    el("td", { class: `number ${tone(data.pnl)} ${pnl.length > 15 ? "long" : ""}` }, pnl),
  );
}

/** @param {boolean} opened @param {any} data @returns {[string, (string | Element)[], string]} */
function traded(opened, data) {
  const at = opened ? data.entryPrice : data.exitPrice;
  const quantity =
    data.status === "OPEN" && data.closedQuantity ? data.closedQuantity : data.quantity;
  return [
    opened ? "Opened" : reasonOf(data.exitReason),
    [
      el("span", { class: `side ${data.side}` }, data.side),
      ` ${whole(quantity)} `,
      el("b", {}, ...nameOf(data.symbol)),
      el("small", {}, `at ${price(at)} · #${data.tradeId}`),
    ],
    opened ? "" : arrowMoney(data.pnl),
  ];
}

/** @param {any} data @returns {[string, (string | Element)[]]} */
function changed({ name, status, reason, detail }) {
  const why = [reasonOf(reason), detail].filter(Boolean).join(": ");
  return ["Session", [el("b", {}, status), ` ${name}`, el("small", {}, why)]];
}

/** @param {string} reason */
export const reasonOf = (reason) => REASONS[reason] ?? reason;

function paint() {
  keyed(
    $("tape").tBodies[0],
    model.tape.map((event) => [
      `${event.data.sessionId} ${event.seq} ${event.data.timestamp}`,
      event,
    ]),
    makeRow,
    () => {},
  );
  $("tape").hidden = model.tape.length === 0;
  $("no-tape").hidden = model.tape.length > 0;
}

export const start = () => part("tape", paint);
