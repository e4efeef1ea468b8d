import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { opened, sockets, start, streams, turn } from "./fakes.mjs";

const EXPIRING = { type: "token_expiring", data: { expiresAt: "2026-11-24T10:00:00.000Z" } };
const POSITION = { sessionId: 6, seq: 10, epoch: "e1" };

/** Gives the next of some tokens at each call, and the last one from then on. */
function source(...tokens) {
  const getToken = () => {
    getToken.calls += 1;
    const found = tokens.length > 1 ? tokens.shift() : tokens[0];
    if (found instanceof Error) throw found;
    return found;
  };
  getToken.calls = 0;
  return getToken;
}

/** A client of session 6 that has asked for its first connection. */
async function knocking(t, getToken, options = {}) {
  const started = start(t, { transport: "ws", getToken, ...options });
  started.client.subscribeSession(6);
  started.client.connect();
  await turns();
  return started;
}

/** Promises that follow from each other come to their end. */
async function turns() {
  for (let i = 0; i < 5; i++) await turn();
}

/** Lets a socket in: it is acknowledged, and so is its session. */
function letIn(socket) {
  socket.open();
  socket.ack({}, socket.sent[0]);
  socket.ack(POSITION, socket.sent[1]);
}

async function comeBack(t, states) {
  t.mock.timers.tick(states.at(-1).retryInMs);
  await turns();
}

/** A server that gives tickets for good tokens. */
function ticketOffice(t, good) {
  const asked = [];
  t.mock.method(globalThis, "fetch", async (url, { headers, body } = {}) => {
    if (!String(url).endsWith("/api/auto-trader/tickets")) throw new TypeError("nobody");
    const token = headers.Authorization.replace("Bearer ", "");
    asked.push({ token, ...JSON.parse(body) });
    const known = good.includes(token);
    const answer = known ? { ticket: `for ${token}` } : { code: "unauthorized", detail: "no good" };
    return new Response(JSON.stringify(answer), {
      status: known ? 200 : 401,
      headers: { "content-type": known ? "application/json" : "application/problem+json" },
    });
  });
  return asked;
}

describe("a page with a token", () => {
  it("says who it is before it asks for anything, and is open once that is taken", async (t) => {
    const { client, states } = await knocking(t, source("a"));
    const [socket] = sockets;
    socket.open();
    assert.deepEqual(
      socket.sent.map(({ type, token }) => [type, token]),
      [
        ["auth", "a"],
        ["subscribe_session", undefined],
      ],
    );
    assert.equal(states.at(-1).state, "connecting");
    socket.ack({ ...POSITION, seq: 99 }, socket.sent[0]);
    assert.equal(states.at(-1).state, "open");
    assert.equal(client.position, null, "the answer to a token says nothing of what has come");
    socket.ack(POSITION, socket.sent[1]);
    assert.equal(client.position.seq, 10);
  });

  it("opens a stream by a ticket for exactly that stream", async (t) => {
    const asked = ticketOffice(t, ["a"]);
    const { seqs } = await knocking(t, source("a"), { transport: "sse" });
    const { searchParams } = streams[0].url;
    assert.equal(searchParams.get("ticket"), "for a");
    searchParams.delete("ticket");
    assert.deepEqual(asked, [{ token: "a", path: "/sse/auto-trader", query: `${searchParams}` }]);
    streams[0].open(POSITION);
    streams[0].say(opened(11));
    assert.deepEqual(seqs(), [11]);
  });

  it("opens a stream without a ticket where the server wants none", async (t) => {
    t.mock.method(globalThis, "fetch", async () => new Response("{}", { status: 409 }));
    await knocking(t, source("a"), { transport: "sse" });
    assert.equal(streams[0].url.searchParams.get("ticket"), null);
  });

  it("goes on with the next token before this one ends", async (t) => {
    const { states } = await knocking(t, source("a", "b"));
    letIn(sockets[0]);
    sockets[0].say(EXPIRING);
    await turns();
    assert.deepEqual(sockets[0].sent.at(-1), { type: "auth", id: "auth", token: "b" });
    assert.equal(states.at(-1).state, "open");
  });

  it("comes back with another token after the end of one, and resumes", async (t) => {
    const { states } = await knocking(t, source("a", "b"));
    letIn(sockets[0]);
    sockets[0].drop(4005, "the token has expired");
    assert.equal(states.at(-1).state, "waiting");
    await comeBack(t, states);
    sockets[1].open();
    assert.equal(sockets[1].sent[0].token, "b");
    assert.equal(sockets[1].sent[1].since, 10);
  });

  it("comes back with another ticket after the end of a stream's token", async (t) => {
    const asked = ticketOffice(t, ["a", "b"]);
    const { states } = await knocking(t, source("a", "b"), { transport: "sse" });
    streams[0].open(POSITION);
    streams[0].say({ type: "error", code: "unauthorized", message: "the token has expired" });
    streams[0].drop();
    await comeBack(t, states);
    assert.deepEqual(
      asked.map(({ token }) => token),
      ["a", "b"],
    );
    assert.equal(streams[1].url.searchParams.get("lastEventId"), "6-10-e1");
  });

  it("asks for another token if the first one is refused", async (t) => {
    const { states } = await knocking(t, source("old", "good"));
    sockets[0].open();
    sockets[0].drop(4500, "bad token");
    await comeBack(t, states);
    letIn(sockets[1]);
    assert.equal(sockets[1].sent[0].token, "good");
    assert.equal(states.at(-1).state, "open");
  });

  it("does not come back after a revocation", async (t) => {
    const { states } = await knocking(t, source("a", "b"));
    letIn(sockets[0]);
    sockets[0].drop(4500, "revoked");
    assert.deepEqual([states.at(-1).state, states.at(-1).detail], ["closed", "revoked"]);
  });

  for (const [way, refuse] of [
    ["at the door", (socket) => socket.open()],
    ["at its end", (socket) => letIn(socket)],
  ]) {
    it(`shows a token that stays the same once: refused ${way}`, async (t) => {
      const { states } = await knocking(t, source("same"));
      refuse(sockets[0]);
      sockets[0].drop(way === "at its end" ? 4005 : 4500, "expired");
      await comeBack(t, states);
      assert.deepEqual([states.at(-1).state, states.at(-1).detail], ["closed", "expired"]);
      assert.equal(sockets.length, 1);
    });
  }

  it("shows a token that stays the same once for a ticket, too", async (t) => {
    const asked = ticketOffice(t, []);
    const { states } = await knocking(t, source("same"), { transport: "sse" });
    await comeBack(t, states);
    assert.deepEqual([states.at(-1).state, states.at(-1).detail], ["closed", "no good"]);
    assert.equal(asked.length, 1);
    assert.equal(streams.length, 0);
  });

  it("is out when there is no token for it, at once", async (t) => {
    const { states } = await knocking(t, source(""));
    assert.match(states.at(-1).detail, /no longer allowed/);
    assert.equal(states.at(-1).state, "closed");
    assert.equal(sockets.length, 0);
  });

  it("is out when there is no next token, before this one ends", async (t) => {
    const { states } = await knocking(t, source("a", ""));
    letIn(sockets[0]);
    sockets[0].say(EXPIRING);
    await turns();
    assert.equal(states.at(-1).state, "closed");
    assert.match(states.at(-1).detail, /no longer allowed/);
  });

  it("asks again, and later, where getToken fails", async (t) => {
    const { states } = await knocking(t, source(new Error("no network"), "a"));
    assert.deepEqual([states.at(-1).state, states.at(-1).detail], ["waiting", "no network"]);
    await comeBack(t, states);
    letIn(sockets[0]);
    assert.equal(states.at(-1).state, "open");
  });

  it("asks for one token at a time, and waits no longer for it than for a server", async (t) => {
    const { promise, resolve } = Promise.withResolvers?.() ?? deferred();
    let calls = 0;
    const getToken = () => {
      calls += 1;
      return calls === 1 ? promise : "b";
    };
    const { client, states } = await knocking(t, getToken);
    client.use("sse");
    client.use("ws");
    await turns();
    assert.equal(calls, 1);
    t.mock.timers.tick(10_000);
    assert.deepEqual(
      [states.at(-1).state, states.at(-1).detail],
      ["waiting", "no token within 10 s"],
    );
    resolve("late");
    await comeBack(t, states);
    letIn(sockets[0]);
    assert.equal(sockets[0].sent[0].token, "late");
  });

  it("stays away as long as the server says", async (t) => {
    const problem = JSON.stringify({ code: "rate_limited", detail: "slow", retryAfterMs: 7000 });
    t.mock.method(globalThis, "fetch", async () => {
      const headers = { "content-type": "application/problem+json", "Retry-After": "7" };
      return new Response(problem, { status: 429, headers });
    });
    const { states } = await knocking(t, source("a"), { transport: "sse" });
    assert.equal(states.at(-1).retryInMs, 7500);
  });

  it("may be closed while it waits for its token", async (t) => {
    const { client, states } = await knocking(t, source("a"));
    client.close();
    client.connect();
    client.close();
    await turns();
    assert.equal(states.at(-1).state, "closed");
    assert.equal(sockets.filter(({ readyState }) => readyState !== 3).length, 0);
  });
});

function deferred() {
  const parts = {};
  parts.promise = new Promise((resolve) => {
    parts.resolve = resolve;
  });
  return parts;
}
