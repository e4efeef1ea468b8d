// @ts-check
/** Closing a trade from its row: all of it, a half, or all and then the other way. */
import { reason } from "./api.js";
import { $, put } from "./dom.js";
import { confirmsPrice } from "./fills.js";
import { price, signedMoney, whole } from "./format.js";
import { clearProblems, fieldsOf, onOrder } from "./forms.js";
import { part, touch } from "./frame.js";
import { signOf } from "./levels.js";
import { halfOf } from "./lots.js";
import { model, noteAnswer } from "./model.js";
import { complain, say } from "./notify.js";
import { typed } from "./numbers.js";
import { distance, lookUp, standing } from "./quotes.js";
import { settle } from "./sending.js";
import { client, isChanging, strayed } from "./stream.js";
import { opened } from "./ticket.js";

/** @typedef {import("./model.js").Position} Position */

/** @type {HTMLDialogElement} */
const dialog = $("close-dialog");
/** @type {HTMLFormElement} */
const form = $("close-trade");
let closingId = 0;
/** The session it is of. @type {number | null} */
let of = null;
/** Whether as much is opened the other way once it is closed. */
let reverses = false;
/** What was focused before the dialog. */
let opener = /** @type {HTMLElement | null} */ (null);

const other = (/** @type {string} */ side) => (side === "SELL" ? "BUY" : "SELL");

/** Asks before a position is closed.
 * @param {number} tradeId @param {"all" | "half" | "reverse"} [how] */
export function openClosing(tradeId, how = "all") {
  const trade = model.open.get(tradeId);
  if (!trade || isChanging()) return;
  closingId = tradeId;
  of = model.sessionId;
  reverses = how === "reverse";
  opener = /** @type {HTMLElement} */ (document.activeElement);
  form.reset();
  clearProblems(form);
  $("close-terms").hidden = $("close-terms").disabled = reverses;
  if (how === "half") $("close-quantity").value = typed(halfOf(trade.symbol, trade.quantity));
  dialog.showModal();
  lookUp(trade.symbol);
  touch("closing");
}

function paint() {
  if (!dialog.open) return;
  const trade = model.open.get(closingId);
  $("close-do").hidden = !trade;
  if (!trade) return put($("close-what"), strayed(of) || `#${closingId} is closed by now.`);
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
      `P&L ${signedMoney(trade.unrealizedPnL)}${given}` +
      (reverses ? ". What is opened then has no stop and no target." : ""),
  );
  put($("close-title"), reverses ? "Reverse the position" : "Close the position");
  put($("close-do"), deed(trade));
}

/** What the button does. @param {Position} trade */
function deed({ side, symbol, quantity: open }) {
  const { quantity = open } = fieldsOf(form);
  const all = `Close ${whole(open)} ${symbol}`;
  if (reverses) return `${all}, then ${other(side)} ${whole(open)}`;
  const isPart = typeof quantity === "number" && quantity < open;
  return isPart ? `Close ${whole(quantity)} of ${whole(open)} ${symbol}` : all;
}

/** @param {import("./forms.js").Fields} body */
async function order(body) {
  const tradeId = closingId;
  const trade = model.open.get(tradeId);
  const isReversal = reverses; // another one may be asked about before this is done
  const { price: at, quantity = trade?.quantity } = body;
  if (strayed(of)) return strayed(of);
  if (isReversal && !trade) return `#${tradeId} is closed by now: there is nothing to reverse.`;
  const gain = trade && (at - trade.entryPrice) * quantity * signOf(trade);
  const wanted =
    at === undefined ||
    !trade ||
    (await confirmsPrice(`Closing #${tradeId}, ${trade.symbol},`, at, trade.currentPrice, gain));
  if (!wanted) return null;
  return strayed(of) || { path: `trades/${tradeId}/close`, body, isReversal };
}

/** @param {any} trade @param {import("./forms.js").Fields} _
 * @param {{ isReversal: boolean }} order */
function closed(trade, _, { isReversal }) {
  noteAnswer(trade);
  if (isReversal) openOther(trade);
  // The stream tells it, if it is there.
  if (client.status.state !== "open") say(outcome(trade));
  return "";
}

/** The second half of a reversal. It says where it stands if this fails.
 * @param {any} trade as it was closed */
async function openOther({ tradeId, sessionId, symbol, side, ...trade }) {
  const quantity = trade.closedQuantity ?? trade.quantity; // the last part, if it had several
  const body = { symbol, side: other(side), quantity };
  const answer = await settle("POST", `sessions/${sessionId}/trades`, body, (how, isOpen) => {
    if (isOpen) complain(`Reversing #${tradeId}: it is closed. ${how}`);
  });
  if (answer.ok) {
    noteAnswer(answer.document);
    if (client.status.state !== "open") say(opened(answer.document));
  } else
    complain(
      `#${tradeId} is closed, and nothing was opened the other way ` +
        `(${other(side)} ${whole(quantity)} ${symbol}): ${reason(answer)}`,
    );
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
