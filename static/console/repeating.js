// @ts-check
/** What takes no key, and had no answer: whether it was done, by the events of its session. To
 * repeat it blindly could undo what happened since: a halt, a stop that was tightened. */
import { call } from "./api.js";

/** @typedef {import("./api.js").Answer} Answer */
/** @typedef {{ type: string, data: any }} Event */
/** @typedef {{ sessionId: number, seq: number }} Position */

const CHANGED =
  "no answer came, and it was changed by then: look how it stands before you send it again";

/** Whether an event says what was asked for. @param {any} data @param {any} wanted
 * @returns {boolean} */
function says(data, wanted) {
  if (wanted === null || typeof wanted !== "object") return (data ?? null) === wanted;
  return Object.entries(wanted).every(([name, value]) => says(data?.[name], value));
}

/** @param {Event} event @param {string} kind @param {number} id */
function isAbout({ type, data }, kind, id) {
  if (kind === "trades") return data.tradeId === id;
  if (kind === "orders") return data.orderId === id;
  return type === "session_changed";
}

/** What closing everything would have done. @param {Event[]} events @param {any} body
 * @returns {Partial<Answer> | null} */
function closedAll(events, { halt }) {
  const closes = events.filter(
    ({ type, data }) => type === "trade_closed" && data.exitReason === "MANUAL",
  );
  const isDone = halt
    ? events.some(({ type, data }) => type === "session_changed" && data.reason === "KILL")
    : closes.length > 0;
  const closed = closes.map(({ data }) => data.tradeId);
  return isDone ? { ok: true, passing: false, document: { closed, failed: [] } } : null;
}

/**
 * Looks what became of a change whose answer is lost.
 * @param {string} path of the change @param {any} body
 * @param {Position} from where the session was when it was sent
 * @returns {Promise<Answer | null>} null: nothing happened since, and it may be sent again
 */
export async function outcomeOf(path, body, { sessionId, seq }) {
  const log = await call("GET", `sessions/${sessionId}/events?since=${seq}`);
  if (!log.ok) return log;
  /** @type {Event[]} */
  const events = log.document.events;
  const [kind, id, deed] = path.split("/");
  if (deed === "close-all") {
    const found = closedAll(events, body);
    return found && { ...log, ...found };
  }
  const since = events.filter((event) => isAbout(event, kind, Number(id)));
  const done = since.findLast(({ data }) => says(data, body));
  if (!done)
    return since.length ? { ...log, ok: false, status: 409, document: { detail: CHANGED } } : null;
  return kind === "orders" ? { ...log, document: { order: done.data } } : call("GET", path);
}
