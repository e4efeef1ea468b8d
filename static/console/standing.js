// @ts-check
/** The document of the session on screen: its rules, and counts of today that no stream carries. */
import { call } from "./api.js";
import { touch } from "./frame.js";
import { model } from "./model.js";
import { client } from "./stream.js";

const REFRESH_MS = 300;
/** As it last came; null until then. @type {any} */
export let standing = null;
/** @type {ReturnType<typeof setTimeout> | undefined} */
let timer;

/** @param {any} session its document, or null */
export function noteStanding(session) {
  standing = session;
  touch("rules", "ticket");
}

/** What happens often at once is asked about once. */
function refresh() {
  clearTimeout(timer);
  timer = setTimeout(load, REFRESH_MS);
}

async function load() {
  const { sessionId } = model;
  if (sessionId === null) return;
  const answer = await call("GET", `sessions/${sessionId}`);
  if (answer.ok && sessionId === model.sessionId) noteStanding(answer.document);
}

export function start() {
  client.on("ack", () => {
    if (standing?.sessionId !== model.sessionId) noteStanding(null);
    refresh();
  });
  for (const type of /** @type {const} */ (["trade_opened", "trade_closed", "session_changed"]))
    client.on(type, refresh);
}
