// @ts-check
/** The demo's own session: if a visitor stops it, the demo goes on in another. */
import { $ } from "./dom.js";
import { touch } from "./frame.js";

const ASK_MS = 2000;
let demoSession = Number(document.body.dataset.demo ?? 0);
let isAsking = false;

/** The page as the server would write it now says which session the demo trades. */
async function ask() {
  const page = await fetch(new URL("../../", import.meta.url))
    .then((answer) => answer.text())
    .catch(() => "");
  const { demo } = new DOMParser().parseFromString(page, "text/html").body.dataset;
  isAsking = false;
  if (demo) demoSession = Number(demo);
  touch("session");
}

/** @param {number | null} shown the session on screen @param {string} status its own
 * @returns {string} where the demo went, if it left this session */
export function demoNote(shown, status) {
  const hasLeft = demoSession > 0 && status === "STOPPED";
  const isKnown = demoSession !== shown;
  $("demo-link").hidden = !hasLeft || !isKnown;
  if (!hasLeft) return "";
  if (!isKnown && !isAsking) {
    isAsking = true;
    setTimeout(ask, ASK_MS);
  }
  $("demo-link").href = `?session=${demoSession}`;
  $("demo-link").textContent = `Show session ${demoSession}`;
  const goesOn = isKnown
    ? `The demo goes on in session ${demoSession}.`
    : "The demo goes on in another one soon.";
  return `Session ${shown} is STOPPED, which is final. ${goesOn}`;
}
