// @ts-check
/** The time of the server, by which it decides: a browser's clock may be wrong by minutes. */

const KEPT = 16;
/** How far the server's clock was ahead, by its newest messages. @type {number[]} */
const aheadMs = [];

/** @param {string} timestamp of a message that has just come */
export function noteServerTime(timestamp) {
  aheadMs.push(Date.parse(timestamp) - Date.now());
  if (aheadMs.length > KEPT) aheadMs.shift();
}

/** By the message that took the shortest way. */
export const serverNowMs = () => Date.now() + (aheadMs.length ? Math.max(...aheadMs) : 0);
