// @ts-check
/** Sends a change, and asks again until its outcome is known. */
import { call, newKey, reason } from "./api.js";

/** @typedef {import("./api.js").Answer} Answer */

const RETRY_MS = 1000;
const RETRY_MAX_MS = 5000;
/** After so long without an answer there is more to say than "sending". */
const SLOW_MS = 3000;

/** @param {number} ms @param {AbortSignal} [givenUp] ends it early */
const pause = (ms, givenUp) =>
  new Promise((resolve) => {
    setTimeout(resolve, ms);
    givenUp?.addEventListener("abort", resolve, { once: true });
  });

/**
 * One press is one order: all its attempts have the same key, the next press has another. What may
 * be repeated as it is takes none.
 * @param {string} method
 * @param {string} path
 * @param {object | undefined} body
 * @param {(how: string, isOpen: boolean) => void} tell says how it stands, from the press on;
 *   `isOpen`: it takes longer than it should, and nobody knows what became of it
 * @param {AbortSignal} [givenUp] the user has stopped asking
 * @returns {Promise<Answer>} `passing` only if it was given up
 */
export async function settle(method, path, body, tell, givenUp) {
  const isIdempotent = method !== "POST" || path.endsWith("/close-all");
  const key = isIdempotent ? undefined : newKey();
  tell("Sending…", false);
  const slow = setTimeout(() => tell("Sending… no answer yet.", true), SLOW_MS);
  for (let waitMs = RETRY_MS; ; waitMs = Math.min(2 * waitMs, RETRY_MAX_MS)) {
    const answer = await call(method, path, body, { key, givenUp });
    clearTimeout(slow);
    if (!answer.passing || givenUp?.aborted) return answer;
    tell(
      `Not known yet whether it was done: ${reason(answer)}. Asking again; nothing is done twice.`,
      true,
    );
    await pause(waitMs, givenUp);
    if (givenUp?.aborted) return answer;
  }
}
