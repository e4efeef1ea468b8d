// @ts-check
/** What WebSocket and EventSource can't do or hide, and a plain request can. */

/**
 * Status and problem document of a refusal.
 * @param {URL} url @param {AbortSignal} signal
 * @returns {Promise<{ status: number, problem?: any }>} status 0: nobody answered
 */
export async function askWhy(url, signal) {
  let status = 0;
  try {
    const response = await fetch(url, { signal });
    status = response.status;
    if (/json/.test(response.headers.get("content-type") ?? "")) {
      return { status, problem: await response.json() };
    }
    await response.body?.cancel();
  } catch {
    /* nobody there, or cut in the middle: no answer to report */
  }
  return { status };
}

/**
 * A WebSocket neither follows nor reports redirects; EventSource would follow, and stay there.
 * @param {URL} base @param {AbortSignal} signal
 * @returns {Promise<boolean | undefined>} undefined: nobody answers, or the page may not ask
 */
export async function askForRedirect(base, signal) {
  try {
    const { type, status } = await fetch(new URL("livez", base), { redirect: "manual", signal });
    // Browsers show no more than the type, Node.js the status.
    return type === "opaqueredirect" || (status >= 300 && status < 400);
  } catch {
    return undefined;
  }
}

/** A call was refused. */
export class Refusal extends Error {
  /** @param {number} status @param {any} problem */
  constructor(status, problem) {
    super(problem?.detail ?? `HTTP ${status}`);
    this.status = status;
    this.retryAfterMs = problem?.retryAfterMs;
  }
}

/**
 * A stream can't carry a token; a ticket in its query opens that stream, and nothing else. Throws
 * Refusal, and what fetch throws.
 * @param {URL} base @param {URL} stream @param {string} token @param {AbortSignal} signal
 * @returns {Promise<string | undefined>} undefined: the server wants none
 */
export async function askForTicket(base, stream, token, signal) {
  const query = new URLSearchParams(stream.searchParams);
  query.delete("lastEventId");
  const response = await fetch(new URL("api/auto-trader/tickets", base), {
    method: "POST",
    headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json" },
    body: JSON.stringify({ path: "/sse/auto-trader", query: `${query}` }),
    signal,
  });
  const isJson = /json/.test(response.headers.get("content-type") ?? "");
  const document = isJson ? await response.json() : undefined;
  if (response.ok) return document?.ticket;
  if (response.status !== 409) throw new Refusal(response.status, document);
}
