// A stream by a library that was not written here: `node libraries.mjs LIBRARY URL [COMMAND…]`.
// Prints each message's JSON in a line; exit code 0 once the server has ended the stream in order.

const [library, url, ...commands] = process.argv.slice(2);
const TYPES = ["ack", "session_update", "price_update", "trade_opened", "server_shutdown"];
const print = (text) => process.stdout.write(`${text}\n`);

const LIBRARIES = {
  async ws() {
    const { WebSocket } = await import("ws");
    const socket = new WebSocket(url, ["vyomo-rt.v1"]);
    socket.on("open", () => {
      for (const command of commands) socket.send(command);
    });
    socket.on("message", (data) => print(data.toString()));
    socket.on("close", (code) => process.exit(code === 4001 ? 0 : 1));
  },
  // It tells an orderly end and a broken one by the same event, and would come back after either.
  async eventsource() {
    const { EventSource } = await import("eventsource");
    const source = new EventSource(url);
    for (const type of TYPES) source.addEventListener(type, (event) => print(event.data));
    source.addEventListener("error", (event) => process.exit(event.code ? 1 : 0));
  },
  // It knows pages only: it asks for `window` even where it is told not to look at `document`.
  async "fetch-event-source"() {
    globalThis.window = globalThis;
    const { fetchEventSource } = await import("@microsoft/fetch-event-source");
    await fetchEventSource(url, {
      openWhenHidden: true,
      onmessage: (event) => print(event.data),
      onclose: () => process.exit(0),
      onerror: () => process.exit(1),
    });
  },
};

await LIBRARIES[library]();
