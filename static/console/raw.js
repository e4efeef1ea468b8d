// @ts-check
/** The newest messages as they came, in the drawer. */
import { $, copy, el, put } from "./dom.js";
import { time, whole } from "./format.js";
import { part, touch } from "./frame.js";

const KEPT = 1000;
const SHOWN = 200;
const PAINT_MS = 250;

/** @typedef {{ at: number, text: string }} Line */
/** The newest, by their number. @type {Line[]} */
let ring = [];
let count = 0;
/** @type {Line[] | null} what stands still while paused */
let held = null;
/** @type {Line | undefined} the newest that was painted; another filter paints all anew */
let painted;
let filter = /** @type {(text: string) => boolean} */ (() => true);

/** @param {string} text */
export function note(text) {
  ring[count % KEPT] = { at: Date.now(), text };
  count += 1;
}

/** Oldest first. */
const kept = () => [...ring.slice(count % KEPT), ...ring.slice(0, count % KEPT)];

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
const shown = () => (held ?? kept()).filter(({ text }) => filter(text)).reverse();

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
    held = held ? null : kept();
    $("raw-pause").setAttribute("aria-pressed", String(held !== null));
    repaint();
  });
  $("raw-clear").addEventListener("click", () => {
    ring = [];
    count = 0;
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
