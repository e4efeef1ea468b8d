/**
 * Prices, trades and P&L of a vyomo-rt server, over WebSocket or Server-Sent Events.
 *
 *     import { VyomoClient } from "http://localhost:4025/static/vyomo-rt.js";
 *     const client = new VyomoClient();
 *     client.on("pnl_update", ({ data }) => console.log(data.symbol, data.unrealizedPnL));
 *     client.subscribeSession(6);
 *     client.subscribePrices(["NIFTY", "BANKNIFTY"], { priceInterval: 500 });
 *     client.connect();
 *
 * After a lost connection it reconnects by itself, subscribes to the same things and resumes the
 * session where it stopped: every event is delivered once and in order.
 */
export class VyomoClient extends EventTarget {
    /**
     * @param {object} [options]
     * @param {string | URL} [options.url] the server's address, http(s) or ws(s); by default the one
     *   from which this module was loaded
     * @param {"auto" | Transport} [options.transport] `auto` uses WebSocket, and Server-Sent Events
     *   if that cannot be opened
     * @param {() => string | Promise<string>} [options.getToken] gets a token that says who the page
     *   is, where the server wants to know; called at first, before the token ends, and when it is
     *   refused. An empty text ends the connection. A page that has signed in needs none.
     * @param {new (url: string) => any} [options.WebSocket] a class to use if there is no global
     *   one
     * @param {new (url: string) => any} [options.EventSource] likewise
     */
    constructor(options?: {
        url?: string | URL | undefined;
        transport?: "auto" | Transport | undefined;
        getToken?: (() => string | Promise<string>) | undefined;
        WebSocket?: (new (url: string) => any) | undefined;
        EventSource?: (new (url: string) => any) | undefined;
    });
    /** The connection, as last reported by a `status` event.
     * @returns {Status} */
    get status(): Status;
    /** Where the session stands; continue there with `subscribeSession(id, { since: seq, epoch })`.
     * @returns {Position | null} */
    get position(): Position | null;
    /** The server's name for this connection, for its log; null while there is none. */
    get connectionId(): string | null;
    /**
     * Calls `listener` with every message of a type. A listener that throws disturbs no other.
     * @template {keyof Events} T
     * @param {T} type a message type, `message` for all of them, or `status`, `gap`, `raw`
     * @param {(message: Events[T]) => void} listener
     * @returns {() => void} ends it
     */
    on<T extends keyof Events>(type: T, listener: (message: Events[T]) => void): () => void;
    /**
     * Connects, and stays connected until `close` or a final refusal. An earlier subscription
     * goes on where it stopped, on any transport.
     * @param {"auto" | Transport} [transport]
     */
    connect(transport?: "auto" | Transport): void;
    /**
     * Switches to another transport with subscription and position: nothing is lost or doubled.
     * Does nothing if it is already in use; a closed client uses it at the next `connect`.
     * @param {"auto" | Transport} transport
     */
    use(transport: "auto" | Transport): void;
    /** Drops an open connection as a failing network would: it reconnects by itself and resumes. */
    cut(): void;
    /** Closes the connection; subscription and position are kept for another `connect`. */
    close(): void;
    /**
     * Subscribes to a session instead of any other. Without `since` it starts with a fresh snapshot.
     * But the session already followed, if `types` or `updateInterval` is given, goes on with these,
     * and nothing is lost or doubled.
     * @param {number} sessionId
     * @param {{ types?: SessionType[], updateInterval?: number, since?: number,
     *   epoch?: string }} [options]
     */
    subscribeSession(sessionId: number, options?: {
        types?: SessionType[];
        updateInterval?: number;
        since?: number;
        epoch?: string;
    }): void;
    unsubscribeSession(): void;
    /**
     * Adds symbols; interval and `onlyChanges` apply to all of them.
     * @param {string[]} symbols
     * @param {{ priceInterval?: number, onlyChanges?: boolean }} [options]
     */
    subscribePrices(symbols: string[], options?: {
        priceInterval?: number;
        onlyChanges?: boolean;
    }): void;
    /** @param {string[]} [symbols] all of them if left out */
    unsubscribePrices(symbols?: string[]): void;
    /**
     * Watches all sessions that may be seen: a `session_update` of each at once, then of those whose
     * figures have changed. These have no `seq`; those of the subscribed session come as before.
     * @param {{ updateInterval?: number }} [options]
     */
    watchSessions(options?: {
        updateInterval?: number;
    }): void;
    unwatchSessions(): void;
    /** Asks for a `pong`. @returns {boolean} false if that is impossible: SSE, no connection */
    ping(): boolean;
    #private;
}
export type SessionType = "session_update" | "pnl_update" | "trade_opened" | "trade_closed" | "trade_reduced" | "trade_changed" | "order_placed" | "order_ended" | "session_changed";
export type Transport = "ws" | "sse";
export type Command = "subscribe_session" | "unsubscribe_session" | "subscribe_prices" | "unsubscribe_prices" | "watch_sessions" | "unwatch_sessions";
/**
 * The last delivered event; `epoch` names the history in which `seq` counts.
 */
export type Position = {
    sessionId: number;
    seq: number;
    epoch?: string;
};
export type Subscription = {
    sessionId: number | null;
    types?: SessionType[];
    updateInterval?: number;
    symbols: string[];
    priceInterval?: number;
    onlyChanges?: boolean;
    watching?: boolean;
    watchInterval?: number;
};
export type Trade = {
    tradeId: number;
    sessionId: number;
    symbol: string;
    side: "BUY" | "SELL";
    quantity: number;
    entryPrice: number;
    timestamp: string;
};
export type Exits = {
    stopLoss?: number | null;
    target?: number | null;
};
export type Guards = Exits & {
    trailingStop?: number | null;
    trailingStep?: number | null;
    trailFrom?: number | null;
    breakevenAt?: number | null;
};
export type Labels = {
    tags?: string[] | null;
    note?: string | null;
    by?: string;
};
export type Exit = {
    exitPrice: number;
    pnl: number;
    pnlPercent: number;
    exitReason: "SL" | "TARGET" | "MANUAL" | "SQUARE_OFF" | "RISK";
    exitDetail?: string;
    stale?: true;
    closedQuantity?: number;
    parts?: number;
    charges?: number;
    netPnl?: number;
    by?: string;
};
export type Order = Guards & Labels & {
    orderId: number;
    sessionId: number;
    symbol: string;
    side: "BUY" | "SELL";
    quantity: number;
    type: "LIMIT" | "STOP";
    price: number;
    validity: "DAY" | "GTC";
    timestamp: string;
};
export type OrderEnd = {
    orderId: number;
    sessionId: number;
    symbol: string;
    reason: "CANCELLED" | "EXPIRED" | "REFUSED";
    detail: string | null;
    timestamp: string;
    by?: string;
};
export type Figures = {
    sessionId: number;
    status: "ACTIVE" | "PAUSED" | "HALTED" | "STOPPED";
    statusReason: string | null;
    currentCapital: number;
    totalPnL: number;
    todayPnL: number;
    unrealizedPnL: number;
    totalTrades: number;
    openTrades: number;
    winningTrades: number;
    losingTrades: number;
    winRate: number;
    timestamp: string;
    totalCharges?: number;
    netTotalPnL?: number;
    netTodayPnL?: number;
};
/**
 * those that are set
 */
export type Rules = {
    maxDailyLoss?: number;
    dailyTarget?: number;
    profitLock?: {
        armAt: number;
        floor: number;
    };
    maxOrderValue?: number;
    maxTradesPerDay?: number;
    maxOpenTrades?: number;
    losingStreak?: number;
    cooldownSeconds?: number;
    squareOff?: string;
};
export type Change = {
    sessionId: number;
    name: string;
    status: Figures["status"];
    statusReason: string | null;
    reason: string;
    detail: string | null;
    rules: Rules;
    charges: "NSE_INTRADAY" | "NSE_OPTIONS" | "NSE_FUTURES" | null;
    lock: {
        date: string;
        floor: number;
    } | null;
    waived: string[];
    waivedOn: string | null;
    timestamp: string;
    by?: string;
};
export type Quote = {
    symbol: string;
    price: number;
    timestamp: string;
    asOf: string;
    source: string;
    stale: boolean;
};
/**
 * What the server sends, by type; docs/protocol.md says what it means.
 */
export type Messages = {
    price_update: {
        data: Quote;
    };
    trade_opened: {
        seq: number;
        data: Trade & Guards & Labels & {
            status: "OPEN";
            orderId?: number;
        };
    };
    trade_closed: {
        seq: number;
        data: Trade & Exit & {
            status: "CLOSED";
        };
    };
    /**
     * `quantity`: what is left
     */
    trade_reduced: {
        seq: number;
        data: Trade & Exit & {
            status: "OPEN";
            realizedPnL: number;
        };
    };
    trade_changed: {
        seq: number;
        data: Trade & Guards & Labels & {
            status: "OPEN";
            reason: "MANUAL" | "TRAILING" | "BREAKEVEN";
        };
    };
    /**
     * also after a change
     */
    order_placed: {
        seq: number;
        data: Order;
    };
    order_ended: {
        seq: number;
        data: OrderEnd;
    };
    session_changed: {
        seq: number;
        data: Change;
    };
    /**
     * without `seq`: of
     * a session that is watched among all others
     */
    session_update: {
        seq?: number;
        recovered?: boolean;
        data: Figures;
    };
    pnl_update: {
        data: Trade & Exits & {
            currentPrice: number;
            unrealizedPnL: number;
            pnlPercent: number;
            stale: boolean;
            riskAmount?: number;
        };
    };
    feed_status: {
        data: {
            source: string;
            state: "LIVE" | "DEGRADED" | "DOWN";
            message: string;
            timestamp: string;
            marketState?: "OPEN" | "CLOSED" | "PREOPEN" | "AUCTION";
            marketTime?: string;
            rate?: number | "max";
            paused?: boolean;
            sources?: {
                source: string;
                state: "LIVE" | "DEGRADED" | "DOWN";
                message: string;
            }[];
        };
    };
    server_shutdown: {
        data: {
            reconnectAfterMs: number;
        };
    };
    token_expiring: {
        data: {
            expiresAt: string;
        };
    };
    pong: {
        id?: string | number;
        timestamp: string;
    };
    ack: {
        id?: string | number;
        connectionId?: string;
        node?: string;
        result: Subscription & {
            seq?: number | null;
            epoch?: string | null;
            recovered?: boolean;
            unknown?: string[];
        };
    };
    /**
     * `command`: the one that was refused, if any
     */
    error: {
        id?: string | number;
        message: string;
        code?: string;
        detail?: string;
        retryAfterMs?: number;
        command?: Command;
    };
};
export type Typed = { [T in keyof Messages]: {
    type: T;
} & Messages[T]; };
export type AnyMessage = Typed[keyof Messages];
/**
 * What the client itself says.
 */
export type Reports = {
    /**
     * every message, after the listeners of its type
     */
    message: AnyMessage;
    /**
     * a text as it came, before it is parsed
     */
    raw: {
        text: string;
        transport: Transport;
    };
    /**
     * the connection changed
     */
    status: Status;
    /**
     * events were lost
     */
    gap: Gap;
};
/**
 * `waiting`: it will try again by itself; `closed`: it will not. `code`: why a WebSocket closed.
 */
export type Status = {
    state: "connecting" | "open" | "waiting" | "closed";
    transport: Transport;
    detail: string;
    code?: number;
    retryInMs?: number;
};
/**
 * The session's events after `from`, up to `to`, were not delivered and will not be. If `to`
 * is less than `from`, the server has begun another history.
 */
export type Gap = {
    sessionId: number;
    from: number;
    to: number;
    recovered: false;
};
export type Events = Typed & Reports;
