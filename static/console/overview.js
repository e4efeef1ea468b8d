// @ts-check
/** All sessions at once: status, P&L, open trades, what halted them. Asked for while shown. */
import { reason } from "./api.js";
import { confirmed } from "./dialogs.js";
import { $, attribute, el, keyed, put } from "./dom.js";
import { arrowMoney, moment, tone, whole } from "./format.js";
import { onOrder } from "./forms.js";
import { part, touch } from "./frame.js";
import { lookUp } from "./halts.js";
import { feedIsLate } from "./liveness.js";
import { complain, say } from "./notify.js";
import { noteHeld, staleSince, watchHeld } from "./overviewprices.js";
import { settle } from "./sending.js";
import { loadSessions, nameOf, noteChange } from "./session.js";
import { asked, client, showSession } from "./stream.js";
import { openTab } from "./tabs.js";
import { inWords } from "./words.js";

const EVERY_MS = 1000;

/** @type {Map<number, any>} the newest figures of each session */
const rows = new Map();
/** Why each stands still, and for which figures that was found out.
 * @type {Map<number, { of: string, text: string }>} */
const halts = new Map();
let isShown = false;
/** The connection is new, and nothing of all sessions has come on it. */
let isAnew = false;
/** The session that is being renamed. */
let renamed = 0;

/** @param {import("../vyomo-rt.js").Messages["session_update"]} message */
function noteFigures({ data }) {
  if (!isShown) return;
  const { sessionId } = data;
  if (!rows.has(sessionId) && nameOf(sessionId) === undefined) loadSessions();
  rows.set(sessionId, data);
  findOut(data);
  noteHeld(data);
  touch("overview");
}

/** @param {any} figures */
async function findOut(figures) {
  const { sessionId, status, statusReason } = figures;
  const of = `${status} ${statusReason}`;
  if (halts.get(sessionId)?.of === of) return;
  halts.set(sessionId, { of, text: status === "ACTIVE" ? "" : inWords(statusReason) });
  if (status === "ACTIVE" || status === "STOPPED") return;
  const text = await lookUp(figures);
  if (halts.get(sessionId)?.of === of) halts.set(sessionId, { of, text });
  touch("overview");
}

/** @param {string} text @param {(sessionId: number) => void} act @param {number} sessionId */
function button(text, act, sessionId) {
  const made = el("button", { type: "button" }, text);
  made.addEventListener("click", () => act(sessionId));
  return made;
}

/** @param {any} _ @param {number} sessionId */
function makeRow(_, sessionId) {
  const go = button("", show, sessionId);
  go.className = "go";
  const status = el("span", { class: "chip" });
  const why = el("small");
  const [today, unrealised, open] = [0, 1, 2].map(() => el("td", { class: "number" }));
  const rename = button("Rename…", openRename, sessionId);
  const stop = button("Stop…", stopSession, sessionId);
  const actions = el("td", { class: "actions trades" }, rename, " ", stop);
  const row = el("tr", { "data-session": String(sessionId) });
  row.append(el("th", { scope: "row" }, go), el("td", {}, status, " ", why));
  row.append(today, unrealised, open, actions);
  return Object.assign(row, { parts: { go, status, why, today, unrealised, open, rename, stop } });
}

/** @param {any} cell @param {number} value */
const putMoney = (cell, value) => put(cell, arrowMoney(value), `number ${tone(value)}`);

/** @param {any} row @param {any} figures @param {number} sessionId */
function updateRow(row, figures, sessionId) {
  const { parts } = row;
  const name = nameOf(sessionId) ?? "…";
  put(parts.go, `${sessionId} · ${name}`);
  attribute(row, "aria-current", asked().sessionId === sessionId ? "true" : null);
  put(parts.status, figures.status);
  attribute(parts.status, "data-status", figures.status);
  const since = staleSince(sessionId);
  const old = since && `by prices of ${moment(since)}: stops wait`;
  put(parts.why, [halts.get(sessionId)?.text, old].filter(Boolean).join(" · "));
  putMoney(parts.today, figures.netTodayPnL ?? figures.todayPnL);
  putMoney(parts.unrealised, figures.unrealizedPnL);
  row.classList.toggle("old", figures.openTrades > 0 && (Boolean(since) || feedIsLate()));
  put(parts.open, whole(figures.openTrades));
  attribute(parts.rename, "aria-label", `Rename session ${sessionId}, ${name}`);
  attribute(parts.stop, "aria-label", `Stop session ${sessionId}, ${name}`);
  parts.stop.hidden = figures.status === "STOPPED";
}

function paint() {
  const entries = [...rows].sort(([one], [other]) => one - other);
  const live = entries.filter(([, { status }]) => status !== "STOPPED").length;
  keyed(document.querySelector("#overview tbody") ?? $("overview"), entries, makeRow, updateRow);
  $("overview").hidden = entries.length === 0;
  $("no-overview").hidden = entries.length > 0;
  put($("overview-count"), isShown && live ? whole(live) : "");
}

/** One click into a session. @param {number} sessionId */
function show(sessionId) {
  showSession(sessionId);
  openTab("tab-positions");
  $("tab-positions").focus();
}

/** @param {number} sessionId */
function openRename(sessionId) {
  renamed = sessionId;
  put($("rename-title"), `Rename session ${sessionId}`);
  $("new-name").value = nameOf(sessionId) ?? "";
  $("rename-dialog").showModal();
}

/** Asked first: it is final. @param {number} sessionId */
async function stopSession(sessionId) {
  put($("stop-title"), `Stop session ${sessionId}?`);
  if (!(await confirmed($("stop-dialog")))) return;
  const answer = await settle(
    "PATCH",
    `sessions/${sessionId}`,
    { status: "STOPPED" },
    (how, isOpen) => {
      if (isOpen) say(`STOPPED for session ${sessionId}: ${how}`);
    },
  );
  if (!answer.ok) return complain(`Session ${sessionId}: ${reason(answer)}`);
  noteChange(answer.document);
  say(`Session ${sessionId} is STOPPED.`);
}

/** @param {boolean} shown */
function setShown(shown) {
  if (shown === isShown) return;
  isShown = shown;
  watchHeld(shown);
  if (shown) client.watchSessions({ updateInterval: EVERY_MS });
  else client.unwatchSessions();
  if (!shown) rows.clear();
  touch("overview");
}

export function start() {
  part("overview", paint);
  client.on("session_update", noteFigures);
  // A new line begins with the figures of each: one that was stopped meanwhile has none.
  client.on("status", ({ state }) => {
    if (state === "connecting") isAnew = true;
  });
  client.on("ack", ({ result }) => {
    if (!isAnew || !result.watching) return;
    isAnew = false;
    rows.clear();
    touch("overview");
  });
  $("tabs").addEventListener("chosen", (/** @type {any} */ { target }) =>
    setShown(target.id === "tab-sessions"),
  );
  onOrder(
    $("rename-session"),
    async (fields) => ({ method: "PATCH", path: `sessions/${renamed}`, body: fields }),
    (session) => {
      noteChange(session);
      touch("overview");
      return "";
    },
  );
}
