// Compiled by a test, never run: right uses must be accepted, and each wrong one refused.

import { EventSource } from "eventsource";
import type { AnyMessage, Gap, Position, Quote, Status } from "../../static/vyomo-rt.js";
import { VyomoClient } from "../../static/vyomo-rt.js";

const client = new VyomoClient({
  url: new URL("http://localhost:4025"),
  transport: "auto",
  EventSource,
});
const bare: EventTarget = new VyomoClient();

const end: () => void = client.on("price_update", ({ type, data }) => {
  const quote: Quote = data;
  const name: "price_update" = type;
  console.log(name, quote.price.toFixed(2), quote.stale ? "stale" : "", quote.asOf);
});
client.on("trade_opened", ({ seq, data }) =>
  console.log(seq + 1, data.side === "BUY", data.stopLoss ?? 0),
);
client.on("trade_closed", ({ data }) => console.log(data.pnl * 2, data.exitReason === "SL"));
client.on("session_update", ({ data, recovered }) =>
  console.log(data.winRate, recovered === false),
);
client.on("pnl_update", ({ data }) => console.log(data.unrealizedPnL - data.pnlPercent));
client.on("error", ({ command, code, message }) =>
  console.log(command === "subscribe_prices", code, message),
);
client.on("ack", ({ connectionId, result }) =>
  console.log(connectionId?.length, result.symbols.join()),
);
client.on("raw", ({ text, transport }) => console.log(text.length, transport === "sse"));
client.on("gap", (gap: Gap) => console.log(gap.to - gap.from));
client.on("status", (status: Status) =>
  console.log(status.state === "waiting" && status.retryInMs),
);
client.on("message", (message: AnyMessage) => {
  switch (message.type) {
    case "feed_status":
      return message.data.state === "DOWN";
    case "server_shutdown":
      return message.data.reconnectAfterMs > 0;
    case "pong":
      return message.timestamp.length;
    default:
      return message.type;
  }
});

client.subscribeSession(6, { types: ["trade_opened"], updateInterval: 500, since: 4, epoch: "e" });
client.subscribePrices(["NIFTY"], { priceInterval: 500, onlyChanges: true });
client.unsubscribePrices();
client.connect("sse");
client.use("ws");
client.cut();
const pinged: boolean = client.ping();
const position: Position | null = client.position;
const connectionId: string | null = client.connectionId;
console.log(bare, end, pinged, position?.seq, connectionId);

// @ts-expect-error no such transport
client.use("tcp");
// @ts-expect-error use says which one
client.use();
// @ts-expect-error no such event
client.on("price", () => {});
// @ts-expect-error a quote has no bid
client.on("price_update", ({ data }) => data.bid);
// @ts-expect-error only a closed trade has P&L
client.on("trade_opened", ({ data }) => data.pnl);
// @ts-expect-error a snapshot is not numbered
client.on("pnl_update", ({ seq }) => seq);
// @ts-expect-error a number, not its name
client.subscribeSession("6");
// @ts-expect-error no such type
client.subscribeSession(6, { types: ["price_update"] });
// @ts-expect-error a list
client.subscribePrices("NIFTY");
// @ts-expect-error misspelled
client.subscribePrices(["NIFTY"], { interval: 500 });
// @ts-expect-error an object, not a class
new VyomoClient({ WebSocket: {} });
// @ts-expect-error read only
client.status = { state: "open", transport: "ws", detail: "" };
// @ts-expect-error may be null
client.position.seq;
client.on("message", (message) => {
  // @ts-expect-error not every message has data
  message.data;
});
