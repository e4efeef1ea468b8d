// @ts-check
/** The tab's title: the day's P&L, and only while it is true. */
import { signedMoney } from "./format.js";
import { everyHalfSecond, isLive, pnlIsOld, watch } from "./liveness.js";
import { model } from "./model.js";
import { client, isChanging } from "./stream.js";

/** Not once a frame: a page in the background has no frames, but it has a title. Not once a message
 * either: they are hundreds, and each would look at all positions. */
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
  client.on("status", retitle);
  everyHalfSecond(() => {
    watch();
    retitle();
  });
}
