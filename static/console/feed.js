// @ts-check
/** How the price sources are doing, and the market, always in words. */
import { $, attribute, put } from "./dom.js";
import { inIst } from "./format.js";
import { marketWords } from "./market.js";
import { model } from "./model.js";
import { paintReplay } from "./replay.js";
import { client } from "./stream.js";

/** @typedef {NonNullable<typeof model.feed>} Feed */

/** What the server's message tells of beside the state. */
const BESIDES = / no price: |; expired, |^the record is over/;
const TONES = { LIVE: "good", DEGRADED: "warn", DOWN: "bad" };
const served = document.body.dataset.feed ?? "";

/** Each source with its state, if they differ: yahoo LIVE, nse DOWN. @param {Feed} feed */
const states = ({ source, sources, state }) =>
  sources
    ? sources.map((one) => `${one.source} ${one.state}`).join(", ")
    : `${names(source)} ${state}`;

/** @param {string} source */
const names = (source) => source.split(",").join(", ");

/** @param {boolean} known the connection is live */
export function paintFeed(known) {
  const feed = known ? model.feed : null;
  put($("feed-text"), feed ? `Feed ${states(feed)}` : `Feed ${names(served)}`);
  attribute($("feed"), "data-state", feed && TONES[feed.state]);
  put($("market"), marketWords());
  paintReplay();
  const text = feed ? news(feed) : "";
  $("feed-banner").hidden = !text;
  const kind = { LIVE: "banner quiet", DEGRADED: "banner", DOWN: "banner down" };
  put($("feed-banner"), text, kind[feed?.state ?? "LIVE"]);
}

/** What the state alone does not say: while prices come in, quietly. @param {Feed} feed */
function news({ source, sources, state, message }) {
  const words = inIst(message);
  if (state === "LIVE") {
    const isMore = sources?.some((one) => one.state !== "LIVE") || BESIDES.test(message);
    return isMore ? `Price feed: ${words}` : "";
  }
  const effect = message.includes("stops wait") ? "" : ". Stops and targets wait for fresh prices.";
  return `Price feed ${names(source)} is ${state}: ${words}${effect}`;
}

export function start() {
  // A feed that is LIVE in an open market is not announced: no message at the snapshot means that.
  client.on("message", ({ type }) => {
    if (model.feed || (type !== "price_update" && type !== "session_update")) return;
    const marketState = document.body.dataset.market ? "OPEN" : undefined;
    model.feed = { source: served, state: "LIVE", message: "", timestamp: "", marketState };
  });
  client.on("status", ({ state }) => {
    if (state === "connecting") model.feed = null;
  });
}
