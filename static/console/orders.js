// @ts-check
/** Opening a trade by the ticket, closing one from its row. */
import { $, put } from "./dom.js";
import { clearProblems, fieldsOf, onOrder } from "./forms.js";
import { money, price, signedMoney, whole } from "./format.js";
import { part, touch } from "./frame.js";
import { model } from "./model.js";
import { client } from "./stream.js";

/** @type {HTMLFormElement} */
const ticket = $("ticket");
/** @type {HTMLDialogElement} */
const dialog = $("close-dialog");
let closingId = 0;
/** What was focused before the dialog. */
let opener = /** @type {HTMLElement | null} */ (null);

/** @param {string} name @returns {any} a field of the ticket */
const field = (name) => ticket.elements.namedItem(name);

/** What the order would cost, and what stop and target would make of it. */
function paintPreview() {
  const { side, symbol = "", quantity, entryPrice, stopLoss, target } = fieldsOf(ticket);
  const name = String(symbol).toUpperCase();
  const quote = model.prices.get(name);
  const lot = Number.isInteger(quantity) ? whole(quantity) : quantity ?? "";
  put($("place"), [side === "SELL" ? "Sell" : "Buy", lot, name].join(" ").trim());
  const at = entryPrice ?? quote?.price;
  const sign = side === "SELL" ? -1 : 1;
  const parts = [];
  if (typeof at === "number" && typeof quantity === "number") {
    parts.push(`${entryPrice === undefined ? "Last" : "At"} ${price(at)} · value ${money(at * quantity)}`);
    const result = (/** @type {any} */ level) => (level - at) * quantity * sign;
    if (typeof stopLoss === "number") parts.push(`at the stop ${signedMoney(result(stopLoss))}`);
    if (typeof target === "number") parts.push(`at the target ${signedMoney(result(target))}`);
  } else if (name && quote === undefined) parts.push(`${name} is not on screen: the server knows its last price.`);
  put($("preview"), parts.join(" · "));
}

/** The ticket, filled with a symbol or a side. @param {{ symbol?: string, side?: "BUY" | "SELL" }} with_ */
export function openTicket({ symbol, side }) {
  if (symbol) field("symbol").value = symbol;
  if (side) field("side").value = side;
  clearProblems(ticket);
  const first = field(field("symbol").value ? "quantity" : "symbol");
  first.focus();
  first.select();
  touch("ticket");
}

/** Asks before a position is closed. @param {number} tradeId */
export function openClosing(tradeId) {
  const trade = model.open.get(tradeId);
  if (!trade) return;
  closingId = tradeId;
  opener = /** @type {HTMLElement} */ (document.activeElement);
  $("close-trade").reset();
  clearProblems($("close-trade"));
  dialog.showModal();
  touch("closing");
}

function paintClosing() {
  if (!dialog.open) return;
  const trade = model.open.get(closingId);
  put($("close-what"), trade
    ? `#${closingId}: ${trade.side} ${whole(trade.quantity)} ${trade.symbol} from ${price(trade.entryPrice)}, `
      + `last ${price(trade.currentPrice)}, P&L ${signedMoney(trade.unrealizedPnL)}`
    : `#${closingId} is closed by now.`);
}

export function start() {
  part("ticket", paintPreview);
  part("closing", paintClosing);
  ticket.addEventListener("input", () => touch("ticket"));
  /** @type {string | undefined} */
  let status;
  client.on("session_update", ({ data }) => {
    if (data.status !== status) clearProblems(ticket); // what was refused may be allowed by now
    status = data.status;
  });
  setInterval(() => touch("ticket", "closing"), 500); // they show live prices
  onOrder(ticket, ({ ...body }) => {
    if (model.sessionId === null) return "Choose or create a session first.";
    for (const name of ["symbol", "quantity"]) if (body[name] === undefined) return `${name} is required`;
    return { path: `sessions/${model.sessionId}/trades`, body };
  }, () => {
    for (const name of ["entryPrice", "stopLoss", "target"]) field(name).value = "";
    touch("ticket");
  });
  onOrder($("close-trade"), (body) => ({ path: `trades/${closingId}/close`, body }), () => dialog.close());
  dialog.addEventListener("close", () => {
    if (dialog.open) return; // the event comes late: it was opened again
    (opener?.isConnected ? opener : $("positions-title")).focus();
  });
}
