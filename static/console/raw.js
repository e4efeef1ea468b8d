// @ts-check
/** The newest messages as they came, in the drawer. */
import { $, copy, el, put } from "./dom.js";
import { time, whole } from "./format.js";
import { part, touch } from "./frame.js";

const KEPT = 1000;
const SHOWN = 200;
const PAINT_MS = 250;

/** @typedef {{ at: number, text: string }} Line */
/** @type {Line[]} oldest first */
let lines = [];
/** @type {Line[] | null} what stands still while paused */
let held = null;
/** @type {Line | undefined} the newest that was painted; another filter paints all anew */
let painted;
let filter = /** @type {(text: string) => boolean} */ (() => true);

/** @param {string} text */
export function note(text) {
  lines.push({ at: Date.now(), text });
  if (lines.length > 2 * KEPT) lines = lines.slice(-KEPT);
}

/** All words must occur, those after a `-` must not. @param {string} query */
function matcher(query) {
  const words = query
    .toLowerCase()
    .split(/\s+/)
    .filter((word) => word && word !== "-");
  return (/** @type {string} */ text) => {
    const low = text.toLowerCase();
    return words.every((word) =>
      word[0] === "-" ? !low.includes(word.slice(1)) : low.includes(word),
    );
  };
}

/** @returns {Line[]} newest first */
const shown = () =>
  (held ?? lines)
    .slice(-KEPT)
    .filter(({ text }) => filter(text))
    .reverse();

function paint() {
  if ($("drawer").hidden) return;
  const found = shown();
  put($("raw-count"), `${whole(found.length)} kept${held ? " · paused" : ""}`);
  const known = painted ? found.indexOf(painted) : -1;
  const added = found.slice(0, known < 0 ? SHOWN : known).slice(0, SHOWN);
  const items = added.map(({ at, text }) =>
    el("li", {}, el("time", {}, time(at)), el("code", {}, text)),
  );
  if (known < 0) $("raw").replaceChildren(...items);
  else $("raw").prepend(...items);
  while ($("raw").childElementCount > SHOWN) $("raw").lastElementChild.remove();
  painted = found[0];
}

/** Everything anew: another filter, or none of the old lines. */
function repaint() {
  painted = undefined;
  touch("raw");
}

export function start() {
  part("raw", paint);
  setInterval(() => {
    if (!$("drawer").hidden && !held) touch("raw");
  }, PAINT_MS);
  $("raw-tools").addEventListener("submit", (/** @type {Event} */ event) => event.preventDefault());
  $("raw-filter").addEventListener("input", () => {
    filter = matcher($("raw-filter").value);
    repaint();
  });
  $("raw-pause").addEventListener("click", () => {
    held = held ? null : lines.slice();
    $("raw-pause").setAttribute("aria-pressed", String(held !== null));
    repaint();
  });
  $("raw-clear").addEventListener("click", () => {
    lines = [];
    if (held) held = [];
    repaint();
  });
  $("raw-copy").addEventListener("click", async () => {
    const found = shown();
    const done = await copy(
      found
        .map(({ text }) => text)
        .reverse()
        .join("\n"),
    );
    put(
      $("copied"),
      done
        ? `${whole(found.length)} messages copied, oldest first`
        : "Copying is not allowed here.",
    );
  });
}
