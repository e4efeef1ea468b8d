// @ts-check
/** The console: starts the parts, and shows what the address asks for. */

import * as account from "./account.js";
import * as alerts from "./alerts.js";
import { call } from "./api.js";
import { forgetColours } from "./canvas.js";
import * as chart from "./chart.js";
import * as closing from "./closing.js";
import { wireDialogs } from "./dialogs.js";
import { $, put } from "./dom.js";
import * as drawer from "./drawer.js";
import * as equity from "./equity.js";
import * as feed from "./feed.js";
import * as fills from "./fills.js";
import { part, touch, touchAll } from "./frame.js";
import * as guards from "./guards.js";
import * as history from "./history.js";
import * as jumps from "./jumps.js";
import * as keys from "./keys.js";
import * as kill from "./kill.js";
import * as link from "./link.js";
import * as log from "./log.js";
import { model } from "./model.js";
import * as notify from "./notify.js";
import * as overview from "./overview.js";
import * as panels from "./panels.js";
import * as past from "./past.js";
import * as pending from "./pending.js";
import { readPlace, writePlace } from "./place.js";
import * as positions from "./positions.js";
import { takeDoubleClicksForOne } from "./presses.js";
import * as prices from "./prices.js";
import { recall, remember } from "./remembered.js";
import * as replay from "./replay.js";
import * as reports from "./reports.js";
import * as rules from "./rules.js";
import * as session from "./session.js";
import * as since from "./since.js";
import * as standing from "./standing.js";
import { asked, client, connect, showSession } from "./stream.js";
import * as tabs from "./tabs.js";
import * as ticket from "./ticket.js";
import * as title from "./title.js";
import * as view from "./view.js";

const MOST_SYMBOLS = 12;
const DEMO_SYMBOLS = ["NIFTY", "BANKNIFTY", "RELIANCE"];
const THEMES = ["system", "light", "dark"];
const demoSession = Number(document.body.dataset.demo ?? 0);
const isSimulated = document.body.dataset.feed === "sim";

function paintTheme() {
  put($("theme-name"), `Theme: ${recall("theme") ?? "system"}`);
}

function nextTheme() {
  const now = recall("theme") ?? "system";
  const next = THEMES[(THEMES.indexOf(now) + 1) % THEMES.length];
  remember("theme", next === "system" ? null : next);
  if (next === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = next;
  paintTheme();
  recolour();
}

function recolour() {
  forgetColours();
  chart.recolour();
  touchAll();
}

/** The address follows the page; before the first answer it stands as it was given. */
function startPlace() {
  part("place", () => {
    if (model.sessionId === null && model.prices.size === 0) return;
    const { sessionId, transport } = asked();
    writePlace({
      session: sessionId ?? undefined,
      symbols: [...model.prices.keys()],
      interval: model.intervalMs,
      transport,
    });
  });
}

/** @returns {Promise<string[]>} the symbols that have a price */
async function loadPriced() {
  const { ok, document: known } = await call("GET", "prices");
  const priced = ok ? known.prices.map((/** @type {any} */ one) => one.symbol) : [];
  prices.suggest(priced);
  return priced;
}

/** What the address names waits for no list; but a space in a symbol is one only if that is
 * known. @param {import("./place.js").Place} place */
const isComplete = ({ session: named, symbols }) =>
  named && symbols?.every((symbol) => !symbol.includes(" "));

async function showPlace() {
  const { place, problems } = readPlace(location.search);
  problems.forEach(notify.complain);
  const lists = Promise.all([session.loadSessions(), loadPriced()]);
  const [sessions, priced] = isComplete(place) ? [[], []] : await lists;
  const chosen = place.session ?? (demoSession || sessions.at(-1)?.sessionId);
  const symbols = place.symbols ?? (isSimulated ? DEMO_SYMBOLS : priced.slice(0, MOST_SYMBOLS));
  model.intervalMs = place.interval ?? model.intervalMs;
  if (chosen) showSession(chosen);
  const added = prices.add(symbols.join(","));
  const last = recall("symbol") ?? "";
  const first = added.includes(last) ? last : (added[0] ?? "");
  ticket.choose(first);
  chart.choose(first);
  touch("prices");
  connect(place.transport);
}

wireDialogs();
takeDoubleClicksForOne();
paintTheme();
overview.start();
standing.start();
since.start();
rules.start();
tabs.start();
panels.start();
view.start();
feed.start();
replay.start();
link.start();
past.start();
session.start();
prices.start((symbol) => {
  ticket.openTicket({ symbol });
  chart.choose(symbol);
  remember("symbol", symbol);
});
positions.start(closing.openClosing, guards.openGuards);
pending.start();
equity.start();
chart.start();
log.start();
history.start();
reports.start();
ticket.start();
jumps.start();
fills.start();
closing.start();
guards.start();
kill.start();
title.start();
notify.start();
alerts.start();
drawer.start();
startPlace();
keys.start([
  ["b", "New trade: buy", () => ticket.openTicket({ side: "BUY" })],
  ["s", "New trade: sell", () => ticket.openTicket({ side: "SELL" })],
  [
    "p",
    "Positions: the first Close button",
    () => {
      tabs.openTab("tab-positions");
      (
        document.querySelector("#positions tbody button:last-child") ?? $("positions-title")
      ).focus();
    },
  ],
  ["a", "Add a symbol", () => $("add-symbol").focus()],
  ["g", "Go to another session", () => $("session").focus()],
  ["c", "P&L curve or candles", chart.toggleChart],
  ["n", "Alerts", alerts.openAlerts],
  ["m", "Sound on or off", notify.toggleSound],
  ["t", "Theme: system, light, dark", nextTheme],
  ["v", "Text, rows, panels", view.openView],
  ["d", "Developer drawer", drawer.toggleDrawer],
]);
$("theme").addEventListener("click", nextTheme);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", recolour);
client.on("ack", () => touch("place"));
await account.start();
showPlace();
