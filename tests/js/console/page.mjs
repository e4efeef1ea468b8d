/** What modules of the page need besides Node.js, to be imported before them: a page that is not
 * looked at, whose frames never come, and a server that answers as a test says. */

globalThis.document = /** @type {any} */ ({ hidden: true });
globalThis.requestAnimationFrame = () => 0;
// The real one would keep the process from ending.
globalThis.MessageChannel = /** @type {any} */ (
  class {
    port1 = {};
    port2 = { postMessage() {} };
  }
);

/** @typedef {[status: number, document: any]} Said */

/** Answers each request by the next of the answers to its method and path, the last one for ever.
 * @param {Record<string, Said[]>} answers
 * @returns {{ method: string, path: string, headers: any }[]} what is asked from now on */
export function serve(answers) {
  /** @type {{ method: string, path: string, headers: any }[]} */
  const asked = [];
  globalThis.fetch = /** @type {any} */ (
    async (/** @type {URL} */ url, { method = "GET", headers = {} } = {}) => {
      const path = url.href.replace(/^.*auto-trader\//, "");
      asked.push({ method, path, headers });
      const left = answers[`${method} ${path}`];
      const [status, document] = (left.length > 1 ? left.shift() : left[0]) ?? [404, {}];
      return { ok: status < 400, status, json: async () => document };
    }
  );
  return asked;
}
