// @ts-check
/** Closing a trade from its row. */
import { $, put } from "./dom.js";
import { price, signedMoney, whole } from "./format.js";
import { clearProblems, fieldsOf, onOrder } from "./forms.js";
import { part, touch } from "./frame.js";
import { model, noteAnswer } from "./model.js";
import { say } from "./notify.js";
import { confirmsPrice } from "./orders.js";
import { distance, lookUp, standing } from "./quotes.js";
import { client, isChanging } from "./stream.js";

/** @type {HTMLDialogElement} */
const dialog = $("close-dialog");
/** @type {HTMLFormElement} */
const form = $("close-trade");
let closingId = 0;
/** What was focused before the dialog. */
let opener = /** @type {HTMLElement | null} */ (null);

/** Asks before a position is closed. @param {number} tradeId */
export function openClosing(tradeId) {
  const trade = model.open.get(tradeId);
  if (!trade || isChanging()) return;
  closingId = tradeId;
  opener = /** @type {HTMLElement} */ (document.activeElement);
  form.reset();
  clearProblems(form);
  dialog.showModal();
  lookUp(trade.symbol);
  touch("closing");
}

function paint() {
  if (!dialog.open) return;
  const trade = model.open.get(closingId);
  if (!trade) return put($("close-what"), `#${closingId} is closed by now.`);
  const from = standing(trade);
  const at = fieldsOf(form).price;
  const given =
    typeof at === "number" && trade.currentPrice
      ? `. Closed at ${price(at)}: ${distance(at, trade.currentPrice)}`
      : "";
  put(
    $("close-what"),
    `#${closingId}: ${trade.side} ${whole(trade.quantity)} ${trade.symbol} ` +
      `from ${price(trade.entryPrice)}, ` +
      `last ${price(trade.currentPrice)}${from ? ` (${from})` : ""}, ` +
      `P&L ${signedMoney(trade.unrealizedPnL)}${given}`,
  );
}

/** @param {import("./forms.js").Fields} body */
async function order(body) {
  const tradeId = closingId;
  const trade = model.open.get(tradeId);
  const { price: at, quantity = trade?.quantity } = body;
  const gain = trade && (at - trade.entryPrice) * quantity * (trade.side === "SELL" ? -1 : 1);
  const wanted =
    at === undefined ||
    !trade ||
    (await confirmsPrice(`Closing #${tradeId}, ${trade.symbol},`, at, trade.currentPrice, gain));
  return wanted ? { path: `trades/${tradeId}/close`, body } : null;
}

/** @param {any} trade */
function closed(trade) {
  noteAnswer(trade);
  if (trade.tradeId === closingId) dialog.close(); // another one may be asked about by now
  // The stream tells it, if it is there.
  if (client.status.state !== "open") say(outcome(trade));
  return "";
}

/** @param {any} trade after a part or all of it was closed */
function outcome({ tradeId, symbol, status, quantity, exitPrice, pnl }) {
  return status === "OPEN"
    ? `Closed a part of #${tradeId} ${symbol}: ${whole(quantity)} are left.`
    : `Closed #${tradeId} ${symbol} at ${price(exitPrice)}: ${signedMoney(pnl)}`;
}

export function start() {
  part("closing", paint);
  form.addEventListener("input", () => touch("closing"));
  onOrder(form, order, closed);
  dialog.addEventListener("close", () => {
    if (dialog.open) return; // the event comes late: it was opened again
    (opener?.isConnected ? opener : $("positions-title")).focus();
  });
}
