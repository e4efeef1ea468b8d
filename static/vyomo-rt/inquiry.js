// @ts-check
/** What WebSocket and EventSource hide about a failed opening, and a plain request shows. */

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
