// @ts-check
/** Whether what is on screen is true now: the connection, and since when it is not. */
import { serverNowMs } from "./clock.js";
import { $, attribute, put } from "./dom.js";
import { paintFeed } from "./feed.js";
import { age, time } from "./format.js";
import { part, touch, touchInBeat } from "./frame.js";
import { silentForMs } from "./liveness.js";
import { model } from "./model.js";
import { client, reconnect } from "./stream.js";

const BLINK_MS = 500;
const NAMES = { ws: "WebSocket", sse: "SSE" };
let retryAt = 0;
let wasLost = false;
/** When the connection was last open. */
let openUntil = -Infinity;
/** Of several servers, the one that the stream comes from. */
let node = "";

/** When the last message came; empty before the first. */
const since = () => (model.heardAtWallMs ? `as of ${time(model.heardAtWallMs)}` : "");

/** From which server, where there are several. */
const from = () => (node ? ` · node ${node.slice(0, 6)}` : "");

function paint() {
  const { state, transport, detail } = client.status;
  if (state === "open") openUntil = performance.now();
  const silentMs = silentForMs();
  // Over SSE each change is a new connection, which is not worth a message. A quick retry of a line
  // that was shown as lost is not such a change.
  const changing =
    state === "connecting" &&
    document.body.dataset.link !== "lost" &&
    performance.now() - openUntil < BLINK_MS;
  const link = state !== "open" && !changing ? "lost" : silentMs ? "silent" : "live";
  if (link === "live") put($("announcer"), wasLost ? "Live again." : "");
  else if (since()) {
    if (document.body.dataset.link === "live")
      put($("announcer"), `Not live: figures are ${since()} IST.`);
    wasLost = true;
  }
  document.body.dataset.link = link;
  touchInBeat("past");
  const seconds = Math.max(0, Math.ceil((retryAt - performance.now()) / 1000));
  const texts = {
    open: silentMs ? `Silent for ${age(silentMs)}` : `Live · ${NAMES[transport]}${from()}`,
    connecting: "Connecting…",
    waiting: retryAt ? `Reconnecting in ${seconds} s` : "Waiting",
    closed: "Disconnected",
  };
  put($("link-text"), texts[state]);
  attribute($("link"), "data-state", { live: "good", silent: "warn", lost: "bad" }[link]);
  for (const element of document.querySelectorAll(".asof"))
    put(element, link === "live" ? "" : since());
  const figures = since() ? `Figures are ${since()} IST. ` : "";
  // Before the first message nothing is lost yet: it connects, or waits for a sign-in.
  $("link-banner").hidden = link === "live" || (!since() && state !== "waiting");
  put(
    $("link-banner-text"),
    link === "silent"
      ? `${figures}The server fell silent.`
      : `${figures}${state === "closed" ? "" : `${texts[state]}: `}${detail}`,
  );
  paintFeed(link === "live");
}

export function start() {
  part("link", paint);
  client.on("status", ({ retryInMs }) => {
    retryAt = retryInMs === undefined ? 0 : performance.now() + retryInMs;
  });
  client.on("ack", (ack) => {
    node = ack.node ?? "";
    touch("link");
  });
  $("reconnect").addEventListener("click", reconnect);
  setInterval(() => {
    put($("clock"), time(serverNowMs()));
    touchInBeat("link");
  }, 500);
}
