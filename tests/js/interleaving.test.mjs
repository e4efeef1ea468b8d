/** Whatever the order of commands, answers, events and cuts: every event comes once. */
import assert from "node:assert/strict";
import { it } from "node:test";

import { following, opened, sockets } from "./fakes.mjs";

/** Numbers from 0 up to 1, the same ones for the same seed (mulberry32). @param {number} seed */
function chance(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let mixed = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** One end of a connection to a server whose session 6 has `log.seq` events. */
class ServerSide {
  follows = false;
  carriedOut = 0;
  onItsWay = [];

  constructor(socket, log) {
    this.socket = socket;
    this.log = log;
  }

  /** Carries out the next command, or refuses it for now. */
  answer(isAway) {
    const command = this.socket.sent[this.carriedOut];
    if (!command) return false;
    this.carriedOut += 1;
    const { id, type, sessionId, since } = command;
    const refuse = (code) =>
      this.onItsWay.push({ type: "error", id, code, message: `${sessionId}`, retryAfterMs: 100 });
    if (type === "ping") this.onItsWay.push({ type: "pong", id });
    else if (isAway) refuse("unavailable");
    else if (sessionId !== 6) refuse("not_found");
    else {
      this.follows = true;
      const seq = since ?? this.log.seq;
      const recovered = since === undefined ? undefined : true;
      const result = { sessionId, seq, epoch: "e1", symbols: [], recovered };
      this.onItsWay.push({ type: "ack", id, result });
      for (let next = seq + 1; next <= this.log.seq; next++) this.onItsWay.push(opened(next));
    }
    return true;
  }

  happened() {
    if (this.follows) this.onItsWay.push(opened(this.log.seq));
  }

  deliver() {
    const message = this.onItsWay.shift();
    if (message) this.socket.say(message);
    return message !== undefined;
  }
}

for (let seed = 1; seed <= 200; seed++) {
  it(`loses and doubles nothing, seed ${seed}`, (t) => {
    const { client, states, seqs } = following(t);
    const gaps = [];
    client.on("gap", (gap) => gaps.push(gap));
    let wrong = 990; // the last session asked for that is not there
    let refused = wrong;
    client.on("error", ({ code, message }) => {
      if (code === "not_found") refused = Number(message);
    });
    const log = { seq: 10 };
    let side = new ServerSide(sockets[0], log);
    side.follows = true;
    side.carriedOut = 1;
    const random = chance(seed);
    const comeBack = () => {
      t.mock.timers.tick(states.at(-1).retryInMs);
      side = new ServerSide(sockets.at(-1), log);
      side.socket.open();
    };
    const steps = [
      () => {
        log.seq += 1;
        side.happened();
      },
      () => side.answer(random() < 0.2),
      () => side.deliver(),
      () => side.deliver(),
      () => {
        if (refused === wrong)
          client.subscribeSession(6, { updateInterval: (100 + random() * 900) | 0 });
      },
      () => client.subscribeSession(++wrong),
      () => t.mock.timers.tick((random() * 3000) | 0),
      () => {
        if (random() > 0.3) return;
        side.socket.drop();
        log.seq += (random() * 3) | 0;
      },
    ];
    for (let step = 0; step < 120; step++) {
      steps[(random() * steps.length) | 0]();
      if (client.status.state === "waiting") comeBack(); // cut, or the server fell silent
    }
    for (let quiet = 0; quiet < 20; quiet++) {
      while (side.answer(false) || side.deliver());
      t.mock.timers.tick(1000); // for what is asked again
    }
    assert.deepEqual(
      seqs(),
      Array.from({ length: log.seq - 10 }, (_, index) => 11 + index),
    );
    assert.deepEqual(gaps, []);
    assert.deepEqual(client.position, { sessionId: 6, seq: log.seq, epoch: "e1" });
  });
}
