// @ts-check
/** Pending entries: what waits for its price, and how to cancel it. */
import { reason } from "./api.js";
import { $, attribute, el, keyed, nameOf, put, rowsOf } from "./dom.js";
import { price, whole } from "./format.js";
import { part, touch } from "./frame.js";
import { model, noteOrder } from "./model.js";
import { complain, say } from "./notify.js";
import { distance, isOld } from "./quotes.js";
import { settle } from "./sending.js";
import { client, isChanging } from "./stream.js";

/** Those whose cancelling is under way, and how that stands. @type {Map<number, string>} */
const ending = new Map();

/** @param {any} order */
function makeRow(order) {
  const { orderId, side, symbol } = order;
  const button = el(
    "button",
    { type: "button", class: "trades", "aria-label": `Cancel order ${orderId}, ${symbol}` },
    "Cancel",
  );
  button.addEventListener("click", () => cancel(orderId));
  const [quantity, terms, guards] = [el("span"), el("span"), el("small")];
  const what = el(
    "span",
    { class: "what" },
    el("span", { class: `side ${side}` }, side),
    " ",
    quantity,
    " ",
    el("b", {}, ...nameOf(symbol)),
    " ",
    terms,
    el("small", {}, `#${orderId}`),
    guards,
  );
  return Object.assign(el("li", {}, what, button), { parts: { button, quantity, terms, guards } });
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
  const { orderId, quantity, symbol, type } = order;
  const last = model.prices.get(symbol);
  put(parts.quantity, whole(quantity));
  put(parts.terms, `${type === "STOP" ? "stop" : "limit"} ${price(order.price)}`);
  put(
    parts.guards,
    [
      ending.get(orderId),
      last && !isOld(last) && distance(order.price, last.price),
      guardsOf(order),
    ]
      .filter(Boolean)
      .join(" · "),
  );
  parts.button.disabled = isChanging();
  attribute(parts.button, "aria-disabled", ending.has(orderId) ? "true" : null);
}

/** @param {number} orderId */
async function cancel(orderId) {
  if (isChanging() || ending.has(orderId)) return;
  const answer = await settle("DELETE", `orders/${orderId}`, undefined, (how) => {
    ending.set(orderId, how);
    touch("pending");
  });
  ending.delete(orderId);
  const ended = answer.document.order;
  if (ended) noteOrder(ended);
  if (!answer.ok) complain(reason(answer));
  else if (client.status.state !== "open") say(`Order #${orderId} is cancelled.`);
  touch("pending");
}

function paint() {
  keyed($("pending"), rowsOf(model.orders.values()), makeRow, updateRow);
  $("no-pending").hidden = model.orders.size > 0;
  put($("pending-count"), model.orders.size ? `${whole(model.orders.size)} waiting` : "");
}

export function start() {
  part("pending", paint);
  setInterval(() => $("orders-panel").hidden || touch("pending"), 1000); // prices move
}
