// @ts-check
/** Numbers in Indian digits, money in ₹, times in Asia/Kolkata: the zone of the trading day. */

export const LAKH = 100_000;
export const DAY_MS = 86_400_000;
/** India's clock before UTC. */
export const IST_AHEAD_MS = 19_800_000;
const NONE = "–";

/** @param {Intl.NumberFormatOptions} options */
const formatter = (options) => {
  const { format } = new Intl.NumberFormat("en-IN", options);
  return (/** @type {number | null | undefined} */ value) =>
    value === null || value === undefined ? NONE : format(value).replace("-", "−");
};
const rupees = { style: /** @type {const} */ ("currency"), currency: "INR" };

export const money = formatter(rupees);
/** With its sign, so that the colour only repeats what stands there. */
export const signedMoney = formatter({ ...rupees, signDisplay: "exceptZero" });
/** In a sentence: no line ends behind a sign. @param {string} text */
export const unbroken = (text) => text.replaceAll("−₹", "−\u2060₹");
export const wholeMoney = formatter({ ...rupees, maximumFractionDigits: 0 });
const signedWholeMoney = formatter({
  ...rupees,
  maximumFractionDigits: 0,
  signDisplay: "exceptZero",
});
/** For the axis of a chart: ₹1.5L, ₹2Cr. */
export const shortMoney = formatter({
  ...rupees,
  notation: "compact",
  minimumFractionDigits: 0,
  maximumFractionDigits: 2,
});
/** Where there is little room: ₹76.5, ₹12.3K. */
export const roundMoney = formatter({
  ...rupees,
  notation: "compact",
  maximumSignificantDigits: 3,
});
/** Indices and currencies are not in ₹: a price carries no sign. */
export const price = formatter({ minimumFractionDigits: 2, maximumFractionDigits: 4 });
export const whole = formatter({ maximumFractionDigits: 0 });
const twoDigits = { minimumFractionDigits: 2, maximumFractionDigits: 2 };
const percentDigits = formatter(twoDigits);
const signedPercentDigits = formatter({ ...twoDigits, signDisplay: "exceptZero" });
/** @param {number | null | undefined} value */
export const percent = (value) => withUnit(percentDigits(value));
/** @param {number | null | undefined} value */
export const signedPercent = (value) => withUnit(signedPercentDigits(value));
const signedWholeDigits = formatter({ maximumFractionDigits: 0, signDisplay: "exceptZero" });
/** @param {number | null | undefined} value */
export const signedWholePercent = (value) => withUnit(signedWholeDigits(value));
/** @param {string} text */
const withUnit = (text) => (text === NONE ? text : `${text}%`);

/** @param {number | null | undefined} value @returns {"gain" | "loss" | ""} */
export const tone = (value) => (value ? (value > 0 ? "gain" : "loss") : "");
/** @param {number | null | undefined} value */
export const arrow = (value) => (value ? (value > 0 ? "▲" : "▼") : "");

/** With an arrow besides its sign: ▲ +₹52.50. @param {(value: number) => string} signed */
const withArrow = (signed) => (/** @type {number} */ value) =>
  `${arrow(value)} ${signed(value)}`.trim();
export const arrowMoney = withArrow(signedMoney);
export const wholeArrowMoney = withArrow(signedWholeMoney);

/** @param {Intl.DateTimeFormatOptions} options */
const timeFormatter = (options) => {
  const { format } = new Intl.DateTimeFormat("en-GB", { timeZone: "Asia/Kolkata", ...options });
  return (/** @type {number | string} */ at) => format(new Date(at));
};
/** hh:mm:ss, IST. */
export const time = timeFormatter({ hour: "2-digit", minute: "2-digit", second: "2-digit" });
/** hh:mm, IST. */
export const minute = timeFormatter({ hour: "2-digit", minute: "2-digit" });
/** Day and month, IST. */
export const day = timeFormatter({ day: "2-digit", month: "short" });
/** Day, month and time, IST. */
export const dateTime = timeFormatter({
  day: "2-digit",
  month: "short",
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
});

const dateFormat = new Intl.DateTimeFormat("en-CA", { timeZone: "Asia/Kolkata" });
/** The date in India, yyyy-mm-dd. @param {number | string} at */
export const istDate = (at) => dateFormat.format(new Date(at));

/** With its date only where it is of another day. @param {string} at */
export const moment = (at) => (isNear(at) ? time(at) : dateTime(at));

/** @param {string} at */
const isNear = (at) => Math.abs(Date.now() - Date.parse(at)) < DAY_MS / 2;

/** The server writes moments in UTC; this page shows none, and a date only where it matters.
 * @param {string} text */
export const inIst = (text) =>
  text.replace(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, (at) => `${moment(at)} IST`);

/** A duration in its largest unit; under a second it doesn't count along. @param {number} ms */
export function age(ms) {
  if (!(ms >= 1000)) return "now";
  if (ms < 60_000) return `${Math.floor(ms / 1000)} s`;
  if (ms < 3_600_000) return `${Math.floor(ms / 60_000)} min`;
  return ms < 2 * DAY_MS ? `${Math.floor(ms / 3_600_000)} h` : `${Math.floor(ms / DAY_MS)} days`;
}
