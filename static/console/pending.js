// @ts-check
/** Pending entries: what waits for its price, and how to cancel it. */
import { reason } from "./api.js";
import { $, el, keyed, nameOf, put } from "./dom.js";
import { price, whole } from "./format.js";
import { part, touch } from "./frame.js";
import { model, noteOrder } from "./model.js";
import { complain, say } from "./notify.js";
import { settle } from "./sending.js";
import { client, isChanging } from "./stream.js";

/** Those whose cancelling is under way. @type {Set<number>} */
const ending = new Set();

/** @param {any} order */
function makeRow(order) {
  const { orderId, side, symbol } = order;
  const button = el(
    "button",
    { type: "button", class: "trades", "aria-label": `Cancel order ${orderId}, ${symbol}` },
    "Cancel",
  );
  button.addEventListener("click", () => cancel(orderId));
  const terms = el("span");
  const guards = el("small");
  const what = el(
    "span",
    { class: "what" },
    el("span", { class: `side ${side}` }, side),
    " ",
    terms,
    " ",
    el("b", {}, ...nameOf(symbol)),
    el("small", {}, `#${orderId}`),
    guards,
  );
  return Object.assign(el("li", {}, what, button), { parts: { button, terms, guards } });
}

/** @param {any} order */
function guardsOf({ stopLoss, target, trailingStop, validity }) {
  return [
    validity === "GTC" ? "until cancelled" : "today",
    stopLoss != null && `stop ${price(stopLoss)}`,
    target != null && `target ${price(target)}`,
    trailingStop != null && `trails by ${price(trailingStop)}`,
  ]
    .filter(Boolean)
    .join(" · ");
}

/** @param {any} row @param {any} order */
function updateRow({ parts }, order) {
  const { orderId, quantity, type } = order;
  put(
    parts.terms,
    `${whole(quantity)} ${type === "STOP" ? "stop" : "limit"} ${price(order.price)}`,
  );
  put(parts.guards, guardsOf(order));
  parts.button.disabled = isChanging() || ending.has(orderId);
}

/** @param {number} orderId */
async function cancel(orderId) {
  if (isChanging() || ending.has(orderId)) return;
  ending.add(orderId);
  touch("pending");
  const answer = await settle("DELETE", `orders/${orderId}`, undefined, () => {});
  ending.delete(orderId);
  const ended = answer.document.order;
  if (ended) noteOrder(ended);
  if (!answer.ok) complain(reason(answer));
  else if (client.status.state !== "open") say(`Order #${orderId} is cancelled.`);
  touch("pending");
}

function paint() {
  const list = $("pending");
  const focused = list.contains(document.activeElement);
  keyed(list, model.orders, makeRow, updateRow);
  if (focused && !list.contains(document.activeElement)) $("orders-title").focus();
  $("no-pending").hidden = model.orders.size > 0;
  put($("pending-count"), model.orders.size ? `${whole(model.orders.size)} waiting` : "");
}

export const start = () => part("pending", paint);
