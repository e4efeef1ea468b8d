// @ts-check
/** The developer's drawer: rates, delays, the position, and commands that get the same stream. */
import { call, pricesOf, reason } from "./api.js";
import { $, copy, el, put } from "./dom.js";
import { whole } from "./format.js";
import { counts, onPainted, part, touch } from "./frame.js";
import { Clock, nowMs, Rate, Samples } from "./latency.js";
import { answered, ask } from "./liveness.js";
import { model } from "./model.js";
import * as raw from "./raw.js";
import { asked, client, setTransport } from "./stream.js";

const PING_MS = 5000;
const clock = new Clock();
const messages = new Rate(),
  bytes = new Rate(),
  paints = new Rate();
const sent = new Samples(),
  tick = new Samples();
/** Prices that came since the last paint. @type {{ timestamp: string, asOf?: string }[]} */
let unpainted = [];
/** @type {Map<string, string>} by symbol, the last price that was measured */
const lastAsOf = new Map();

const ms = (/** @type {number | undefined} */ value) =>
  value === undefined ? "–" : `${whole(value)} ms`;
const percentiles = (/** @type {Samples} */ samples) =>
  `${ms(samples.percentile(0.5))} · ${ms(samples.percentile(0.99))}`;

function measurePainted() {
  const { aheadMs } = clock;
  if (aheadMs !== undefined && !document.hidden) {
    const paintedMs = nowMs() + aheadMs;
    for (const { timestamp, asOf } of unpainted) {
      sent.add(Math.max(0, paintedMs - Date.parse(timestamp)));
      if (asOf) tick.add(Math.max(0, paintedMs - Date.parse(asOf)));
    }
  }
  unpainted = [];
}

/** Over SSE there is no ping: a small GET that carries the server's time replaces it. */
async function ping() {
  const sentMs = nowMs();
  if (client.status.state !== "open" || document.hidden) return;
  if (ask()) return;
  const symbol = [...model.prices].find(([, quote]) => quote)?.[0];
  if (!symbol) return;
  const [price] = (await pricesOf([symbol])).prices;
  if (price) clock.note(sentMs, nowMs(), price.timestamp);
}

/** @returns {{ curl: string, wscat: string }} what gets the same stream without this page */
function commands() {
  const { sessionId } = asked();
  const symbols = [...model.prices.keys()];
  const interval = model.intervalMs;
  const query = [];
  const messages = [];
  if (sessionId !== null) {
    query.push(`sessionId=${sessionId}`, `updateInterval=${interval}`);
    messages.push({ type: "subscribe_session", sessionId, updateInterval: interval });
  }
  if (symbols.length) {
    query.push(`symbols=${symbols.map(encodeURIComponent).join(",")}`, `priceInterval=${interval}`);
    messages.push({ type: "subscribe_prices", symbols, priceInterval: interval });
  }
  const base = new URL("../../", import.meta.url).href;
  const executed = messages.map((message) => ` -x '${JSON.stringify(message)}'`);
  return {
    curl: `curl -N '${base}sse/auto-trader?${query.join("&")}'`,
    wscat: `npx wscat -c ${base.replace(/^http/, "ws")}ws/auto-trader -w 600${executed.join("")}`,
  };
}

function paint() {
  if ($("drawer").hidden) return;
  put($("rate-messages"), `${whole(messages.perSecond)}/s`);
  put($("rate-bytes"), `${whole(bytes.perSecond)}/s`);
  put($("rate-paints"), `${whole(paints.perSecond)}/s`);
  const { position, connectionId } = client;
  const gaps = model.gaps ? `${model.gaps} ${model.gaps === 1 ? "gap" : "gaps"}` : "no gap";
  put($("position"), position ? `seq ${position.seq} · ${gaps}` : "–", model.gaps ? "loss" : "");
  put($("rtt"), ms(clock.rttMs));
  const ahead = clock.aheadMs;
  put(
    $("ahead"),
    ahead === undefined ? "–" : `${whole(Math.abs(ahead))} ms ${ahead < 0 ? "behind" : "ahead"}`,
  );
  put($("latency-sent"), percentiles(sent));
  put($("latency-tick"), percentiles(tick));
  put($("connection-id"), connectionId ?? "–");
  const { curl, wscat } = commands();
  put($("curl"), curl);
  put($("wscat"), wscat);
  for (const input of $("transports").querySelectorAll("input"))
    input.checked = input.value === asked().transport;
}

/** JSON as a list to read; sentences are lines of their own. @param {any} value
 * @returns {Node | string} */
function readable(value) {
  if (value === null || typeof value !== "object") return String(value ?? "–");
  const isList = Array.isArray(value);
  if (isList && !value.some((one) => typeof one === "object" || String(one).includes(" "))) {
    return value.join(", ") || "none";
  }
  const words = (/** @type {string} */ name) =>
    name.replace(/([a-z])([A-Z])/g, "$1 $2").toLowerCase();
  return el(
    "ul",
    {},
    ...Object.entries(value).map(([name, inner]) =>
      el("li", {}, ...(isList ? [] : [el("b", {}, `${words(name)}: `)]), readable(inner)),
    ),
  );
}

async function explain() {
  const id = client.connectionId;
  const answer = id ? await call("GET", `connections/${encodeURIComponent(id)}`) : null;
  const text = !answer
    ? "No connection is open, or this server does not name its connections."
    : answer.status === 404
      ? "The server does not know this connection: it has ended, or this server explains none."
      : answer.ok
        ? readable({ reasons: answer.document.reasons, ...answer.document })
        : reason(answer);
  $("explanation").replaceChildren(text);
  $("explanation").hidden = false;
  $("explanation").scrollIntoView({ block: "nearest" });
}

export function toggleDrawer() {
  const open = $("drawer").hidden;
  $("drawer").hidden = !open;
  $("drawer-toggle").setAttribute("aria-expanded", String(open));
  if (open) {
    ping();
    $("drawer-title").focus();
  } else $("drawer-toggle").focus();
  touch("drawer", "raw");
}

export function start() {
  part("drawer", paint);
  raw.start();
  onPainted(measurePainted);
  client.on("raw", ({ text }) => {
    messages.add();
    bytes.add(text.length); // ASCII but for what people named
    raw.note(text);
  });
  client.on("price_update", ({ data: { symbol, timestamp, asOf } }) => {
    const isNew = lastAsOf.get(symbol) !== asOf;
    // A symbol's first price may be as old as it likes: nobody waited for it here.
    unpainted.push({ timestamp, asOf: isNew && lastAsOf.has(symbol) ? asOf : undefined });
    lastAsOf.set(symbol, asOf);
    if (document.hidden) unpainted = [];
  });
  client.on("pong", ({ timestamp }) => {
    const sentMs = answered();
    if (sentMs !== null) clock.note(sentMs, nowMs(), timestamp);
  });
  client.on("status", ({ state }) => {
    answered();
    $("explanation").hidden = true; // it was of the connection before
    if (state === "open") setTimeout(ping, 200);
  });
  setInterval(ping, PING_MS);
  let before = 0;
  setInterval(() => {
    paints.add(counts.paints - before);
    before = counts.paints;
    for (const rate of [messages, bytes, paints]) rate.turn();
    if (!$("drawer").hidden) touch("drawer");
  }, 1000);
  $("drawer-toggle").addEventListener("click", toggleDrawer);
  $("drawer-close").addEventListener("click", toggleDrawer);
  $("drawer").addEventListener("keydown", (/** @type {KeyboardEvent} */ { key }) => {
    if (key === "Escape") toggleDrawer();
  });
  $("cut").addEventListener("click", () => client.cut());
  $("explain").addEventListener("click", explain);
  $("transports").addEventListener("change", (/** @type {any} */ { target }) =>
    setTransport(target.value),
  );
  for (const name of /** @type {const} */ (["curl", "wscat"])) {
    $(`copy-${name}`).addEventListener("click", async () => {
      put(
        $("copied"),
        (await copy(commands()[name])) ? `${name} copied` : "Copying is not allowed here.",
      );
    });
  }
}
