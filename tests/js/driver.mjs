/** Runs in Node.js what a test of tests/browser sends, one script a line. */
import { createInterface } from "node:readline";

import { EventSource } from "eventsource";
import WebSocket from "ws";

const AsyncFunction = (async () => {}).constructor;
globalThis.classes = { WebSocket, EventSource };

for await (const line of createInterface({ input: process.stdin })) {
  const { script, values } = JSON.parse(line);
  const answer = await new AsyncFunction("values", script)(values).then(
    (result) => ({ result }),
    (error) => ({ error: String(error.stack) }),
  );
  console.log(JSON.stringify(answer));
}
process.exit(0); // an open connection would keep it alive
