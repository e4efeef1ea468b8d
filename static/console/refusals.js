// @ts-check
/** Which rule of the session would refuse an opening, so that it is known before it is sent. */
import { minute, money, time, whole } from "./format.js";
import { marketNowMs } from "./market.js";
import { model } from "./model.js";

/** @typedef {import("./forms.js").Fields} Fields */

/** By member of `rules`; empty where it would let the order pass.
 * @type {Record<string, (rule: any, value: number) => string>} */
const RULES = {
  maxOrderValue: (most, value) =>
    value > most ? `one opening is worth ${money(most)} at most` : "",
  maxTradesPerDay: (most) =>
    model.session.today?.trades >= most ? `${whole(most)} trades a day are opened already` : "",
  maxOpenTrades: (most) =>
    (model.figures?.openTrades ?? 0) >= most ? `${whole(most)} trades are open already` : "",
  cooldownSeconds: () => {
    const until = model.session.today?.cooldownUntil;
    return until && Date.parse(until) > marketNowMs()
      ? `a pause after a loss lasts until ${time(until)} IST`
      : "";
  },
  squareOff: (at) => (minute(marketNowMs()) >= at ? `trades were squared off at ${at} IST` : ""),
};

/** Why the server would refuse to open this now; empty if no rule is in the way.
 * @param {Fields} fields @param {number | undefined} fill what it would be filled at */
export function refusalOf({ quantity }, fill) {
  const status = model.figures?.status;
  if (status === "PAUSED" || status === "HALTED")
    return `The session is ${status}: it opens nothing.`;
  if (model.session === null) return "";
  const value = Number.isInteger(quantity) && fill !== undefined ? fill * quantity : 0;
  const why = Object.entries(RULES)
    .filter(([name]) => model.session.rules[name] !== undefined)
    .map(([name, refuses]) => refuses(model.session.rules[name], value))
    .find(Boolean);
  return why ? `A rule of the session refuses it: ${why}.` : "";
}
