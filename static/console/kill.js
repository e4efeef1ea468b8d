// @ts-check
/** Closing everything in the session on screen, with one confirmation that names it all. */
import { reason } from "./api.js";
import { confirmed } from "./dialogs.js";
import { $, attribute, el, keyed, put, rowsOf } from "./dom.js";
import { price, whole } from "./format.js";
import { part, touch } from "./frame.js";
import { model, noteAnswer } from "./model.js";
import { complain, say } from "./notify.js";
import { settle } from "./sending.js";
import { isChanging, strayed } from "./stream.js";

const dialog = $("kill-dialog");
const FOLLOWED_MS = 500;
/** The session that is asked about. @type {number | null} */
let askedOf = null;
let isSending = false;

/** @param {import("./model.js").Position} trade */
function makeRow({ side, symbol }) {
  const [quantity, last] = [el("span"), el("span")];
  const badge = el("span", { class: `side ${side}` }, side);
  return Object.assign(el("li", {}, badge, " ", quantity, " ", el("b", {}, symbol), " ", last), {
    parts: { quantity, last },
  });
}

/** @param {any} row @param {import("./model.js").Position} trade */
function updateRow({ parts }, { tradeId, quantity, currentPrice, stale }) {
  put(parts.quantity, whole(quantity));
  put(parts.last, `#${tradeId}, last ${price(currentPrice)}${stale ? ", a stale price" : ""}`);
}

/** What would be closed and ended now, while it is asked. */
function list() {
  const orders = model.orders.size;
  const { size } = model.open;
  const what = size === 1 ? "the one position" : `all ${whole(size)} positions`;
  put($("kill-title"), `Close ${what} of session ${model.sessionId}?`);
  keyed($("kill-list"), rowsOf(model.open.values()), makeRow, updateRow);
  put($("kill-orders"), orders ? `Pending entries that end with the halt: ${whole(orders)}.` : "");
}

async function closeAll() {
  const { sessionId } = model;
  if (sessionId === null || isChanging() || isSending) return;
  $("kill-halt").checked = true;
  askedOf = sessionId;
  list();
  if (!(await confirmed(dialog))) return;
  if (strayed(sessionId)) return complain(strayed(sessionId));
  isSending = true;
  touch("kill");
  const body = { halt: $("kill-halt").checked };
  const answer = await settle("POST", `sessions/${sessionId}/close-all`, body, (how, isOpen) => {
    if (isOpen) say(`Closing everything in session ${sessionId}: ${how}`);
  });
  isSending = false;
  touch("kill");
  if (!answer.ok) return complain(reason(answer));
  const { closed, failed } = answer.document;
  for (const tradeId of closed) noteAnswer({ sessionId, tradeId, status: "CLOSED" });
  const many = closed.length === 1 ? "1 position" : `${whole(closed.length)} positions`;
  say(`Closed ${many} of session ${sessionId}.`);
  for (const { tradeId, message } of failed) complain(`#${tradeId} is not closed yet: ${message}`);
}

function paint() {
  if (dialog.open && askedOf === model.sessionId) list();
  $("close-all").disabled = isChanging();
  attribute($("close-all"), "aria-disabled", isSending ? "true" : null); // it keeps the focus
}

export function start() {
  part("kill", paint);
  $("close-all").addEventListener("click", closeAll);
  setInterval(() => dialog.open && touch("kill"), FOLLOWED_MS); // trades close by themselves
}
