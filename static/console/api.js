// @ts-check
/** The REST calls, by fetch. */
import { inIst } from "./format.js";

/** @type {(why: string) => void} */
let unauthorized = () => {};

/** Calls `listener` with the reason when a call is refused because nobody is signed in.
 * @param {(why: string) => void} listener */
export const onUnauthorized = (listener) => {
  unauthorized = listener;
};

/** How often somebody has signed in: a refusal of before that says nothing of now. */
let signIns = 0;
export const noteSignIn = () => {
  signIns += 1;
};

const base = new URL("../../api/auto-trader/", import.meta.url);

/** Calls whose caller deals with a 401 itself. */
const ASKS_WHO = new Set(["me", "sign-in", "sign-out"]);

/**
 * @typedef {object} Answer
 * @property {boolean} ok
 * @property {boolean} passing nobody knows whether it happened: repeat it with the same key
 * @property {number} status 0 if the server can't be reached
 * @property {any} document
 */

/**
 * @param {string} method
 * @param {string} path under /api/auto-trader/
 * @param {object} [body]
 * @param {{ key?: string, givenUp?: AbortSignal }} [more] `key`: the Idempotency-Key
 * @returns {Promise<Answer>}
 */
export async function call(method, path, body, { key, givenUp } = {}) {
  /** @type {Record<string, string>} */
  const headers = {};
  if (body) headers["Content-Type"] = "application/json";
  if (key) headers["Idempotency-Key"] = key;
  const timeout = AbortSignal.timeout(15_000);
  const before = signIns;
  try {
    const response = await fetch(new URL(path, base), {
      method,
      headers,
      body: body && JSON.stringify(body),
      signal: givenUp ? AbortSignal.any([timeout, givenUp]) : timeout,
    });
    const { ok, status } = response;
    const document = await response.json().catch((cut) => {
      if (ok && status !== 204) throw cut; // of its answer only a part came
      return { detail: `HTTP ${status}` };
    });
    if (status === 401 && !ASKS_WHO.has(path)) {
      if (before === signIns) unauthorized(document.detail);
      document.detail = "nobody is signed in any more";
    }
    return { ok, passing: status >= 500, status, document };
  } catch {
    const document = {
      detail: timeout.aborted ? "the server does not answer" : "the server can't be reached",
    };
    return { ok: false, passing: true, status: 0, document };
  }
}

/** All pages of a list as one answer, or the first that failed.
 * @param {string} path with a query @param {string} name the member that is the list
 * @returns {Promise<Answer>} */
export async function callAll(path, name) {
  const found = [];
  for (let after = ""; ; ) {
    const page = await call("GET", `${path}${after}`);
    if (!page.ok) return page;
    found.push(...page.document[name]);
    if (!page.document.next) return { ...page, document: { [name]: found } };
    after = `&after=${page.document.next}`;
  }
}

/** The last prices of symbols; of one that has none, nothing.
 * @param {string[]} symbols @returns {Promise<{ ok: boolean, prices: any[] }>} */
export async function pricesOf(symbols) {
  const { ok, document } = await call("GET", `prices?symbols=${symbols.map(encodeURIComponent)}`);
  return { ok, prices: ok ? document.prices : [] };
}

/** @param {Answer} answer what went wrong, for people */
export const reason = ({ document, status }) =>
  inIst(document.detail ?? document.title ?? `HTTP ${status}`);

/** `crypto.randomUUID` is missing on plain http away from localhost. */
export const newKey = () => crypto.getRandomValues(new Uint32Array(4)).join("-");
