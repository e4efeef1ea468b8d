// @ts-check
/** What the server's texts say. */

/** @param {string} text @returns {any} its message; an error if it is none */
export function parsed(text) {
  try {
    const message = JSON.parse(text);
    if (typeof message?.type === "string") return message;
  } catch {
    /* not JSON */
  }
  const message = `the server sent no message: ${text}`.slice(0, 200);
  return { type: "error", code: "bad_json", message };
}
