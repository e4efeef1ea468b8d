// @ts-check
/** The session on screen: which one, its figures, its status. */
import { callAll, reason } from "./api.js";
import { demoNote } from "./demo.js";
import { confirmed } from "./dialogs.js";
import { $, attribute, el, keyed, put } from "./dom.js";
import {
  arrowMoney,
  money,
  percent,
  signedMoney,
  signedPercent,
  tone,
  unbroken,
  whole,
  wholeMoney,
} from "./format.js";
import { onOrder } from "./forms.js";
import { part, touch } from "./frame.js";
import { model, noteStatus } from "./model.js";
import { say } from "./notify.js";
import { settle } from "./sending.js";
import { pnlIsOfThePast, sinceWords } from "./since.js";
import { asked, client, isChanging, showSession } from "./stream.js";

const REFRESH_MS = 30_000;
/** By status: what may follow, and what the button says.
 * @type {Record<string, [string, string][]>} */
const ACTIONS = {
  ACTIVE: [
    ["PAUSED", "Pause"],
    ["HALTED", "Halt"],
    ["STOPPED", "Stop…"],
  ],
  PAUSED: [
    ["ACTIVE", "Resume"],
    ["HALTED", "Halt"],
    ["STOPPED", "Stop…"],
  ],
  HALTED: [
    ["ACTIVE", "Resume"],
    ["STOPPED", "Stop…"],
  ],
  STOPPED: [],
};
/** @type {any[]} as last fetched, with the changes since */
let sessions = [];
/** A change of status that is under way, or what became of it. */
let outcome = "";
let isSending = false;

/** @returns {Promise<any[]>} all sessions of the server */
export async function loadSessions() {
  const answer = await callAll("sessions?limit=1000", "sessions");
  if (answer.ok) sessions = answer.document.sessions;
  touch("sessions");
  return sessions;
}

/** @param {number} sessionId @returns {string | undefined} */
export const nameOf = (sessionId) => sessions.find((one) => one.sessionId === sessionId)?.name;

/** @param {any} signed @returns {[string, string]} */
const gainOrLoss = (signed) => [arrowMoney(signed), tone(signed)];

/** Text and class of each figure. @param {boolean} isOld
 * @returns {Record<string, [string, string?]>} */
function figures(isOld) {
  const data = model.figures;
  const starting = model.session?.startingCapital;
  if (!data) return {};
  const { winningTrades: won, losingTrades: lost, totalTrades: total, openTrades: open } = data;
  const age = isOld ? ` ${sinceWords("as of", "by old prices")}` : "";
  return {
    unrealizedPnL: gainOrLoss(data.unrealizedPnL),
    equity: [`equity ${money(data.currentCapital + data.unrealizedPnL)}${age}`],
    todayPnL: gainOrLoss(data.todayPnL),
    todayNet:
      data.netTodayPnL === undefined
        ? ["realised, by the date in IST"]
        : [unbroken(`net of charges ${signedMoney(data.netTodayPnL)}`), "net"],
    totalPnL: gainOrLoss(data.totalPnL),
    return: [
      starting ? `${signedPercent((data.totalPnL / starting) * 100)} of the start` : "realised",
    ],
    currentCapital: [money(data.currentCapital), tone(Math.min(0, data.currentCapital))],
    startingCapital: [starting ? `started with ${wholeMoney(starting)}` : ""],
    winRate: [total - open ? percent(data.winRate) : "–"],
    wonLost: [`${whole(won)} won · ${whole(lost)} lost`],
    totalTrades: [whole(total)],
    openClosed: [`${whole(open)} open · ${whole(total - open)} closed`],
  };
}

function paint() {
  const isOld = pnlIsOfThePast();
  const values = figures(isOld);
  for (const element of document.querySelectorAll("[data-figure]")) {
    const [text, kind = ""] = values[/** @type {HTMLElement} */ (element).dataset.figure ?? ""] ?? [
      "",
    ];
    put(
      element,
      text || (element.tagName === "B" ? "–" : ""),
      element.tagName === "B" && text.length > 17 ? `${kind} long` : kind,
    );
  }
  document.querySelector(".figures .lead")?.classList.toggle("old", isOld);
  const status = model.figures?.status ?? "";
  put($("session-status"), status);
  $("session-status").hidden = !status;
  attribute($("session-status"), "data-status", status);
  keyed(
    $("session-actions"),
    ACTIONS[status] ?? [],
    () => el("button", { type: "button" }),
    (button, text, to) => {
      put(button, text);
      button.dataset.to = to;
      button.disabled = isChanging();
      attribute(button, "aria-disabled", isSending ? "true" : null); // it keeps the focus
    },
  );
  const { sessionId } = model;
  put(
    $("session-note"),
    isChanging() && sessionId !== null
      ? `Waiting for session ${asked().sessionId}: what is shown is still session ${sessionId}, ` +
          "and nothing is sent to either."
      : [outcome, demoNote(sessionId, status)].filter(Boolean).join(" "),
  );
}

function paintChooser() {
  const { sessionId } = asked();
  const known = sessions.some((one) => one.sessionId === sessionId);
  const options = known || sessionId === null ? sessions : [...sessions, { sessionId, name: "…" }];
  const entries = options.map((one) => /** @type {[number, any]} */ ([one.sessionId, one]));
  if (sessionId === null) entries.unshift([0, null]);
  keyed(
    $("session"),
    entries,
    (_, id) => el("option", { value: String(id) }),
    (option, one) =>
      put(
        option,
        one === null
          ? sessions.length
            ? "choose one"
            : "none yet"
          : `${one.sessionId} · ${one.name}${one.status === "STOPPED" ? " · STOPPED" : ""}`,
      ),
  );
  $("session").value = String(sessionId ?? 0);
}

/** Of the session that is on screen, whatever is chosen while this asks.
 * @param {string} status */
async function changeStatus(status) {
  const { sessionId } = model;
  if (sessionId === null || isChanging() || isSending) return;
  put($("stop-title"), `Stop session ${sessionId}?`);
  if (status === "STOPPED" && !(await confirmed($("stop-dialog")))) return;
  put($("session-error"), "");
  isSending = true;
  const answer = await settle("PATCH", `sessions/${sessionId}`, { status }, (how) =>
    tellOutcome(`${status} for session ${sessionId}: ${how}`),
  );
  isSending = false;
  if (answer.ok) noteStatus(answer.document);
  // The stream shows it, if it is there.
  tellOutcome(
    answer.ok && client.status.state !== "open"
      ? `Session ${sessionId} is ${answer.document.status}.`
      : "",
  );
  const of = sessionId === model.sessionId ? "" : `Session ${sessionId}: `;
  put($("session-error"), answer.ok ? "" : of + reason(answer));
}

/** @param {string} text */
function tellOutcome(text) {
  outcome = text;
  touch("session");
}

/** Others change sessions, too.
 * @param {{ sessionId: number, name: string, status: string }} data */
export function noteChange({ sessionId, name, status }) {
  sessions = sessions.map((one) => (one.sessionId === sessionId ? { ...one, name, status } : one));
  touch("sessions");
}

/** @param {number} sessionId */
function choose(sessionId) {
  put($("session-error"), "");
  if (!isSending) outcome = "";
  showSession(sessionId);
}

export function start() {
  part("session", paint);
  part("sessions", paintChooser);
  client.on("session_changed", ({ data }) => noteChange(data));
  setInterval(loadSessions, REFRESH_MS); // others make sessions, too
  $("session").addEventListener("focus", loadSessions);
  $("session").addEventListener("change", () => {
    if (Number($("session").value)) choose(Number($("session").value));
  });
  $("session-actions").addEventListener("click", (/** @type {any} */ { target }) => {
    if (target.dataset.to) changeStatus(target.dataset.to);
  });
  const dialog = $("session-dialog");
  $("new-session").addEventListener("click", () => dialog.showModal());
  onOrder(
    $("create-session"),
    async (fields) => ({ path: "sessions", body: fields }),
    (session, _fields, _order, isShown) => {
      sessions = [...sessions, session];
      touch("sessions");
      // Who has left the form may be at work in another session by now.
      if (isShown) choose(session.sessionId);
      else say(`Session ${session.sessionId} was created.`);
      return "";
    },
  );
}
