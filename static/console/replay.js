// @ts-check
/** A recorded day that is played: its clock, its pause and its speed. */
import { call } from "./api.js";
import { $, put } from "./dom.js";
import { dateTime } from "./format.js";
import { noteFeed, replayTime } from "./market.js";
import { model } from "./model.js";
import { complain } from "./notify.js";

/** @type {HTMLSelectElement} */
const speed = $("replay-rate");

export function paintReplay() {
  const marketMs = replayTime();
  $("replay").hidden = marketMs === null;
  if (marketMs === null || !model.feed) return;
  const { paused, rate } = model.feed;
  put($("replay-time"), dateTime(marketMs));
  put($("replay-pause"), paused ? "Go on" : "Pause");
  if (document.activeElement !== speed) show(String(rate));
  // With access control only those may who administer the server.
  $("replay-controls").hidden = (document.body.dataset.role ?? "admin") !== "admin";
}

/** A speed that somebody set elsewhere may be none of those to choose from. @param {string} rate */
function show(rate) {
  if (![...speed.options].some((option) => option.value === rate))
    speed.add(new Option(`${rate}×`, rate));
  speed.value = rate;
}

/** @param {object} body */
async function change(body) {
  const { ok, document: answer } = await call("PATCH", "replay", body);
  if (!ok) return complain(answer.detail);
  const { marketTime, rate, paused } = answer;
  if (!model.feed) return;
  noteFeed({ ...model.feed, marketTime, rate, paused });
  paintReplay();
}

export function start() {
  $("replay-pause").addEventListener("click", () => change({ paused: !model.feed?.paused }));
  speed.addEventListener("change", () => {
    change({ rate: speed.value === "max" ? "max" : Number(speed.value) });
    speed.blur();
  });
}
