// @ts-check
/** Pictures of gains and losses: a calendar of days, and bars. Signs stand beside the colours; the
 * numbers are in the table. */
import { attribute, el, keyed, nameOf } from "./dom.js";
import { arrow, DAY_MS, roundMoney, shortMoney, signedMoney, tone } from "./format.js";

/** @typedef {{ key: string, value: number }} Value */

const MOST_WEEKS = 13;
const MOST_BARS = 24;
const WEEKDAYS = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
const month = new Intl.DateTimeFormat("en-GB", { month: "short", timeZone: "UTC" });

/** The days of whole weeks around those that have a value, the newest weeks.
 * @param {Value[]} values @returns {string[]} */
function days(values) {
  if (!values.length) return [];
  const weekday = (/** @type {number} */ ms) => (new Date(ms).getUTCDay() + 6) % 7;
  const last = Date.parse(values[values.length - 1].key);
  const end = last + (6 - weekday(last)) * DAY_MS;
  const first = Date.parse(values[0].key);
  const begin = Math.max(first - weekday(first) * DAY_MS, end + DAY_MS * (1 - 7 * MOST_WEEKS));
  const found = [];
  for (let day = begin; day <= end; day += DAY_MS)
    found.push(new Date(day).toISOString().slice(0, 10));
  return found;
}

/** "1" of a month with its name, as the first day of all. @param {string} day @param {number} n */
function dayName(day, n) {
  const number = String(Number(day.slice(8)));
  return n === 0 || number === "1" ? `${number} ${month.format(new Date(day))}` : number;
}

/** A square a day. @param {HTMLElement} picture @param {Value[]} values by day, in order
 * @returns {string} what is not in it */
export function paintCalendar(picture, values) {
  const known = new Map(values.map(({ key, value }) => [key, value]));
  const heads = values.length ? WEEKDAYS : [];
  const shown = days(values);
  const squares = shown.map((day, n) => ({ day: dayName(day, n), value: known.get(day) }));
  /** @type {[string, { day: string, value?: number, isHead?: boolean }][]} */
  const cells = [
    ...heads.map((day) => /** @type {any} */ ([day, { day, isHead: true }])),
    ...squares.map((square, n) => /** @type {any} */ ([`${n}`, square])),
  ];
  paintCells(picture, "calendar", cells, (cell, { day, value, isHead }) => {
    const isKnown = value !== undefined;
    cell.className = isHead ? "head" : `day ${isKnown ? tone(value) || "even" : ""}`;
    const amount = isKnown ? `${arrow(value)} ${roundMoney(Math.abs(value))}`.trim() : "";
    cell.replaceChildren(el("span", {}, day), el("b", {}, amount));
  });
  describe(picture, "P&L by day", values);
  const isCut = values.length > 0 && values[0].key < shown[0];
  return isCut ? `The calendar shows the newest ${MOST_WEEKS} weeks.` : "";
}

/** A bar a value. @param {HTMLElement} picture @param {Value[]} values
 * @returns {string} what is not in it */
export function paintBars(picture, values) {
  const drawn = values.slice(-MOST_BARS);
  const most = Math.max(...drawn.map(({ value }) => Math.abs(value)), 0) || 1;
  const cells = drawn.map((value, n) => /** @type {[string, Value]} */ ([`${n}`, value]));
  paintCells(picture, "bars", cells, (cell, { key, value }) => {
    cell.className = `stripe ${tone(value)}`;
    const bar = el("i");
    bar.style.width = `${(Math.abs(value) / most) * 100}%`;
    const amount = `${arrow(value)} ${shortMoney(Math.abs(value))}`.trim();
    cell.replaceChildren(el("span", {}, ...nameOf(key)), el("b", {}, bar), el("small", {}, amount));
  });
  describe(picture, "P&L as bars", values);
  return values.length > MOST_BARS ? `The bars are the last ${MOST_BARS} of ${values.length}.` : "";
}

/** @param {HTMLElement} picture @param {string} kind @param {[string, any][]} cells
 * @param {(cell: HTMLElement, what: any) => void} update */
function paintCells(picture, kind, cells, update) {
  if (picture.className !== kind) {
    keyed(picture, [], () => el("div"));
    picture.className = kind;
  }
  keyed(picture, cells, () => el("div"), update);
}

/** @param {Value} value */
const said = ({ key, value }) => `${key} ${signedMoney(value)}`;

/** @param {HTMLElement} picture @param {string} what @param {Value[]} values */
function describe(picture, what, values) {
  picture.hidden = values.length === 0;
  const by = [...values].sort((one, other) => one.value - other.value);
  const [worst, best] = [by[0], by[by.length - 1]];
  const ends = values.length ? `: best ${said(best)}, worst ${said(worst)}` : "";
  attribute(picture, "aria-label", `${what}${ends}`);
}
