// @ts-check
/** Opening a trade with the ticket. */
import { $, put } from "./dom.js";
import { money, price, signedMoney, whole } from "./format.js";
import { clearProblems, confirmed, fieldsOf, hint, onOrder } from "./forms.js";
import { part, touch } from "./frame.js";
import { model, noteAnswer } from "./model.js";
import { distance, isClose, isFar, isOld, lastOf, lookUp, priceAndOrigin } from "./quotes.js";
import { asked, client, isChanging } from "./stream.js";

/** @typedef {import("./forms.js").Fields} Fields */

/** @type {HTMLFormElement} */
const ticket = $("ticket");
const LEVELS = /** @type {const} */ (["stopLoss", "target"]);
/** The symbol whose price was too old, if that is why the last order was refused. */
let waitsFor = "";

/** @param {string} name @returns {any} a field of the ticket */
const field = (name) => ticket.elements.namedItem(name);

/** @param {Fields} fields */
const symbolOf = ({ symbol = "" }) => String(symbol).toUpperCase();

/** Why nothing can be opened in what is on screen; empty if it can. */
function obstacle() {
  if (isChanging())
    return `Waiting for session ${asked().sessionId}: nothing is opened until it is on screen.`;
  if (model.sessionId === null) return "Choose or create a session first.";
  if (model.figures?.status === "STOPPED")
    return `Session ${model.sessionId} is STOPPED: no trade can be opened in it.`;
  return "";
}

/** What the order would be filled at. @param {Fields} fields @returns {number | undefined} */
function fillOf(fields) {
  const at = fields.entryPrice ?? lastOf(symbolOf(fields))?.price;
  return typeof at === "number" ? at : undefined;
}

/** Levels on the side where the server refuses them. @param {Fields} fields @returns {string[]} */
function wrongSides(fields) {
  const at = fillOf(fields);
  if (at === undefined) return [];
  const what =
    fields.entryPrice === undefined ? `the last price ${price(at)}` : `“Filled at” ${price(at)}`;
  const sign = fields.side === "SELL" ? -1 : 1;
  return LEVELS.flatMap((name, index) => {
    const isAbove = (index === 0 ? -1 : 1) * sign > 0;
    const level = fields[name];
    if (typeof level !== "number" || (isAbove ? level > at : level < at)) return [];
    return [`${name} must be ${isAbove ? "above" : "below"} ${what} for a ${fields.side}`];
  });
}

/** What the order would cost, and what stop and target would make of it.
 * @param {Fields} fields @returns {string} */
function preview(fields) {
  const { side, quantity, entryPrice } = fields;
  const name = symbolOf(fields);
  const last = lastOf(name);
  const at = fillOf(fields);
  if (at === undefined)
    return name && !model.prices.has(name)
      ? `${name} is not on screen: the server knows its last price.`
      : "";
  const parts = [
    entryPrice === undefined && last
      ? `Last ${priceAndOrigin(last)}`
      : `Filled at ${price(at)}${last ? `: ${distance(at, last.price)}` : ""}`,
  ];
  if (Number.isInteger(quantity)) {
    parts.push(`value ${money(at * quantity)}`);
    const isWrong = (/** @type {string} */ level) =>
      wrongSides(fields).some((text) => text.startsWith(level));
    for (const [level, words] of [
      ["stopLoss", "at the stop"],
      ["target", "at the target"],
    ]) {
      if (typeof fields[level] !== "number" || isWrong(level)) continue;
      parts.push(
        `${words} ${signedMoney((fields[level] - at) * quantity * (side === "SELL" ? -1 : 1))}`,
      );
    }
  }
  if (entryPrice === undefined && last && isOld(last))
    parts.push(isClose(last) ? "nothing opens at a close" : "an old price opens nothing");
  return parts.join(" · ");
}

function paint() {
  const fields = fieldsOf(ticket);
  const { side, quantity } = fields;
  const name = symbolOf(fields);
  const lot = Number.isInteger(quantity) ? whole(quantity) : (quantity ?? "");
  put($("place"), [side === "SELL" ? "Sell" : "Buy", lot, name].join(" ").trim());
  const why = obstacle();
  $("place").disabled = why !== "";
  put($("preview"), why || preview(fields), why ? "preview obstacle" : "preview");
  hint(ticket, wrongSides(fields));
  const last = lastOf(waitsFor);
  if (last && !isOld(last)) {
    waitsFor = "";
    clearProblems(ticket); // what was refused for an old price may be allowed by now
  }
}

/** The ticket, filled with a symbol or a side.
 * @param {{ symbol?: string, side?: "BUY" | "SELL" }} known */
export function openTicket({ symbol, side }) {
  if (symbol) field("symbol").value = symbol;
  if (side) field("side").value = side;
  clearProblems(ticket);
  const first = field(field("symbol").value ? "quantity" : "symbol");
  first.focus();
  first.select();
  touch("ticket");
}

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

/** @param {Fields} fields @returns {Promise<{ path: string, body: object } | string | null>} */
async function order({ ...body }) {
  const { sessionId } = model; // what is on screen now, whatever is chosen while this asks
  for (const name of ["symbol", "quantity"])
    if (body[name] === undefined) return `${name} is required`;
  const name = symbolOf(body);
  if (body.entryPrice !== undefined) await lookUp(name);
  const why = obstacle();
  if (why || sessionId !== model.sessionId) return why || "Another session came on screen.";
  const last = lastOf(name);
  waitsFor = last && isOld(last) ? name : "";
  const [wrong] = body.entryPrice === undefined && waitsFor ? [] : wrongSides(body);
  if (wrong) return wrong;
  const { side, quantity, entryPrice } = body;
  const gain = last && (last.price - entryPrice) * quantity * (side === "SELL" ? -1 : 1);
  const wanted =
    entryPrice === undefined ||
    (await confirmsPrice(`${side} ${whole(quantity)} ${name}`, entryPrice, last?.price, gain));
  return wanted ? { path: `sessions/${sessionId}/trades`, body } : null;
}

/** @param {any} trade @param {Fields} sent */
function opened(trade, sent) {
  noteAnswer(trade);
  const before = JSON.stringify(sent);
  if (JSON.stringify(fieldsOf(ticket)) === before) {
    // nothing else was typed meanwhile
    for (const name of ["entryPrice", ...LEVELS]) field(name).value = "";
  }
  touch("ticket");
  const { tradeId, sessionId, side, quantity, symbol, entryPrice, status } = trade;
  return (
    `Opened #${tradeId} in session ${sessionId}: ${side} ${whole(quantity)} ${symbol} ` +
    `at ${price(entryPrice)}${status === "CLOSED" ? ", and closed by now" : ""}.`
  );
}

export function start() {
  part("ticket", paint);
  for (const event of ["input", "change"]) ticket.addEventListener(event, () => touch("ticket"));
  field("symbol").addEventListener("change", () =>
    lookUp(symbolOf(fieldsOf(ticket))).then(() => touch("ticket")),
  );
  /** @type {string | undefined} */
  let status;
  client.on("session_update", ({ data }) => {
    if (data.status !== status) clearProblems(ticket); // what was refused may be allowed by now
    status = data.status;
  });
  setInterval(() => touch("ticket", "closing"), 500); // they show live prices
  onOrder(ticket, order, opened);
}
