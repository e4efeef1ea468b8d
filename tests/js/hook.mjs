/** Runs the hook of docs/client.md in React: each line of input is its properties, each line of
 * output what it returned in a render. With the end of the input the component goes. */
import { createInterface } from "node:readline";

import { createElement, StrictMode } from "react";
import { create } from "react-test-renderer";
import WebSocket from "ws";

globalThis.WebSocket = WebSocket;
const { useVyomo } = await import(process.argv[2]);

function Dashboard(properties) {
  process.stdout.write(`${JSON.stringify(useVyomo(properties))}\n`);
  return null;
}

let root;
for await (const line of createInterface({ input: process.stdin })) {
  const element = createElement(StrictMode, null, createElement(Dashboard, JSON.parse(line)));
  if (root) root.update(element);
  else root = create(element);
}
root.unmount(); // what is left open keeps the process from ending
