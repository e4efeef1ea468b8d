// @ts-check
/** Who is signed in and until when, where the server wants to know. */
import { call, noteSignIn, onUnauthorized } from "./api.js";
import { $, put } from "./dom.js";
import { time } from "./format.js";
import { onOrder } from "./forms.js";
import { complain, complainAgain } from "./notify.js";
import { client, reconnect } from "./stream.js";

/** After these the page must sign in before it comes back. */
const SIGNED_OUT = new Set([4005, 4500, 4502, 4503, 4507]);

/** @type {HTMLDialogElement} */
const dialog = $("sign-in-dialog");

/** The other tabs of this browser, which has one sign-in for all. */
const tabs = new BroadcastChannel("vyomo-rt.sign-in");

/** Who the page is of. @type {string | null} */
let owner = null;
/** Ends the wait for the first sign-in; null if nothing waits. @type {(() => void) | null} */
let begin = null;

/** @param {{ sub: string | null, role: string, expiresAt: string | null }} me */
function show({ sub, role, expiresAt }) {
  document.body.dataset.role = role;
  owner = sub;
  $("account").hidden = sub === null;
  put($("account-name"), `${sub} · ${role}`);
  put($("account-until"), expiresAt ? `until ${time(expiresAt)}` : "");
}

/** Asks for a token; the page then goes on. @param {string} why */
function ask(why) {
  client.close();
  put($("sign-in-why"), why);
  if (!dialog.open) dialog.showModal();
}

/** @param {string} why if nobody was signed in before */
const askAgain = (why) => ask(owner === null ? why : "Signed out: the sign-in has ended.");

/** What was typed stays for whoever typed it. @param {any} me who is signed in by now */
function welcome(me) {
  if (owner !== null && me.sub !== owner) return location.reload();
  noteSignIn();
  show(me);
  $("sign-in").reset();
  if (!dialog.open) return;
  dialog.close();
  complainAgain();
  if (begin) begin();
  else reconnect();
}

/** Another tab says that somebody has signed in. */
async function look() {
  const me = await call("GET", "me");
  if (me.ok) welcome(me.document);
}

/** A link may carry a ticket behind its `#`, which goes to no server and into no log.
 * @returns {Promise<string>} why it was refused, if it was */
async function useTicket() {
  const ticket = new URLSearchParams(location.hash.slice(1)).get("ticket");
  if (!ticket) return "";
  history.replaceState(null, "", location.pathname + location.search);
  const { ok, document: answer } = await call("POST", "sign-in", { ticket });
  if (ok) tabs.postMessage("signed in");
  return ok ? "" : `The link is not good any more: ${answer.detail}`;
}

async function signOut() {
  await call("POST", "sign-out", {});
  location.reload();
}

/** Signs in by the link, or finds out who is signed in, and waits until somebody is. */
export async function start() {
  dialog.addEventListener("cancel", (event) => event.preventDefault());
  onOrder(
    $("sign-in"),
    async ({ token }) => (token ? { path: "sign-in", body: { token } } : "token is required"),
    (me) => {
      tabs.postMessage("signed in");
      welcome(me);
      return "";
    },
  );
  tabs.addEventListener("message", look);
  $("sign-out").addEventListener("click", signOut);
  client.on("status", ({ code, detail }) => {
    if (code && SIGNED_OUT.has(code)) ask(`Signed out: ${detail}.`);
  });
  client.on("error", ({ code, message }) => {
    if (code === "unauthorized") askAgain(message);
  });
  client.on("token_expiring", ({ data }) => {
    complain(`Your sign-in ends at ${time(data.expiresAt)}.`);
  });
  // A call may find out before the stream does.
  onUnauthorized(askAgain);
  const refusal = await useTicket();
  const me = await call("GET", "me");
  if (me.ok) show(me.document);
  if (refusal && me.ok) complain(refusal);
  if (me.status !== 401) return;
  ask(refusal || "This server wants to know who you are.");
  await new Promise((resolve) => {
    begin = () => resolve(null);
  });
  begin = null;
}
