// @ts-check
/** The session on screen: which one, its figures, its status. */
import { call, reason } from "./api.js";
import { $, attribute, el, keyed, put } from "./dom.js";
import { arrow, money, percent, signedMoney, signedPercent, tone, whole, wholeMoney } from "./format.js";
import { part, touch } from "./frame.js";
import { onOrder } from "./forms.js";
import { model } from "./model.js";
import { asked, client, showSession } from "./stream.js";

const REFRESH_MS = 30_000;
/** By status: what may follow, and what the button says. @type {Record<string, [string, string][]>} */
const ACTIONS = {
  ACTIVE: [["PAUSED", "Pause"], ["HALTED", "Halt"], ["STOPPED", "Stop…"]],
  PAUSED: [["ACTIVE", "Resume"], ["HALTED", "Halt"], ["STOPPED", "Stop…"]],
  HALTED: [["ACTIVE", "Resume"], ["STOPPED", "Stop…"]],
  STOPPED: [],
};
/** @type {any[]} as last fetched */
let sessions = [];

/** @returns {Promise<any[]>} all sessions of the server */
export async function loadSessions() {
  const answer = await call("GET", "sessions");
  if (answer.ok) sessions = answer.document.sessions;
  touch("sessions");
  return sessions;
}

/** @param {any} signed @returns {[string, string]} */
const gainOrLoss = (signed) => [`${arrow(signed)} ${signedMoney(signed)}`.trim(), tone(signed)];

/** Text and class of each figure. @returns {Record<string, [string, string?]>} */
function figures() {
  const data = model.figures;
  const starting = model.session?.startingCapital;
  if (!data) return {};
  const { winningTrades: won, losingTrades: lost, totalTrades: total, openTrades: open } = data;
  return {
    unrealizedPnL: gainOrLoss(data.unrealizedPnL),
    equity: [`equity ${money(data.currentCapital + data.unrealizedPnL)}`],
    todayPnL: gainOrLoss(data.todayPnL),
    totalPnL: gainOrLoss(data.totalPnL),
    return: [starting ? `${signedPercent((data.totalPnL / starting) * 100)} of the start` : "realised"],
    currentCapital: [money(data.currentCapital), tone(Math.min(0, data.currentCapital))],
    startingCapital: [starting ? `started with ${wholeMoney(starting)}` : ""],
    winRate: [total - open ? percent(data.winRate) : "–"],
    wonLost: [`${whole(won)} won · ${whole(lost)} lost`],
    totalTrades: [whole(total)],
    openClosed: [`${whole(open)} open · ${whole(total - open)} closed`],
  };
}

function paint() {
  const values = figures();
  for (const element of document.querySelectorAll("[data-figure]")) {
    const [text, kind = ""] = values[/** @type {HTMLElement} */ (element).dataset.figure ?? ""] ?? [""];
    put(element, text || (element.tagName === "B" ? "–" : ""), text.length > 17 ? `${kind} long` : kind);
  }
  const status = model.figures?.status ?? "";
  put($("session-status"), status);
  $("session-status").hidden = !status;
  attribute($("session-status"), "data-status", status);
  keyed($("session-actions"), ACTIONS[status] ?? [], () => el("button", { type: "button" }), (button, text, to) => {
    put(button, text);
    button.dataset.to = to;
  });
}

function paintChooser() {
  const { sessionId } = asked();
  const known = sessions.some((one) => one.sessionId === sessionId);
  const options = known || sessionId === null ? sessions : [...sessions, { sessionId, name: "…" }];
  const entries = options.map((one) => /** @type {[number, any]} */ ([one.sessionId, one]));
  if (sessionId === null) entries.unshift([0, null]);
  keyed($("session"), entries, (_, id) => el("option", { value: String(id) }), (option, one) =>
    put(option, one === null ? (sessions.length ? "choose one" : "none yet") : `${one.sessionId} · ${one.name}`));
  $("session").value = String(sessionId ?? 0);
}

/** Not once a frame: a page in the background has no frames, but a title. */
function retitle() {
  const { figures: data, sessionId } = model;
  const title = !data ? "vyomo-rt console"
    : client.status.state !== "open" ? `not live · Session ${sessionId} · vyomo-rt`
    : `${signedMoney(data.todayPnL + data.unrealizedPnL)} · Session ${sessionId} · vyomo-rt`;
  if (document.title !== title) document.title = title;
}

/** @param {string} status */
async function changeStatus(status) {
  const { sessionId } = model;
  if (sessionId === null) return;
  if (status === "STOPPED" && !(await confirmed($("stop-dialog")))) return;
  const answer = await call("PATCH", `sessions/${sessionId}`, { status });
  put($("session-error"), answer.ok ? "" : reason(answer));
}

/** @param {HTMLDialogElement} dialog @returns {Promise<boolean>} */
const confirmed = (dialog) => new Promise((resolve) => {
  dialog.returnValue = "";
  dialog.addEventListener("close", () => resolve(dialog.returnValue === "stop"), { once: true });
  dialog.showModal();
});

/** @param {number} sessionId */
function choose(sessionId) {
  put($("session-error"), "");
  showSession(sessionId);
}

export function start() {
  part("session", paint);
  part("sessions", paintChooser);
  client.on("session_update", retitle);
  client.on("status", retitle);
  setInterval(loadSessions, REFRESH_MS); // others make sessions, too
  $("session").addEventListener("focus", loadSessions);
  $("session").addEventListener("change", () => { if (Number($("session").value)) choose(Number($("session").value)); });
  $("session-actions").addEventListener("click", (/** @type {any} */ { target }) => {
    if (target.dataset.to) changeStatus(target.dataset.to);
  });
  const dialog = $("session-dialog");
  $("new-session").addEventListener("click", () => dialog.showModal());
  onOrder($("create-session"), (fields) => ({ path: "sessions", body: fields }), async (session) => {
    dialog.close();
    sessions = [...sessions, session];
    choose(session.sessionId);
  });
}
