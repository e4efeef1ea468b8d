// @ts-check
/** Who is signed in and until when, where the server wants to know. */
import { call, onUnauthorized } from "./api.js";
import { $, put } from "./dom.js";
import { time } from "./format.js";
import { onOrder } from "./forms.js";
import { complain } from "./notify.js";
import { client } from "./stream.js";

/** After these the page must sign in before it comes back. */
const SIGNED_OUT = new Set([4005, 4500, 4502, 4503, 4507]);

/** @type {HTMLDialogElement} */
const dialog = $("sign-in-dialog");

let isSignedIn = false;

/** @param {{ sub: string | null, role: string, expiresAt: string | null }} me */
function show({ sub, role, expiresAt }) {
  document.body.dataset.role = role;
  isSignedIn = sub !== null;
  $("account").hidden = !isSignedIn;
  put($("account-name"), `${sub} · ${role}`);
  put($("account-until"), expiresAt ? `until ${time(expiresAt)}` : "");
}

/** Asks for a token; the page then starts anew. @param {string} why */
function ask(why) {
  client.close();
  put($("sign-in-why"), why);
  if (!dialog.open) dialog.showModal();
}

/** @param {string} why if nobody was signed in before */
const askAgain = (why) => ask(isSignedIn ? "Signed out: the sign-in has ended." : why);

/** A link may carry a ticket behind its `#`, which goes to no server and into no log.
 * @returns {Promise<string>} why it was refused, if it was */
async function useTicket() {
  const ticket = new URLSearchParams(location.hash.slice(1)).get("ticket");
  if (!ticket) return "";
  history.replaceState(null, "", location.pathname + location.search);
  const { ok, document: answer } = await call("POST", "sign-in", { ticket });
  return ok ? "" : `The link is not good any more: ${answer.detail}`;
}

async function signOut() {
  await call("POST", "sign-out", {});
  location.reload();
}

/** Signs in by the link, or finds out who is signed in.
 * @returns {Promise<boolean>} false: nobody; it was asked for a token */
export async function start() {
  dialog.addEventListener("cancel", (event) => event.preventDefault());
  onOrder(
    $("sign-in"),
    async ({ token }) => (token ? { path: "sign-in", body: { token } } : "token is required"),
    () => {
      location.reload();
      return "";
    },
  );
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
  if (me.status === 401) ask(refusal || "This server wants to know who you are.");
  return me.status !== 401;
}
