// @ts-check
/** Moves the lines of the chart, by pointer or by keyboard: each has a slider that lies on it. Of a
 * line beyond the scale it stands at the edge. Nothing is sent before the pointer lets go, or Enter
 * is pressed. */
import { reason } from "./api.js";
import { readout } from "./chartlines.js";
import { $, attribute, el, keyed, put } from "./dom.js";
import { price } from "./format.js";
import { touch } from "./frame.js";
import { nearestTick, ticksFrom } from "./lots.js";
import { noteAnswer, noteOrder } from "./model.js";
import { complain, say } from "./notify.js";
import { settle } from "./sending.js";
import { client, isChanging } from "./stream.js";

/** @typedef {import("./chartlines.js").ChartLine} ChartLine */
/** `how`: how the sending stands; `sent`: ends the asking, null before it is sent.
 * @typedef {{ price: number, how: string, sent: AbortController | null }} Move */

/** How many ticks a key goes. @type {Record<string, number>} */
const STEPS = {
  ArrowUp: 1,
  ArrowRight: 1,
  ArrowDown: -1,
  ArrowLeft: -1,
  PageUp: 10,
  PageDown: -10,
};
/** Labels nearer to each other stand side by side. */
const LABEL_PX = 22;
/** From one row of labels to the next, for a thumb. */
const ROW_PX = matchMedia("(pointer: coarse)").matches ? 44 : LABEL_PX;
const BESIDE_PX = 200;
/** So many rows of labels at an edge, and one at a price; those of more lines show when they have
 * the focus. */
const MOST_ROWS = 2;
/** A hand that presses is not quite still. */
const STILL_PX = 3;

/** By the key of the line. @type {Map<string, Move>} */
const moves = new Map();
/** The line under the pointer, how far below it that has taken it, and where.
 * @type {{ key: string, offPx: number, fromPx: number, isStill: boolean } | null} */
let held = null;
/** @type {import("./candles.js").Candles | null} */
let candles = null;

const box = $("bars-lines");

/** What may be moved here: viewers move nothing. @param {ChartLine} line */
export const hasGrip = ({ field }) =>
  field !== null && !["viewer", "feed"].includes(document.body.dataset.role ?? "");

/** Where a line is drawn. @param {ChartLine} line */
export const placeOf = (line) => moves.get(line.key)?.price ?? line.price;

/** Whether the scale of prices must stand still. */
export const isHeld = () => held !== null;

/** @param {ChartLine} line */
const isShut = ({ key }) => isChanging() || Boolean(moves.get(key)?.sent);

/** @param {ChartLine} line @param {number} at */
function moveTo(line, at) {
  const to = Math.max(at, ticksFrom(line.symbol, 0, 1));
  if (to === line.price) moves.delete(line.key);
  else moves.set(line.key, { price: to, how: "", sent: null });
  touch("bars");
}

/** As if nobody had moved it. @param {string} key */
function takeBack(key) {
  if (held?.key === key) held = null;
  if (!moves.get(key)?.sent) moves.delete(key);
  touch("bars");
}

/** @param {ChartLine} line */
async function send({ key, title, path, field }) {
  const move = moves.get(key);
  if (!move || !field || move.sent) return;
  if (isChanging()) return takeBack(key);
  move.sent = new AbortController();
  const tell = (/** @type {string} */ how) => {
    move.how = how;
    touch("bars");
  };
  const answer = await settle("PATCH", path, { [field]: move.price }, tell, move.sent.signal);
  moves.delete(key);
  touch("bars");
  const { order, trade } = path.startsWith("trades/")
    ? { trade: answer.ok ? answer.document : answer.document.trade }
    : answer.document;
  if (order) noteOrder(order); // with a refusal, too, if it has ended
  if (trade) noteAnswer(trade); // an order may be filled at its new price
  if (answer.passing) return complain(`${title}: not asked any more; it may still be moved.`);
  // The reason begins with the field's own name.
  if (!answer.ok) return complain(`${title}: ${reason(answer).replace(/^\w+: /, "")}`);
  if (client.status.state !== "open") say(`${title} is at ${price((order ?? trade)[field])}.`);
}

/** A line that is off the screen is held at its edge. @param {number} y @param {number} [edgePx] */
const within = (y, edgePx = 0) =>
  Math.min((candles?.frame().height ?? 0) - edgePx, Math.max(edgePx, y));

/** @param {any} grip @param {PointerEvent} event */
function grab(grip, event) {
  if (event.button !== 0 || !event.isPrimary || isShut(grip.line)) return;
  event.preventDefault(); // it would select text
  grip.focus({ preventScroll: true });
  grip.setPointerCapture(event.pointerId);
  const offPx =
    event.clientY - box.getBoundingClientRect().top - within(candles?.yOf(placeOf(grip.line)) ?? 0);
  held = { key: grip.line.key, offPx, fromPx: event.clientY, isStill: true };
}

/** What a line would be at: where the pointer is; of one beyond the scale that is drawn further
 * away, as much further. @param {ChartLine} line @param {number} y of the line, as it is dragged */
function priceOf({ price: from }, y) {
  const edge = within(candles?.yOf(from) ?? 0);
  const isAway = y !== within(y) && edge !== candles?.yOf(from);
  const [at, before] = [candles?.priceAt(isAway ? y : within(y)), candles?.priceAt(edge)];
  if (at == null || before == null) return null;
  return isAway ? from + at - before : at;
}

/** @param {ChartLine} line @param {PointerEvent} event */
function drag(line, event) {
  if (held?.key !== line.key) return;
  if (held.isStill && Math.abs(event.clientY - held.fromPx) < STILL_PX) return;
  held.isStill = false;
  const at = priceOf(line, event.clientY - held.offPx - box.getBoundingClientRect().top);
  if (at === null) return;
  const to = nearestTick(line.symbol, at);
  moveTo(line, to === nearestTick(line.symbol, line.price) ? line.price : to);
}

/** @param {ChartLine} line */
function drop(line) {
  if (held?.key !== line.key) return;
  held = null;
  send(line);
}

/** @param {ChartLine} line @param {KeyboardEvent} event */
function press(line, event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const { key } = event;
  if (key === "Escape" && moves.get(line.key)?.sent) moves.get(line.key)?.sent?.abort();
  else if (key === "Escape") takeBack(line.key);
  else if (key === "Enter") send(line);
  else if (!STEPS[key]) return;
  else if (!isShut(line)) moveTo(line, ticksFrom(line.symbol, placeOf(line), STEPS[key]));
  event.preventDefault();
}

/** @param {ChartLine} line */
function makeGrip(line) {
  const [name, text] = [el("b"), el("span")];
  const level = el("span", { class: "level" });
  const label = el("span", { class: "label" }, level, name, text);
  const grip = el("div", {}, label);
  Object.assign(grip, { parts: { name, level, text, label } });
  if (!hasGrip(line)) {
    attribute(grip, "aria-hidden", "true"); // the chart says it
    return grip;
  }
  attribute(grip, "role", "slider");
  attribute(grip, "tabindex", "0");
  attribute(grip, "aria-valuemin", "0");
  attribute(grip, "aria-orientation", "vertical");
  grip.addEventListener("pointerdown", (/** @type {PointerEvent} */ event) => grab(grip, event));
  grip.addEventListener("pointermove", (/** @type {any} */ event) => drag(grip.line, event));
  grip.addEventListener("pointerup", () => drop(grip.line));
  grip.addEventListener("pointercancel", () => takeBack(grip.line.key));
  grip.addEventListener("keydown", (/** @type {any} */ event) => press(grip.line, event));
  // What is not sent must not stand there as if it were.
  grip.addEventListener("blur", () => takeBack(grip.line.key));
  return grip;
}

/** @param {any} grip @param {ChartLine} line */
function updateGrip(grip, line) {
  grip.line = line;
  const move = moves.get(line.key);
  const at = placeOf(line);
  const words = move ? `${readout(line, at)} · ${move.how || "not sent yet"}` : price(at);
  put(grip.parts.name, line.title);
  put(grip.parts.level, move ? "" : price(at));
  put(grip.parts.text, move ? words : "");
  attribute(grip, "class", `grip ${line.tone}${move ? " moved" : ""}`);
  if (!hasGrip(line)) return;
  attribute(grip, "aria-label", line.title);
  attribute(grip, "aria-valuenow", String(at));
  attribute(grip, "aria-valuemax", String(Math.max(at, 2 * line.price)));
  attribute(grip, "aria-valuetext", words);
  attribute(grip, "aria-disabled", isShut(line) ? "true" : null);
}

/** @param {ChartLine[]} lines of the chart */
export function paintGrips(lines) {
  const known = new Set(lines.filter(hasGrip).map(({ key }) => key));
  for (const [key, { sent }] of moves) if (!sent && !known.has(key)) moves.delete(key);
  if (held && !known.has(held.key)) held = null; // its trade was closed meanwhile
  keyed(
    box,
    // Somebody else may sign in, and move more or less.
    lines.map(
      (line) => /** @type {[string, ChartLine]} */ ([`${line.key} ${hasGrip(line)}`, line]),
    ),
    makeGrip,
    updateGrip,
  );
  box.hidden = lines.length === 0;
}

/** Puts the sliders where the lines are. @param {import("./candles.js").Candles} drawn */
export function placeGrips(drawn) {
  candles = drawn;
  const { right, width, height } = drawn.frame();
  const columns = Math.max(1, Math.floor(width / BESIDE_PX));
  box.style.right = `${right}px`;
  box.style.height = `${height}px`;
  /** @type {number[]} */
  const tops = [];
  for (const grip of /** @type {Iterable<any>} */ (box.children)) {
    const at = drawn.yOf(placeOf(grip.line)) ?? height;
    const edge = at < 0 ? "above" : at > height ? "below" : null;
    attribute(grip, "data-beyond", edge);
    const y = within(at, (edge ? ROW_PX : LABEL_PX) / 2);
    const beside = tops.filter((top) => Math.abs(top - y) < LABEL_PX).length;
    const most = edge ? MOST_ROWS : 1;
    const row = Math.min(most, Math.floor(beside / columns));
    tops.push(y);
    attribute(grip, "data-piled", row === most ? "" : null);
    const inwardPx = row * ROW_PX;
    grip.style.top = `${edge === "below" ? y - inwardPx : edge ? y + inwardPx : y}px`;
    grip.style.setProperty("--left", `${4 + (beside % columns) * BESIDE_PX}px`);
  }
}
