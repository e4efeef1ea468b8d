// @ts-check
/** Why a session stands still, and since when: told by its events, asked for once a change. */
import { call } from "./api.js";
import { moment } from "./format.js";
import { inWords } from "./words.js";

const WINDOW = 300;

/** The change that brought a session where it is, among its newest events.
 * @param {any[]} changes its `session_changed`, oldest first @param {any} figures */
function changeTo(changes, { status, statusReason }) {
  let found = null;
  for (const change of [...changes].reverse()) {
    const { data } = change;
    if (data.status !== status || data.statusReason !== statusReason) break;
    found = change;
    if (data.reason === statusReason) break; // an older one would be of an earlier halt
  }
  return found;
}

/** @param {any} change @returns {string} why and when, with what was written about it */
export function sentence({ data }) {
  const { statusReason, reason, detail, timestamp } = data;
  return [inWords(statusReason ?? reason), `at ${moment(timestamp)}`, detail]
    .filter(Boolean)
    .join(" · ");
}

/** One at a time: a hundred halted sessions must not become a hundred calls at once. */
let last = Promise.resolve();

/** Looks it up on the server. @param {any} figures of a session that stands still
 * @returns {Promise<string>} */
export function lookUp(figures) {
  const mine = last.then(() => ask(figures));
  last = mine.then(
    () => {},
    () => {},
  );
  return mine;
}

/** @param {any} figures */
async function ask(figures) {
  const path = `sessions/${figures.sessionId}`;
  const session = await call("GET", path);
  if (!session.ok) return inWords(figures.statusReason);
  const since = Math.max(0, session.document.seq - WINDOW);
  const answer = await call("GET", `${path}/events?since=${since}`);
  const events = answer.ok ? answer.document.events : [];
  const changes = events.filter((/** @type {any} */ { type }) => type === "session_changed");
  const change = changeTo(changes, figures);
  return change ? sentence(change) : inWords(figures.statusReason);
}
