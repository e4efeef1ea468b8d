// @ts-check
/** Opening a trade at the market, or placing an entry that waits for its price. */
import { $, put } from "./dom.js";
import { money, price, signedMoney, whole } from "./format.js";
import { clearProblems, fieldsOf, hint, onOrder, unreadable } from "./forms.js";
import { part, touch, touchInBeat } from "./frame.js";
import { gainAt, LEVELS, symbolOf, wrongSides } from "./levels.js";
import { followLot, inLots, stepByLots } from "./lots.js";
import { model, noteAnswer, noteOrder } from "./model.js";
import { distance, isClose, isOld, lastOf, lookUp, priceAndOrigin } from "./quotes.js";
import { refusalOf } from "./refusals.js";
import { asked, client, isChanging } from "./stream.js";

/** @typedef {import("./forms.js").Fields} Fields */

/** @type {HTMLFormElement} */
const ticket = $("ticket");
/** A symbol that stands still so long is looked up, though the field is not left yet. */
const TYPED_MS = 250;
/** The symbol whose price was too old, if that is why the last order was refused. */
let waitsFor = "";

/** @param {string} name @returns {any} a field of the ticket */
const field = (name) => ticket.elements.namedItem(name);

const symbolNow = () => symbolOf(fieldsOf(ticket));
const followed = followLot(field("quantity"), symbolNow);

/** Why nothing can be opened in what is on screen; empty if it can. */
export function obstacle() {
  if (isChanging())
    return `Waiting for session ${asked().sessionId}: nothing is opened until it is on screen.`;
  if (model.sessionId === null) return "Choose or create a session first.";
  if (model.figures?.status === "STOPPED")
    return `Session ${model.sessionId} is STOPPED: no trade can be opened in it.`;
  return "";
}

/** What the order would be filled at. @param {Fields} fields @returns {number | undefined} */
function fillOf(fields) {
  const at = fields.type === "MARKET" ? lastOf(symbolOf(fields))?.price : fields.price;
  return typeof at === "number" ? at : undefined;
}

/** @param {Fields} fields */
const misplaced = (fields) =>
  wrongSides(
    fields,
    fillOf(fields),
    fields.type === "MARKET" ? "the last price" : `the ${kindOf(fields)} price`,
  );

/** @param {Fields} fields */
const kindOf = ({ type }) => String(type).toLowerCase();

/** Whether a pending entry would be filled by the last price. @param {Fields} fields
 * @param {number} last */
function fillsAtOnce({ side, type, price: at }, last) {
  const isBelow = (type === "LIMIT") === (side === "BUY");
  return isBelow ? last <= at : last >= at;
}

/** When it is filled, and at what. @param {Fields} fields @param {number} fill */
function terms(fields, fill) {
  const last = lastOf(symbolOf(fields));
  if (fields.type === "MARKET") return last ? `Last ${priceAndOrigin(last)}` : "";
  if (!last) return `Waits for ${price(fill)}`;
  return fillsAtOnce(fields, last.price)
    ? `Filled at once: the last price is ${priceAndOrigin(last)}`
    : `Waits: ${distance(fill, last.price)}`;
}

/** What the order would cost, and what stop and target would make of it.
 * @param {Fields} fields @returns {string} */
function preview(fields) {
  const name = symbolOf(fields);
  const fill = fillOf(fields);
  const parts = [];
  if (fill !== undefined) parts.push(terms(fields, fill));
  else if (fields.type === "MARKET" && name && !model.prices.has(name))
    parts.push(`${name} is not on screen: the server knows its last price.`);
  if (Number.isInteger(fields.quantity)) {
    const lots = inLots(name, fields.quantity);
    if (lots) parts.push(lots);
    if (fill !== undefined)
      parts.push(`value ${money(fill * fields.quantity)}`, ...stakes(fields, fill));
  }
  return parts.join(" · ");
}

/** Why it would be refused, or why that is not known. It may be sent: the server answers beside the
 * stream, and may know more than this page. @param {Fields} fields */
function doubt(fields) {
  if (document.body.dataset.link !== "live")
    return "Not live: what is sent may wait, and be filled at a price that is not shown here.";
  const refusal = refusalOf(fields, fillOf(fields));
  const last = fields.type === "MARKET" ? lastOf(symbolOf(fields)) : undefined;
  if (refusal || !last || !isOld(last)) return refusal;
  return isClose(last) ? "Nothing opens at a close." : "An old price opens nothing.";
}

/** @param {Fields} fields @param {number} fill @returns {string[]} */
function stakes(fields, fill) {
  const [lost, won] = LEVELS.map((name) => gainAt(fields, name, fill));
  return [
    lost === undefined ? "" : `at risk to the stop ${money(-lost)}`,
    won === undefined ? "" : `at the target ${signedMoney(won)}`,
  ].filter(Boolean);
}

/** What the button does: Sell 75 NIFTY, limit 22,100. @param {Fields} fields */
function deed(fields) {
  const { side, quantity, price: at } = fields;
  const many = Number.isInteger(quantity) ? whole(quantity) : (quantity ?? "");
  const level = typeof at === "number" ? ` ${price(at)}` : "";
  const what = [side === "SELL" ? "Sell" : "Buy", many, symbolOf(fields)].join(" ").trim();
  return `${what}, ${kindOf(fields)}${level}`;
}

function paint() {
  const isMarket = field("type").value === "MARKET";
  $("entry-terms").hidden = $("entry-terms").disabled = isMarket;
  const fields = fieldsOf(ticket);
  put($("place"), deed(fields));
  $("place").dataset.side = fields.side;
  put($("entry-price-label"), fields.type === "STOP" ? "Stop price" : "Limit price");
  const why = obstacle();
  $("place").disabled = why !== "";
  put($("preview"), why || preview(fields), why ? "preview obstacle" : "preview");
  put($("refusal"), why ? "" : doubt(fields));
  hint(ticket, [...unreadable(ticket, fields), ...misplaced(fields)]);
  const last = lastOf(waitsFor);
  if (last && !isOld(last)) {
    waitsFor = "";
    clearProblems(ticket); // what was refused for an old price may be allowed by now
  }
}

/** The ticket, filled with a symbol or a side.
 * @param {{ symbol?: string, side?: "BUY" | "SELL" }} known */
export function openTicket({ symbol, side }) {
  if (symbol) choose(symbol);
  if (side) field("side").value = side;
  touch("ticket");
  clearProblems(ticket);
  const first = field(field("symbol").value ? "quantity" : "symbol");
  first.focus();
  first.select();
}

/** @param {string} symbol */
export function choose(symbol) {
  field("symbol").value = symbol;
  learn();
}

/** @param {Fields} fields @returns {Promise<{ path: string, body: object } | string | null>} */
async function order({ type, ...body }) {
  const { sessionId } = model;
  const required = type === "MARKET" ? ["symbol", "quantity"] : ["symbol", "quantity", "price"];
  for (const name of required) if (body[name] === undefined) return `${name} is required`;
  const last = lastOf(symbolOf(body));
  waitsFor = last && isOld(last) ? symbolOf(body) : "";
  const why = obstacle();
  const [wrong] = type === "MARKET" && waitsFor ? [] : misplaced({ type, ...body });
  if (why || wrong) return why || wrong;
  return type === "MARKET"
    ? { path: `sessions/${sessionId}/trades`, body }
    : { path: `sessions/${sessionId}/orders`, body: { type, ...body } };
}

/** @param {any} answer @param {Fields} sent */
function placed(answer, sent) {
  const { order: entry, trade = entry ? undefined : answer } = answer;
  if (entry) noteOrder(entry);
  if (trade) noteAnswer(trade);
  if (JSON.stringify(fieldsOf(ticket)) === JSON.stringify(sent)) {
    // nothing else was typed meanwhile
    for (const name of ["price", ...LEVELS]) field(name).value = "";
  }
  touch("ticket");
  return trade ? opened(trade) : waits(entry);
}

/** @param {any} trade */
export const opened = ({ tradeId, sessionId, side, quantity, symbol, entryPrice, status }) =>
  `Opened #${tradeId} in session ${sessionId}: ${side} ${whole(quantity)} ${symbol} ` +
  `at ${price(entryPrice)}${status === "CLOSED" ? ", and closed by now" : ""}.`;

/** @param {any} order */
const waits = ({ orderId, sessionId, side, quantity, symbol, type, price: at }) =>
  `Order #${orderId} waits in session ${sessionId}: ${side} ${whole(quantity)} ${symbol}, ` +
  `${String(type).toLowerCase()} ${price(at)}.`;

/** Until the symbol stands still. @type {ReturnType<typeof setTimeout>} */
let typing;

/** Asks for what is not known of the symbol, once it is left or stands still. */
async function learn() {
  clearTimeout(typing);
  touch("ticket");
  await Promise.all([lookUp(symbolNow()), followed()]);
  touch("ticket");
}

export function start() {
  part("ticket", paint);
  for (const event of ["input", "change"]) ticket.addEventListener(event, () => touch("ticket"));
  field("symbol").addEventListener("change", learn);
  field("symbol").addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(learn, TYPED_MS);
  });
  stepByLots(field("quantity"), symbolNow);
  /** @type {string | undefined} */
  let status;
  client.on("session_update", ({ data }) => {
    if (data.status !== status) clearProblems(ticket); // what was refused may be allowed by now
    status = data.status;
  });
  client.on("session_changed", () => clearProblems(ticket)); // likewise by other rules
  // They show live prices.
  setInterval(() => touchInBeat("ticket", "fill", "closing", "guards"), 500);
  onOrder(ticket, order, placed);
}
