// @ts-check
/** Sends a change, and asks again until its outcome is known. */
import { call, newKey, reason } from "./api.js";
import { model, newestSeq } from "./model.js";
import { outcomeOf } from "./repeating.js";

/** @typedef {import("./api.js").Answer} Answer */

const RETRY_MS = 1000;
const RETRY_MAX_MS = 5000;
/** After so long without an answer there is more to say than "sending". */
const SLOW_MS = 3000;
/** Refusals of the one who asks: of what was asked before they say nothing. */
const OF_THE_ASKER = new Set([401, 403]);
const TOO_MANY = 429;

/** @param {number} ms @param {AbortSignal} [givenUp] ends it early */
const pause = (ms, givenUp) =>
  new Promise((resolve) => {
    setTimeout(resolve, ms);
    givenUp?.addEventListener("abort", resolve, { once: true });
  });

/** What asks once more. What takes a key is sent again with it, for the server knows it by that; of
 * the rest the session's events are looked through first. To end an entry or a session that is not
 * on screen once more changes nothing.
 * @param {string} method @param {string} path @param {object | undefined} body
 * @param {AbortSignal} [givenUp] */
function repeater(method, path, body, givenUp) {
  const isIdempotent = method !== "POST" || path.endsWith("/close-all");
  const key = isIdempotent ? undefined : newKey();
  const send = () => call(method, path, body, { key, givenUp });
  const { sessionId } = model;
  const isElsewhere = path.startsWith("sessions/") && Number(path.split("/")[1]) !== sessionId;
  if (key || method === "DELETE" || sessionId === null || isElsewhere) return { send, again: send };
  const from = { sessionId, seq: newestSeq };
  return { send, again: async () => (await outcomeOf(path, body, from)) ?? send() };
}

/**
 * One press is one order, however often it is asked for: the next press is another.
 * @param {string} method
 * @param {string} path
 * @param {object | undefined} body
 * @param {(how: string, isOpen: boolean) => void} tell says how it stands, from the press on;
 *   `isOpen`: it takes longer than it should, and nobody knows what became of it
 * @param {AbortSignal} [givenUp] the user has stopped asking
 * @returns {Promise<Answer>} `passing` only if it was given up
 */
export async function settle(method, path, body, tell, givenUp) {
  const { send, again } = repeater(method, path, body, givenUp);
  tell("Sending…", false);
  const slow = setTimeout(() => tell("Sending… no answer yet.", true), SLOW_MS);
  let answer = await send();
  clearTimeout(slow);
  if (!answer.passing) return answer;
  for (let waitMs = RETRY_MS; ; waitMs = Math.min(2 * waitMs, RETRY_MAX_MS)) {
    if (givenUp?.aborted) return answer;
    tell(
      `Not known yet whether it was done: ${reason(answer)}. Asking again; nothing is done twice.`,
      true,
    );
    await pause(waitMs, givenUp);
    if (givenUp?.aborted) return answer;
    answer = await again();
    if (OF_THE_ASKER.has(answer.status)) return stillOpen(answer);
    if (!answer.passing && answer.status !== TOO_MANY) return answer;
  }
}

/** @param {Answer} answer @returns {Answer} */
const stillOpen = (answer) => ({
  ...answer,
  document: {
    detail: `${reason(answer)}. It may have been done before: look before you send it again`,
  },
});
