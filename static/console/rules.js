// @ts-check
/** The rules of the session on screen: how far each is from tripping, its halts, a form. */
import { $, attribute, el, keyed, put } from "./dom.js";
import { LAKH, money, time, whole, wholeMoney } from "./format.js";
import { clearProblems, fieldsOf, onOrder } from "./forms.js";
import { part, touchInBeat } from "./frame.js";
import { sentence } from "./halts.js";
import { model } from "./model.js";
import { typed } from "./numbers.js";
import { noteStanding } from "./standing.js";
import { client, isChanging, strayed } from "./stream.js";
import { inWords } from "./words.js";

/** A rule in words: its name, how far it is from tripping, and that as a share of it.
 * @typedef {{ name: string, text: string, share?: number }} Line */

const MOST_HALTS = 20;
/** The session whose rules are being changed, and these as the form was opened.
 * @type {number | null} */
let of = null;
let before = /** @type {Record<string, any>} */ ({});
const FIELDS = [
  "maxDailyLoss",
  "dailyTarget",
  "maxOrderValue",
  "maxTradesPerDay",
  "maxOpenTrades",
  "losingStreak",
  "cooldownSeconds",
  "squareOff",
];
/** @param {number} amount a round one, most often */
const limit = (amount) => (Number.isInteger(amount) ? wholeMoney(amount) : money(amount));

/** What is left of it: beside its name there is no room for the paise of lakhs.
 * @param {number} amount */
const rest = (amount) => (amount < LAKH ? money : wholeMoney)(amount);

/** @param {number} done @param {number} limit */
const share = (done, limit) => Math.min(1, Math.max(0, done / limit));

/** By member of `rules`. @type {Record<string, (rule: any, now: any) => Line>} */
const LINES = {
  maxDailyLoss: (most, { pnl, today }) => {
    const left = today?.lossLeft ?? most + pnl;
    return {
      name: `Daily loss ${limit(most)}`,
      text: left > 0 ? `${rest(left)} left` : "reached",
      share: share(most - left, most),
    };
  },
  dailyTarget: (goal, { pnl }) => ({
    name: `Daily target ${limit(goal)}`,
    text: pnl < goal ? `${rest(goal - pnl)} to go` : "reached",
    share: share(pnl, goal),
  }),
  profitLock: ({ armAt, floor }, { pnl, lock }) =>
    lock
      ? { name: `Profit lock at ${limit(lock.floor)}`, text: `armed, ${rest(pnl - floor)} above` }
      : {
          name: `Profit lock at ${limit(floor)}`,
          text: `armed in ${rest(Math.max(0, armAt - pnl))}`,
          share: share(pnl, armAt),
        },
  maxOrderValue: (most) => ({ name: "Value of an opening", text: `at most ${limit(most)}` }),
  maxTradesPerDay: (most, { today }) => ({
    name: `Trades a day ${whole(most)}`,
    text: today ? `${whole(today.trades)} today` : "",
    share: today && share(today.trades, most),
  }),
  maxOpenTrades: (most, { figures }) => ({
    name: `Open trades ${whole(most)}`,
    text: `${whole(figures.openTrades)} now`,
    share: share(figures.openTrades, most),
  }),
  losingStreak: (most, { today }) => ({
    name: `Losses in a row ${whole(most)}`,
    text: today ? `${whole(today.losingStreak)} so far` : "",
    share: today && share(today.losingStreak, most),
  }),
  cooldownSeconds: (seconds, { today }) => ({
    name: `Pause after a loss ${whole(seconds)} s`,
    text: today?.cooldownUntil ? `until ${time(today.cooldownUntil)}` : "",
  }),
  squareOff: (at) => ({ name: "Square-off", text: `at ${at} IST` }),
};

/** @returns {[string, Line][]} */
function lines() {
  const { figures } = model;
  if (!figures || model.session === null) return [];
  const { rules } = model.session;
  const pnl = (figures.netTodayPnL ?? figures.todayPnL) + figures.unrealizedPnL;
  const now = { pnl, figures, today: model.session.today, lock: model.session.lock };
  return Object.entries(LINES)
    .filter(([name]) => rules[name] !== undefined)
    .map(([name, line]) => [name, line(rules[name], now)]);
}

function makeLine() {
  const name = el("b");
  const text = el("span");
  const meter = el("meter", { min: "0", max: "1", low: "0.6", high: "0.85", optimum: "0" });
  return Object.assign(el("li", {}, name, meter, text), { parts: { name, text, meter } });
}

/** @param {any} row @param {Line} line */
function updateLine({ parts }, line) {
  put(parts.name, line.name);
  put(parts.text, line.text);
  parts.meter.hidden = line.share === undefined;
  parts.meter.value = line.share ?? 0;
  attribute(parts.meter, "aria-label", `${line.name}: ${line.text}`);
}

/** Halts and what lifted them, newest first; a change of a name or of rules repeats the status. */
function halts() {
  const changes = model.log.filter(({ type }) => type === "session_changed");
  const place = (/** @type {any} */ event) =>
    event ? `${event.data.status} ${event.data.statusReason ?? ""}` : "ACTIVE ";
  return changes
    .filter((event, index) => place(event) !== place(changes[index + 1]))
    .slice(0, MOST_HALTS);
}

function paint() {
  const found = lines();
  keyed($("rules-list"), found, makeLine, updateLine);
  $("no-rules").hidden = found.length > 0 || model.session === null;
  const changes = halts();
  $("halts-title").hidden = changes.length === 0;
  keyed(
    $("halts"),
    changes.map((event) => /** @type {[number, any]} */ ([event.seq, event])),
    () => el("li"),
    (row, { data }) =>
      put(row, `${data.status} · ${sentence({ data: { ...data, statusReason: data.reason } })}`),
  );
  const waived = model.session?.waived ?? [];
  put(
    $("waived"),
    waived.length ? `Waived on ${model.session.waivedOn}: ${waived.map(inWords).join(", ")}` : "",
  );
  $("change-rules-open").disabled = model.session === null || isChanging();
}

function openForm() {
  const form = $("change-rules");
  const { rules, sessionId } = model.session;
  of = sessionId;
  put($("rules-dialog-title"), `Rules of session ${sessionId}`);
  clearProblems(form);
  for (const name of FIELDS) form.elements[name].value = typed(rules[name]);
  form.elements.armAt.value = typed(rules.profitLock?.armAt);
  form.elements.floor.value = typed(rules.profitLock?.floor);
  before = rulesIn(fieldsOf(form));
  $("rules-dialog").showModal();
}

/** @param {Record<string, any>} fields @returns {Record<string, any>} null: the rule is not set */
function rulesIn({ armAt, floor, ...fields }) {
  const rules = Object.fromEntries(FIELDS.map((name) => [name, fields[name] ?? null]));
  return { ...rules, profitLock: armAt === undefined ? null : { armAt, floor } };
}

/** Only what was changed: somebody else may change the rest meanwhile. An empty field takes its
 * rule away. @param {Record<string, any>} fields */
async function asked(fields) {
  const { armAt, floor } = fields;
  if ((armAt === undefined) !== (floor === undefined)) {
    return `${armAt === undefined ? "armAt" : "floor"}: a profit lock needs both`;
  }
  if (strayed(of)) return strayed(of);
  const isNew = (/** @type {[string, any]} */ [name, rule]) =>
    JSON.stringify(rule) !== JSON.stringify(before[name]);
  const rules = Object.fromEntries(Object.entries(rulesIn(fields)).filter(isNew));
  if (Object.keys(rules).length)
    return { method: "PATCH", path: `sessions/${of}`, body: { rules } };
  $("rules-dialog").close();
  return null;
}

export function start() {
  part("rules", paint);
  client.on("session_update", () => touchInBeat("rules"));
  $("change-rules-open").addEventListener("click", openForm);
  onOrder($("change-rules"), asked, (session) => {
    noteStanding(session);
    return "";
  });
}
