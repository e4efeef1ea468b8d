// @ts-check
/** Changing what guards an open trade: stop, target, and how the stop moves. */
import { $, put } from "./dom.js";
import { price, whole } from "./format.js";
import { clearProblems, fieldsOf, onOrder } from "./forms.js";
import { part, touch } from "./frame.js";
import { GUARDS, model, noteAnswer } from "./model.js";
import { say } from "./notify.js";
import { typed } from "./numbers.js";
import { lookUp } from "./quotes.js";
import { client, isChanging, strayed } from "./stream.js";
import { guardsOf } from "./words.js";

/** @type {HTMLDialogElement} */
const dialog = $("guards-dialog");
/** @type {HTMLFormElement} */
const form = $("change-guards");
let tradeId = 0;
/** The session it is of. @type {number | null} */
let of = null;
/** As the fields were filled: only what was changed is sent. @type {Record<string, any>} */
let before = {};
let opener = /** @type {HTMLElement | null} */ (null);

/** Shows the guards of a trade, to be changed. @param {number} id */
export function openGuards(id) {
  const trade = /** @type {any} */ (model.open.get(id));
  if (!trade || isChanging()) return;
  tradeId = id;
  of = model.sessionId;
  opener = /** @type {HTMLElement} */ (document.activeElement);
  form.reset();
  clearProblems(form);
  before = {};
  follow(trade);
  dialog.showModal();
  lookUp(trade.symbol);
  touch("guards");
}

/** What nobody has touched shows what guards the trade now: a stop may move meanwhile.
 * @param {any} trade */
function follow(trade) {
  const fields = fieldsOf(form);
  for (const name of GUARDS) {
    if (fields[name] !== before[name]) continue;
    const field = /** @type {HTMLInputElement} */ (form.elements.namedItem(name));
    const now = typed(trade[name]);
    if (field.value !== now) field.value = now;
    before[name] = trade[name] ?? undefined;
  }
}

function paint() {
  if (!dialog.open) return;
  const trade = model.open.get(tradeId);
  $("guards-do").hidden = !trade;
  if (!trade) return put($("guards-what"), strayed(of) || `#${tradeId} is closed by now.`);
  follow(trade);
  put(
    $("guards-what"),
    `#${tradeId}: ${trade.side} ${whole(trade.quantity)} ${trade.symbol} ` +
      `from ${price(trade.entryPrice)}, last ${price(trade.currentPrice)}: ` +
      `${guardsOf(trade, trade.currentPrice)}. ` +
      "An emptied field takes its guard away.",
  );
}

/** @param {import("./forms.js").Fields} fields */
async function order(fields) {
  if (strayed(of)) return strayed(of);
  /** @type {Record<string, any>} */
  const body = {};
  for (const name of GUARDS) {
    if (fields[name] !== before[name]) body[name] = fields[name] ?? null;
  }
  if (Object.keys(body).length) return { method: "PATCH", path: `trades/${tradeId}`, body };
  dialog.close();
  return null;
}

/** @param {any} trade */
function changed(trade) {
  noteAnswer(trade);
  if (client.status.state !== "open") say(`Changed #${trade.tradeId} ${trade.symbol}.`);
  return "";
}

export function start() {
  part("guards", paint);
  onOrder(form, order, changed);
  dialog.addEventListener("close", () => {
    if (!dialog.open) (opener?.isConnected ? opener : $("positions-title")).focus();
  });
}
