// @ts-check
/** The newest openings and closings of the session. */
import { $, el, keyed } from "./dom.js";
import { arrow, dateTime, price, signedMoney, time, tone, whole } from "./format.js";
import { part } from "./frame.js";
import { model } from "./model.js";

/** In words, for people. */
export const REASONS = /** @type {Record<string, string>} */ ({
  SL: "Stop",
  TARGET: "Target",
  MANUAL: "By hand",
  SQUARE_OFF: "Squared off",
  RISK: "Risk",
});

/** @param {any} event */
function makeRow({ type, data }) {
  const opened = type === "trade_opened";
  const at = opened ? data.entryPrice : data.exitPrice;
  const pnl = opened ? "" : `${arrow(data.pnl)} ${signedMoney(data.pnl)}`.trim();
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
      el(
        "small",
        { class: "reason" },
        opened ? "Opened" : (REASONS[data.exitReason] ?? data.exitReason),
      ),
    ),
    el(
      "td",
      { class: "what" },
      el("span", { class: `side ${data.side}` }, data.side),
      ` ${whole(data.quantity)} `,
      el("b", {}, data.symbol),
      el("small", {}, `at ${price(at)} · #${data.tradeId}`),
    ),
    el("td", { class: `number ${tone(data.pnl)} ${pnl.length > 15 ? "long" : ""}` }, pnl),
  );
}

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
