// @ts-check
/** What the session's closed trades earned: a picture of it, and its numbers. */
import { call, reason } from "./api.js";
import { paintBars, paintCalendar } from "./calendar.js";
import { $, attribute, el, keyed, put, nameOf as symbolParts } from "./dom.js";
import { arrowMoney, percent, signedMoney, tone, whole } from "./format.js";
import { part, touch } from "./frame.js";
import { model } from "./model.js";
import { client } from "./stream.js";

const SETTLES_MS = 1000;
const RETRY_MS = 5000;
const MOST_ROWS = 200;
const DATES = new Set(["day", "week", "month"]);

/** @type {HTMLFormElement} */
const form = $("report-form");
/** What is on screen. @type {{ path: string, by: string, net: boolean, document: any } | null} */
let shown = null;
let failure = "";
/** What was asked for last, and whether trades were closed since. */
let asked = "";
let isOld = false;
/** Counts the questions, so that a late answer to an old one is dropped. */
let questions = 0;
let isVisible = false;
let timer = 0;

/** @param {any} signed @returns {[string, string]} */
const gainOrLoss = (signed) => [arrowMoney(signed), `number ${tone(signed)}`];
/** @param {string} text @returns {[string, string]} */
const number = (text) => [text, "number"];
/** Text and class of each column. @type {((row: any, net: boolean) => [string, string])[]} */
const COLUMNS = [
  (row, net) => gainOrLoss(net ? row.netPnl : row.pnl),
  (row) => number(signedMoney(row.charges && -row.charges)),
  (row) => number(whole(row.trades)),
  (row) => number(percent(row.winRate)),
  (row) => number(row.profitFactor === null ? "–" : String(row.profitFactor)),
  (row) => number(signedMoney(row.averageWin)),
  (row) => number(signedMoney(row.averageLoss)),
  (row) => number(signedMoney(row.best)),
  (row) => number(signedMoney(row.worst)),
  (row) => number(signedMoney(row.maxDrawdown)),
];

/** @param {string} by @param {string | null} key */
function nameOf(by, key) {
  if (key === null) return "no tag";
  return by === "hour" ? `${key}:00–${key}:59` : key;
}

/** The call that the form asks for; "" without a session. */
function wanted() {
  if (model.sessionId === null) return "";
  const fields = new FormData(form);
  const query = new URLSearchParams({ by: String(fields.get("by")) });
  for (const name of ["from", "to"])
    if (fields.get(name)) query.set(name, String(fields.get(name)));
  if (fields.get("net")) query.set("net", "true");
  return `sessions/${model.sessionId}/report?${query}`;
}

/** Only while somebody may look at it: the first report of a long history takes seconds. */
async function load() {
  const path = wanted();
  if (!isVisible || !path || (path === asked && !isOld)) return;
  asked = path;
  isOld = false;
  questions += 1;
  const question = questions;
  if (shown?.path !== path) touch("reports");
  const answer = await call("GET", path);
  if (question !== questions) return;
  failure = answer.ok ? "" : reason(answer);
  const query = new URLSearchParams(path.split("?")[1]);
  const [by, net] = [query.get("by") ?? "", query.has("net")];
  shown = answer.ok ? { path, by, net, document: answer.document } : null;
  if (!answer.ok) isOld = true; // and trades that closed meanwhile are not in it
  if (answer.passing) loadIn(RETRY_MS);
  touch("reports");
}

/** @param {number} ms */
function loadIn(ms) {
  clearTimeout(timer);
  timer = setTimeout(load, ms);
}

/** Several trades that close together are one reason to ask. */
function noteClosing() {
  isOld = true;
  loadIn(SETTLES_MS);
}

/** @param {any} tr @param {string} name @param {any} row @param {boolean} net */
function paintRow(tr, name, row, net) {
  if (tr.cells[0].textContent !== name) tr.cells[0].replaceChildren(...symbolParts(name));
  for (const [index, column] of COLUMNS.entries()) put(tr.cells[index + 1], ...column(row, net));
}

const newRow = () =>
  el("tr", {}, el("th", { scope: "row" }), ...COLUMNS.map(() => el("td", { class: "number" })));

function paint() {
  const isWaiting = (shown?.path ?? "") !== asked && !failure;
  const isOfThis = shown?.path.startsWith(`sessions/${model.sessionId}/`); // else it has just left
  put($("report-error"), failure);
  const { by, net, document } = (isOfThis && shown) || { by: "", net: false, document: null };
  /** @type {any[]} */
  const rows = document?.rows ?? [];
  $("report").hidden = rows.length === 0;
  attribute($("reports-panel"), "aria-busy", isWaiting ? "true" : null);
  const nothing = document && !rows.length ? "Nothing was closed in this time." : "";
  put($("no-report"), isWaiting && !document ? "Adding up…" : nothing);
  $("no-report").hidden = !$("no-report").textContent;
  const values = rows.map((row) => ({
    key: nameOf(by, row.key),
    value: net ? row.netPnl : row.pnl,
  }));
  const cut = (by === "day" ? paintCalendar : paintBars)($("report-picture"), values);
  const listed = rows.map((row, index) => /** @type {[string, any]} */ ([values[index].key, row]));
  if (DATES.has(by)) listed.reverse(); // the newest first
  keyed($("report-rows"), listed.slice(0, MOST_ROWS), newRow, (tr, row, key) =>
    paintRow(tr, key, row, net),
  );
  put($("report-key"), by === "" ? "" : by[0].toUpperCase() + by.slice(1));
  const left = rows.length - MOST_ROWS;
  const more = left > 0 ? `${left} more rows are not shown, and are in the total.` : "";
  put($("report-more"), [cut, more].filter(Boolean).join(" "));
  if (rows.length) paintRow($("report-total"), "Total", document.total, net);
}

export function start() {
  $("report-total").replaceChildren(...newRow().children);
  part("reports", paint);
  form.addEventListener("change", load);
  form.addEventListener("submit", (event) => event.preventDefault());
  client.on("ack", () => load());
  client.on("trade_closed", noteClosing);
  client.on("trade_reduced", noteClosing);
  new IntersectionObserver((entries) => {
    isVisible = entries[entries.length - 1].isIntersecting;
    load();
  }).observe($("reports-panel"));
}
