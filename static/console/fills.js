// @ts-check
/** Booking a fill that was made elsewhere: a record of it, no order. */

import { confirmed } from "./dialogs.js";
import { $, put } from "./dom.js";
import { money, price, signedMoney, whole } from "./format.js";
import { clearProblems, fieldsOf, hint, onOrder, unreadable } from "./forms.js";
import { part, touch } from "./frame.js";
import { signOf, symbolOf, wrongSides } from "./levels.js";
import { inLots, learnLot, stepByLots } from "./lots.js";
import { model, noteAnswer } from "./model.js";
import { say } from "./notify.js";
import { typed } from "./numbers.js";
import { distance, isFar, lastOf, lookUp, priceAndOrigin } from "./quotes.js";
import { client, strayed } from "./stream.js";
import { obstacle, opened } from "./ticket.js";

/** @typedef {import("./forms.js").Fields} Fields */

/** @type {HTMLDialogElement} */
const dialog = $("book-dialog");
/** @type {HTMLFormElement} */
const form = $("book-fill");
/** The session that the form was opened in. @type {number | null} */
let of = null;

/** Asks before booking a price that looks as if nobody got it.
 * @param {string} what @param {number} at @param {number | undefined} last
 * @param {number} [gain] what it would make at once */
export async function confirmsPrice(what, at, last, gain) {
  if (last === undefined || !isFar(at, last)) return true;
  put(
    $("fill-what"),
    `${what} at ${price(at)} is ${distance(at, last)}. It is booked at once as a fill that was ` +
      `made elsewhere${gain === undefined ? "" : `, with a P&L of ${signedMoney(gain)}`}: ` +
      "it is no limit order and waits for no price.",
  );
  return confirmed($("fill-dialog"));
}

/** @param {Fields} fields */
const misplaced = (fields) =>
  wrongSides(
    fields,
    typeof fields.entryPrice === "number" ? fields.entryPrice : undefined,
    "“Filled at”",
  );

function paint() {
  if (!dialog.open) return;
  const fields = fieldsOf(form);
  const { entryPrice: at, quantity } = fields;
  const last = lastOf(symbolOf(fields));
  const parts = [];
  if (typeof at === "number") {
    parts.push(`Filled at ${price(at)}${last ? `: ${distance(at, last.price)}` : ""}`);
    if (Number.isInteger(quantity)) parts.push(`value ${money(at * quantity)}`);
  } else if (last) parts.push(`Last ${priceAndOrigin(last)}`);
  const lots = inLots(symbolOf(fields), quantity);
  put($("book-preview"), obstacle() || strayed(of) || [...parts, lots].filter(Boolean).join(" · "));
  hint(form, [...unreadable(form, fields), ...misplaced(fields)]);
}

/** @param {Fields} body @returns {Promise<{ path: string, body: object } | string | null>} */
async function order(body) {
  for (const name of ["symbol", "quantity", "entryPrice"])
    if (body[name] === undefined) return `${name} is required`;
  const name = symbolOf(body);
  await lookUp(name);
  const why = obstacle();
  if (why || strayed(of)) return why || strayed(of);
  const [wrong] = misplaced(body);
  if (wrong) return wrong;
  const { side, quantity, entryPrice } = body;
  const last = lastOf(name)?.price;
  const gain = last === undefined ? undefined : (last - entryPrice) * quantity * signOf(body);
  const wanted = await confirmsPrice(`${side} ${whole(quantity)} ${name}`, entryPrice, last, gain);
  if (!wanted) return null;
  return strayed(of) || { path: `sessions/${of}/trades`, body };
}

/** @param {any} trade */
function booked(trade) {
  noteAnswer(trade);
  if (client.status.state !== "open") say(opened(trade)); // else the stream tells it
  return "";
}

/** The form, with what the ticket holds already. */
function open() {
  of = model.sessionId;
  form.reset();
  clearProblems(form);
  const { symbol = "", quantity = "", side = "BUY" } = fieldsOf($("ticket"));
  for (const [name, value] of Object.entries({ symbol, quantity, side })) {
    /** @type {any} */
    const field = form.elements.namedItem(name);
    field.value = typed(value);
  }
  dialog.showModal();
  $("book-entryPrice").focus();
  learn();
}

async function learn() {
  const name = symbolOf(fieldsOf(form));
  await Promise.all([lookUp(name), learnLot(name)]);
  touch("fill");
}

export function start() {
  part("fill", paint);
  $("book").addEventListener("click", open);
  form.addEventListener("input", () => touch("fill"));
  $("book-symbol").addEventListener("change", learn);
  stepByLots($("book-quantity"), () => symbolOf(fieldsOf(form)));
  onOrder(form, order, booked);
}
