// @ts-check
/** The tab's title: the day's P&L, and only while it is true. */
import { signedMoney } from "./format.js";
import { everyHalfSecond, isLive, pnlIsOld, watch } from "./liveness.js";
import { model } from "./model.js";
import { client, isChanging } from "./stream.js";

/** Not once per frame: a page in the background has no frames, but it has a title. */
function retitle() {
  const { figures: data, sessionId } = model;
  const state = !data
    ? ""
    : isChanging()
      ? "another session"
      : !isLive()
        ? "not live"
        : pnlIsOld()
          ? "stale prices"
          : signedMoney(data.todayPnL + data.unrealizedPnL);
  const title = data ? `${state} · Session ${sessionId} · vyomo-rt` : "vyomo-rt console";
  if (document.title !== title) document.title = title;
}

export function start() {
  for (const type of /** @type {const} */ ([
    "session_update",
    "pnl_update",
    "feed_status",
    "status",
  ])) {
    client.on(type, retitle);
  }
  everyHalfSecond(() => {
    watch();
    retitle();
  });
}
