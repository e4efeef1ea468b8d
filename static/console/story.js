// @ts-check
/** What became of a trade, event by event, and what it cost. */
import { call, reason } from "./api.js";
import { $, el, put } from "./dom.js";
import { dateTime, money, price, signedMoney, tone, unbroken, whole } from "./format.js";
import { newestSeq } from "./model.js";
import { drawStory } from "./storychart.js";
import { guardsOf, reasonOf, whyClosed } from "./words.js";

/** As many as the server lists at once: in a long session only the newest are looked through. */
const MOST_EVENTS = 10_000;
const ITEMS = /** @type {Record<string, string>} */ ({
  brokerage: "Brokerage",
  stt: "STT",
  transaction: "Exchange",
  stamp: "Stamp duty",
  sebi: "SEBI",
  gst: "GST",
});
let openId = 0;

/** @type {Record<string, (data: any) => string>} */
const SENTENCES = {
  trade_opened: (data) =>
    `Opened ${whole(data.quantity)} at ${price(data.entryPrice)}: ${guardsOf(data)}` +
    (data.orderId ? ` (order #${data.orderId})` : ""),
  trade_changed: (data) => `${reasonOf(data.reason)}: ${guardsOf(data)}`,
  trade_reduced: (data) =>
    `Closed ${whole(data.closedQuantity)} at ${price(data.exitPrice)}, ` +
    `${whole(data.quantity)} left: ${signedMoney(data.pnl)}`,
  trade_closed: (data) =>
    `${whyClosed(data)}: ` +
    `closed ${whole(data.closedQuantity ?? data.quantity)} at ${price(data.exitPrice)}` +
    `${data.stale ? ", an old price" : ""}. ` +
    `P&L ${data.parts ? "of all parts " : ""}${signedMoney(data.pnl)}` +
    (data.netPnl == null ? "" : `, net of charges ${signedMoney(data.netPnl)}`),
};

/** @param {any} event */
function makeLine({ type, data }) {
  const text = SENTENCES[type]?.(data) ?? type;
  const at = el("time", { datetime: data.timestamp }, dateTime(data.timestamp));
  return el("li", {}, at, " ", el("span", { class: tone(data.pnl) }, unbroken(text)));
}

/** @param {any} trade */
function charges({ chargeItems, charges: sum }) {
  if (!chargeItems) return "";
  const items = Object.entries(chargeItems).map(
    ([name, amount]) => `${ITEMS[name] ?? name} ${money(/** @type {number} */ (amount))}`,
  );
  return `Charges ${money(sum)}: ${items.join(", ")}.`;
}

/** @param {any} trade its document */
export async function openStory(trade) {
  const { tradeId, sessionId, side, symbol, openedQuantity, tags, note } = trade;
  openId = tradeId;
  put($("story-title"), `Trade #${tradeId}: ${side} ${whole(openedQuantity)} ${symbol}`);
  put($("story-charges"), charges(trade));
  put(
    $("story-note"),
    [...(tags ?? []).map((/** @type {string} */ tag) => `#${tag}`), note ?? ""].join(" ").trim(),
  );
  $("story").replaceChildren();
  $("story-plot").hidden = true;
  $("story-dialog").showModal();
  const since = Math.max(0, newestSeq - MOST_EVENTS);
  const { ok, ...answer } = await call("GET", `sessions/${sessionId}/events?since=${since}`);
  if (openId !== tradeId) return; // another one is open by now
  if (!ok) return put($("story-note"), reason({ ok, ...answer }));
  const events = answer.document.events.filter(
    (/** @type {any} */ { data }) => data.tradeId === tradeId,
  );
  $("story").replaceChildren(...events.map(makeLine));
  drawStory(trade, events, () => openId === tradeId);
}
