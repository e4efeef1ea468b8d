// @ts-check
/** Announces trades and errors: a toast, which screen readers read, a sound, a notification. */

import { $, el } from "./dom.js";
import { price, signedMoney, tone, whole } from "./format.js";
import { isReplaying } from "./model.js";
import { recall, remember } from "./remembered.js";
import { client } from "./stream.js";
import { inWords } from "./words.js";

const MOST = 2;
const SHOWN_MS = 6000;
const ERROR_MS = 12_000;
/** Rising for a gain, falling for a loss. @type {Record<string, number[]>} Hz */
const TUNES = {
  opened: [660],
  gain: [660, 990],
  loss: [520, 350],
  alarm: [880, 880, 880],
  "": [520],
};

let sound = recall("sound") === "on";
let notifications = recall("notify") === "on" && globalThis.Notification?.permission === "granted";
/** @type {AudioContext | undefined} */
let audio;
let missed = 0;

/** It disappears by itself, though not under the pointer or in a hidden tab, and on a click.
 * @param {string} place @param {string} text @param {string} kind @param {number} ms */
function toast(place, text, kind, ms) {
  const list = $(place);
  const item = el("p", { class: `toast ${kind}` }, text);
  list.append(item);
  while (list.childElementCount > MOST) list.firstElementChild.remove();
  const go = () => {
    if (document.hidden) document.addEventListener("visibilitychange", goLater, { once: true });
    else item.remove();
  };
  let going = setTimeout(go, ms);
  const goLater = () => {
    going = setTimeout(go, ms);
  };
  item.addEventListener("pointerenter", () => clearTimeout(going));
  item.addEventListener("pointerleave", goLater);
  item.addEventListener("click", () => item.remove());
}

/** @param {string} text */
export const say = (text) => toast("toasts", text, "", SHOWN_MS);
/** Whether the question who is there covers all else. */
export const isCovered = () => $("sign-in-dialog").open;
/** @param {HTMLElement} list @param {string} text */
function forget(list, text) {
  for (const same of list.children) if (same.textContent === text) same.remove();
}
/** @param {string} text */
function warn(text) {
  forget($("alerts"), text);
  toast("alerts", text, "loss", ERROR_MS);
}
/** @param {string} text */
export function complain(text) {
  if (!isCovered()) return warn(text);
  forget($("sign-in-missed"), text);
  $("sign-in-missed").append(el("p", {}, text)); // it must not go unread
}

/** What came while it was covered, once more: the question may have gone by itself. */
export function complainAgain() {
  for (const { textContent } of $("sign-in-missed").children) warn(textContent);
  $("sign-in-missed").replaceChildren();
}

/** @param {string} name of the tune */
function play(name) {
  if (!sound) return;
  audio ??= new AudioContext();
  audio.resume();
  TUNES[name].forEach((hertz, index) => {
    const { oscillator, volume } = voice(/** @type {AudioContext} */ (audio));
    const at = /** @type {AudioContext} */ (audio).currentTime + index * 0.13;
    oscillator.frequency.value = hertz;
    volume.gain.setValueAtTime(0.0001, at);
    volume.gain.exponentialRampToValueAtTime(0.12, at + 0.015);
    volume.gain.exponentialRampToValueAtTime(0.0001, at + 0.22);
    oscillator.start(at);
    oscillator.stop(at + 0.25);
  });
}

/** @param {AudioContext} context */
function voice(context) {
  const oscillator = context.createOscillator();
  const volume = context.createGain();
  oscillator.connect(volume).connect(context.destination);
  return { oscillator, volume };
}

/** @param {string} text @param {string} kind @param {string} tune */
function tell(text, kind, tune) {
  if (isReplaying()) {
    missed += 1; // told as one, when all are there
    return;
  }
  toast("toasts", text, kind, SHOWN_MS);
  play(tune);
  notice(text);
}

/** For those who look elsewhere. @param {string} text */
function notice(text) {
  if (notifications && document.hidden) new Notification("vyomo-rt", { body: text, tag: text });
}

/** What must not go unnoticed. @param {string} text */
export function alarm(text) {
  warn(text);
  play("alarm");
  notice(text);
}

/** @param {HTMLButtonElement} button @param {boolean} on */
const press = (button, on) => button.setAttribute("aria-pressed", String(on));

export function toggleSound() {
  sound = !sound;
  remember("sound", sound ? "on" : null);
  press($("sound"), sound);
  play("opened");
}

async function toggleNotifications() {
  if (!notifications && globalThis.Notification === undefined) {
    return complain(
      "This browser shows notifications only for pages from localhost or over https.",
    );
  }
  notifications = !notifications && (await Notification.requestPermission()) === "granted";
  if (!notifications && Notification.permission === "denied") {
    complain("Notifications are blocked: allow them in the browser's settings of this page.");
  }
  remember("notify", notifications ? "on" : null);
  press($("notify"), notifications);
}

export function start() {
  press($("sound"), sound);
  press($("notify"), notifications);
  $("sound").addEventListener("click", toggleSound);
  $("notify").addEventListener("click", toggleNotifications);
  document.addEventListener("keydown", ({ key }) => {
    if (key !== "Escape" || document.querySelector("dialog[open]")) return;
    for (const list of [$("toasts"), $("alerts")]) list.replaceChildren();
  });
  client.on("trade_opened", ({ data }) => {
    const { side, quantity, symbol, entryPrice } = data;
    tell(`Opened ${side} ${whole(quantity)} ${symbol} at ${price(entryPrice)}`, "", "opened");
  });
  client.on("trade_closed", ({ data }) => {
    const why = inWords(data.exitReason);
    tell(
      `Closed ${data.symbol} ${signedMoney(data.pnl)} (${why}) at ${price(data.exitPrice)}`,
      tone(data.pnl),
      tone(data.pnl),
    );
  });
  client.on("session_update", () => {
    const events = missed === 1 ? "trade event" : "trade events";
    if (missed) say(`${whole(missed)} ${events} while you were away: see the log`);
    missed = 0;
  });
  client.on("error", ({ message, command, code }) => {
    if (code === "unauthorized") return; // it is asked who is there
    if (!command?.endsWith("_prices")) complain(message); // those stand beside their field
  });
}
