// @ts-check
/** What the server's reasons and a session's events are called on this page. */
import { price, whole } from "./format.js";

const WORDS = /** @type {Record<string, string>} */ ({
  SL: "stop",
  TARGET: "target",
  MANUAL: "by hand",
  SQUARE_OFF: "squared off",
  RISK: "rule",
  TRAILING: "trailing stop",
  BREAKEVEN: "stop at the entry",
  KILL: "kill switch",
  DAILY_LOSS: "daily loss",
  DAILY_TARGET: "daily target",
  PROFIT_LOCK: "profit lock",
  LOCK_ARMED: "profit lock armed",
  LOSING_STREAK: "losing streak",
  NEW_DAY: "new day",
  FILLED: "filled",
  CANCELLED: "cancelled",
  EXPIRED: "expired",
  REFUSED: "refused",
});

/** Within a sentence. @param {string | null | undefined} reason */
export const inWords = (reason) => (reason ? (WORDS[reason] ?? reason) : "");

/** At the beginning of one. @param {string | null | undefined} reason */
export function reasonOf(reason) {
  const words = inWords(reason);
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/** Why a trade was closed: the reason, and what of it. @param {any} data */
export const whyClosed = ({ exitReason, exitDetail }) =>
  `${reasonOf(exitReason)}${exitDetail ? ` (${inWords(exitDetail)})` : ""}`;

/** @param {string} name @param {number | null | undefined} level @param {number} [last] */
function levelOf(name, level, last) {
  if (level == null) return `no ${name}`;
  const away = last === undefined ? "" : ` (${price(Math.abs(level - last))} away)`;
  return `${name} ${price(level)}${away}`;
}

/** @param {any} owner a trade or an order @param {number} [last] the price that they watch */
export const guardsOf = ({ stopLoss, target, trailingStop }, last) =>
  [
    levelOf("stop", stopLoss, last),
    levelOf("target", target, last),
    ...(trailingStop == null ? [] : [`trails by ${price(trailingStop)}`]),
  ].join(", ");

/** What happened, and the particulars of it. By type of event.
 * @type {Record<string, (data: any) => [what: string, details: string]>} */
const EVENTS = {
  trade_opened: (data) => [
    data.orderId ? `Order #${data.orderId} filled` : "Opened",
    `at ${price(data.entryPrice)} · ${guardsOf(data)}`,
  ],
  trade_changed: (data) => ["Guards", `${inWords(data.reason)} · ${guardsOf(data)}`],
  trade_reduced: (data) => [
    "Part closed",
    `${whole(data.closedQuantity)} at ${price(data.exitPrice)} · ${whole(data.quantity)} left`,
  ],
  trade_closed: (data) => [
    whyClosed(data),
    (data.parts ? `${whole(data.closedQuantity)} ` : "") +
      `at ${price(data.exitPrice)}${data.stale ? ", an old price" : ""}` +
      (data.parts ? ", P&L of all parts" : ""),
  ],
  order_placed: (data) => [
    "Order",
    `${data.type === "STOP" ? "stop" : "limit"} ${price(data.price)} · ${guardsOf(data)}`,
  ],
  order_ended: (data) => [`Order ${inWords(data.reason)}`, data.detail ?? ""],
  session_changed: (data) => [
    `Session ${data.status}`,
    [inWords(data.reason), data.detail].filter(Boolean).join(": "),
  ],
};

/** @param {{ type: string, data: any }} event @returns {[what: string, details: string]} */
export const told = ({ type, data }) => EVENTS[type]?.(data) ?? [type, ""];
