// @ts-check
/** Keeps the document of the session on screen: its rules, and counts of today that no stream
 * carries. */
import { call } from "./api.js";
import { touch } from "./frame.js";
import { model, noteDocument } from "./model.js";
import { client } from "./stream.js";

const REFRESH_MS = 300;
/** @type {ReturnType<typeof setTimeout> | undefined} */
let timer;

/** @param {any} session its document as it is now */
export function noteStanding(session) {
  noteDocument(session);
  touch("session", "rules", "ticket");
}

/** What happens often at once is asked about once. */
function refresh() {
  clearTimeout(timer);
  timer = setTimeout(load, REFRESH_MS);
}

/** Only rules look at the counts that a trade changes. */
function noteTrade() {
  if (Object.keys(model.session?.rules ?? {}).length) refresh();
}

async function load() {
  const { sessionId } = model;
  if (sessionId === null) return;
  const answer = await call("GET", `sessions/${sessionId}`);
  if (answer.ok) noteStanding(answer.document);
}

export function start() {
  client.on("session_changed", refresh);
  client.on("trade_opened", noteTrade);
  client.on("trade_closed", noteTrade);
}
