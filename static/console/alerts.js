// @ts-check
/** Alerts that this browser keeps: a price, the session's P&L, a stop that comes near. */
import { serverNowMs } from "./clock.js";
import { $, el, keyed, put } from "./dom.js";
import { inIst, money, percent, price, time } from "./format.js";
import { checkWhileTyping, clearProblems, fieldsOf, hint, unreadable } from "./forms.js";
import { part, touch } from "./frame.js";
import { everyHalfSecond, feedIsLate, isLive, pnlIsOld } from "./liveness.js";
import { feedWasLive } from "./market.js";
import { model } from "./model.js";
import { alarm } from "./notify.js";
import { isOld } from "./quotes.js";
import { isOf, recall, remember } from "./remembered.js";
import { sinceWords } from "./since.js";
import { symbolsIn } from "./symbols.js";

/**
 * @typedef {"above" | "below" | "gain" | "loss" | "stop"} Kind
 * @typedef {{ id: number, kind: Kind, symbol: string, value: number, firedAtMs?: number }} Alert
 */

/** @type {HTMLFormElement} */
const form = $("new-alert");
/** @type {Alert[]} */
let alerts = readAlerts();
/** What was not live at the last look; empty if all was. */
let trouble = "";

/** @returns {Alert[]} */
function readAlerts() {
  try {
    return JSON.parse(recall("alerts") ?? "[]");
  } catch {
    return [];
  }
}

/** @param {Alert[]} changed */
function keep(changed) {
  alerts = changed;
  remember("alerts", alerts.length ? JSON.stringify(alerts) : null);
  touch("alerts");
}

const WORDS = /** @type {Record<Kind, (alert: Alert) => string>} */ ({
  above: ({ symbol, value }) => `${symbol} at ${price(value)} or above`,
  below: ({ symbol, value }) => `${symbol} at ${price(value)} or below`,
  gain: ({ value }) => `today’s P&L at ${money(value)} or above`,
  loss: ({ value }) => `today’s P&L at ${money(-value)} or below`,
  stop: ({ value }) => `a price within ${percent(value)} of a stop`,
});

/** Realised and unrealised, or nothing while it is made of old prices. */
function todayPnL() {
  const { figures } = model;
  return figures && !pnlIsOld() ? figures.todayPnL + figures.unrealizedPnL : Number.NaN;
}

/** A price that is true now. @param {string} symbol */
function freshPrice(symbol) {
  const quote = model.prices.get(symbol);
  return quote && !isOld(quote) ? quote.price : Number.NaN;
}

/** @param {number} within % */
const nearAStop = (within) =>
  [...model.open.values()].some(
    ({ stopLoss, currentPrice, stale }) =>
      stopLoss != null &&
      currentPrice !== undefined &&
      !stale &&
      (Math.abs(currentPrice - stopLoss) / currentPrice) * 100 <= within,
  );

const HOLDS = /** @type {Record<Kind, (alert: Alert) => boolean>} */ ({
  above: ({ symbol, value }) => freshPrice(symbol) >= value,
  below: ({ symbol, value }) => freshPrice(symbol) <= value,
  gain: ({ value }) => todayPnL() >= value,
  loss: ({ value }) => todayPnL() <= -value,
  stop: ({ value }) => nearAStop(value),
});

const TROUBLES = {
  line: () => `The page is not live, as of ${time(model.heardAtWallMs)} IST.`,
  feed: () =>
    `The price feed is ${model.feed?.state}: ${inIst(model.feed?.message ?? "")}. Stops wait.`,
  prices: () => `${sinceWords("No fresh price since", "No fresh price comes")}: stops wait.`,
};

/** Twice a second, in a hidden tab too; each alert sounds once. */
function look() {
  const feedIsLost = feedWasLive && feedIsLate();
  const now = !isLive() ? "line" : feedIsLost ? "feed" : pnlIsOld() ? "prices" : "";
  if (now && now !== trouble && model.heardAtWallMs) alarm(TROUBLES[now]());
  trouble = now;
  if (now === "line") return; // else each alert looks at what it is about
  const due = alerts.filter((alert) => !alert.firedAtMs && HOLDS[alert.kind](alert));
  for (const alert of due) alarm(`Alert: ${WORDS[alert.kind](alert)}.`);
  if (due.length)
    keep(
      alerts.map((alert) => (due.includes(alert) ? { ...alert, firedAtMs: serverNowMs() } : alert)),
    );
}

/** @param {Alert} alert */
function makeItem(alert) {
  const words = WORDS[alert.kind](alert);
  const state = el("small");
  const again = el("button", { type: "button", "aria-label": `Again: ${words}` }, "Again");
  const remove = el("button", { type: "button", "aria-label": `Remove: ${words}` }, "×");
  again.addEventListener("click", () =>
    keep(alerts.map((one) => (one.id === alert.id ? { ...one, firedAtMs: undefined } : one))),
  );
  remove.addEventListener("click", () => {
    keep(alerts.filter(({ id }) => id !== alert.id));
    $("alert-value").focus();
  });
  return Object.assign(el("li", {}, el("span", {}, words), " ", state, " ", again, " ", remove), {
    parts: { state, again },
  });
}

/** @param {any} item @param {Alert} alert */
function updateItem({ parts }, { firedAtMs }) {
  put(parts.state, firedAtMs ? `at ${time(firedAtMs)}` : "armed");
  parts.again.hidden = !firedAtMs;
}

function paint() {
  keyed(
    $("alert-list"),
    alerts.map((alert) => [alert.id, alert]),
    makeItem,
    updateItem,
  );
  put($("no-alerts"), alerts.length ? "" : "No alert yet.");
  const needsSymbol = ["above", "below"].includes($("alert-kind").value);
  $("alert-symbol-field").hidden = !needsSymbol;
}

/** @param {import("./forms.js").Fields} fields @returns {string} what is wrong; empty: nothing */
function problemOf({ kind, symbol = "", value }) {
  if (value === undefined) return "value is required";
  if (!(value > 0)) return "value must be above 0";
  const isOfPrice = kind === "above" || kind === "below";
  if (isOfPrice && symbolsIn(String(symbol), new Set()).good.length !== 1)
    return "symbol: name one, such as NIFTY";
  if (isOfPrice && !model.prices.has(String(symbol).toUpperCase()))
    return "symbol must be in the watchlist: only its prices come here";
  return "";
}

function add() {
  clearProblems(form);
  const fields = fieldsOf(form);
  const problem = unreadable(form, fields).at(0) ?? problemOf(fields);
  if (problem) return hint(form, [problem]);
  const { kind, value, symbol = "" } = fields;
  keep([...alerts, { id: Date.now(), kind, symbol: String(symbol).toUpperCase(), value }]);
  $("alert-value").value = "";
}

export const openAlerts = () => {
  touch("alerts");
  $("alert-symbol").value ||= $("symbol").value; // the one that is traded
  $("alerts-dialog").showModal();
};

export function start() {
  part("alerts", paint);
  $("alerts-open").addEventListener("click", openAlerts);
  checkWhileTyping(form);
  form.addEventListener("input", () => touch("alerts"));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    add();
  });
  everyHalfSecond(look);
  addEventListener("storage", ({ key }) => {
    if (!isOf(key, "alerts")) return;
    alerts = readAlerts(); // another tab has changed them
    touch("alerts");
  });
}
