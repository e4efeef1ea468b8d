"""The REST calls of a server, one method each."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any, TypedDict, Unpack

from vyomo_rt_client.calls import Calls, Document

Number = Decimal | int
Moment = datetime | str | int


class Terms(TypedDict, total=False):
    """How a trade is guarded, and what is noted with it. In a change None takes a member away.

    `trailing_stop` is a distance, `trailing_step` by how much the stop moves at least. `trail_from`
    and `breakeven_at` are prices. `tags` have letters, digits, ``_`` and ``-``.
    """

    stop_loss: Number | None
    target: Number | None
    trailing_stop: Number | None
    trailing_step: Number | None
    trail_from: Number | None
    breakeven_at: Number | None
    tags: Collection[str] | None
    note: str | None


class Settings(TypedDict, total=False):
    """What may be changed of a session, of its `rules` one by one; None takes a rule away.

    `status` is ACTIVE, PAUSED, HALTED, or STOPPED, which is final. `rules` are named as on the
    wire: ``{"maxDailyLoss": 2000, "squareOff": "15:15"}``. `charges` is NSE_INTRADAY, NSE_OPTIONS,
    NSE_FUTURES or None.
    """

    status: str
    name: str
    rules: Mapping[str, object]
    charges: str | None


class TradeFilter(TypedDict, total=False):
    """Which trades of a session; dates are those of the exit in India, as ``2026-11-23``."""

    status: str
    symbol: str
    side: str
    tag: str
    from_date: date | str
    to_date: date | str


class Api(Calls):
    """A server's REST calls; ``async with`` closes the connections they use.

        async with Api("http://localhost:4025") as api:
            session = await api.create_session(Decimal("50000"))
            trade = await api.open_trade(session["sessionId"], "NIFTY", 75, stop_loss=Decimal("23000"))

    Numbers are Decimal or int; a float raises TypeError. A call that is refused for now, or whose
    answer was lost, is repeated for `timeout_s` if it cannot be carried out twice: reads, changes,
    and calls that make or close something, which always have an idempotency key. Give a key
    yourself to repeat a call after the program has ended. Pushed ticks are not repeated, because
    they would be out of date. All methods raise ApiError.

    `token` says who the program is, if the server wants to know: a text, or an async function that
    returns one. The function is called at first, and once more when a token is refused; an empty
    text means that the program is no longer allowed. `session` is an aiohttp session to use, for a
    proxy or TLS; it stays open.
    """  # noqa: E501 (the line of code reads best whole)

    # -- sessions ----------------------------------------------------------------

    async def create_session(
        self,
        starting_capital: Number,
        *,
        name: str | None = None,
        rules: Mapping[str, object] | None = None,
        charges: str | None = None,
        idempotency_key: str | None = None,
    ) -> Document:
        """Make a session; `rules` and `charges` as in `Settings`."""
        body: Document = {"startingCapital": starting_capital, "name": name}
        body |= {"rules": rules, "charges": charges}
        return await self.make("sessions", body, idempotency_key)

    async def list_sessions(self) -> list[Document]:
        sessions: list[Document] = []
        query: dict[str, Any] = {}
        while True:
            page = await self.call("GET", "sessions", query=query)
            sessions += page["sessions"]
            if page.get("next") is None:
                return sessions
            query = {"after": page["next"]}

    async def show_session(self, session_id: int) -> Document:
        return await self.call("GET", f"sessions/{session_id}")

    async def change_session(self, session_id: int, **settings: Unpack[Settings]) -> Document:
        """Change status, name, rules or charges; what is left out stays."""
        return await self.call("PATCH", f"sessions/{session_id}", dict(settings))

    async def close_all(
        self, session_id: int, *, halt: bool = True, reason: str | None = None
    ) -> Document:
        """The kill switch: halt the session, then close everything in it.

        The answer has the ids of the `closed` trades, and says of each of the `failed` ones why.
        """
        body = {"halt": halt} | ({} if reason is None else {"reason": reason})
        path = f"sessions/{session_id}/close-all"
        return await self.call("POST", path, body, is_idempotent=True)

    async def halt(self, *, close_all: bool = False, reason: str | None = None) -> Document:
        """Halt all `sessions` that the caller may trade, and maybe close everything in them."""
        body = {"closeAll": close_all} | ({} if reason is None else {"reason": reason})
        return await self.call("POST", "halt", body, is_idempotent=True)

    async def list_events(self, session_id: int, *, since: int = 0) -> Document:
        """At most 10 000 `events` after number `since`, as the streams carry them."""
        return await self.call("GET", f"sessions/{session_id}/events", query={"since": since})

    async def show_report(
        self,
        session_id: int,
        *,
        by: str | None = None,
        from_date: date | str | None = None,
        to_date: date | str | None = None,
        net: bool = False,
    ) -> Document:
        """What closed trades earned: `rows` by day (or as `by` says), and their `total`.

        `by` is day, week, month, symbol, tag, reason or hour. Dates are those of the closings in
        India. With `net`, everything is net of charges.
        """
        query = {"by": by, "from": from_date, "to": to_date, "net": "true" if net else None}
        return await self.call("GET", f"sessions/{session_id}/report", query=query)

    async def show_curve(
        self,
        session_id: int,
        *,
        from_date: date | str | None = None,
        to_date: date | str | None = None,
    ) -> list[Document]:
        """P&L a minute, 30 days back; minutes in which the server did not run are left out.

        Dates are those in India; a text may be a moment, too, as ``2026-11-23T09:15:00+05:30``.
        """
        query = {"from": from_date, "to": to_date}
        path = f"sessions/{session_id}/curve"
        return list((await self.call("GET", path, query=query))["rows"])

    # -- trades ------------------------------------------------------------------

    async def open_trade(
        self,
        session_id: int,
        symbol: str,
        quantity: int,
        *,
        side: str = "BUY",
        entry_price: Number | None = None,
        idempotency_key: str | None = None,
        **terms: Unpack[Terms],
    ) -> Document:
        """Open a trade; without `entry_price`, at the last price."""
        body = {"symbol": symbol, "quantity": quantity, "side": side, "entryPrice": entry_price}
        body |= _members(terms)
        return await self.make(f"sessions/{session_id}/trades", body, idempotency_key)

    async def list_trades(
        self,
        session_id: int,
        *,
        limit: int | None = None,
        after: int | None = None,
        **which: Unpack[TradeFilter],
    ) -> Document:
        """A page of `trades`, newest first; its `next` is the next page's `after`."""
        query = _parameters(which) | {"limit": limit, "after": after}
        return await self.call("GET", f"sessions/{session_id}/trades", query=query)

    async def export_trades(self, session_id: int, **which: Unpack[TradeFilter]) -> str:
        """All these trades as a table (CSV)."""
        return await self.fetch_table(f"sessions/{session_id}/trades.csv", _parameters(which))

    async def show_trade(self, trade_id: int) -> Document:
        return await self.call("GET", f"trades/{trade_id}")

    async def change_trade(self, trade_id: int, **terms: Unpack[Terms]) -> Document:
        """Change the guards, tags or note of an open trade. If closed, 409: `problem["trade"]`."""
        return await self.call("PATCH", f"trades/{trade_id}", _members(terms))

    async def close_trade(
        self,
        trade_id: int,
        *,
        quantity: int | None = None,
        price: Number | None = None,
        idempotency_key: str | None = None,
    ) -> Document:
        """Close a trade or a part of it; without `price`, at the last one.

        If closed, 409: `problem["trade"]`.
        """
        body = {"quantity": quantity, "price": price}
        return await self.make(f"trades/{trade_id}/close", body, idempotency_key)

    # -- pending entries ---------------------------------------------------------

    async def place_order(
        self,
        session_id: int,
        symbol: str,
        quantity: int,
        *,
        order_type: str,
        price: Number,
        side: str = "BUY",
        validity: str | None = None,
        idempotency_key: str | None = None,
        **terms: Unpack[Terms],
    ) -> Document:
        """Open a trade once a price is reached: the `order`, and its `trade` if it is filled.

        `order_type` is LIMIT (`price` or better) or STOP (`price` or worse), `validity` DAY or GTC.
        """
        body = {"symbol": symbol, "quantity": quantity, "side": side, "type": order_type}
        body |= {"price": price, "validity": validity} | _members(terms)
        return await self.make(f"sessions/{session_id}/orders", body, idempotency_key)

    async def list_orders(
        self,
        session_id: int,
        *,
        status: str | None = None,
        limit: int | None = None,
        after: int | None = None,
    ) -> Document:
        """A page of `orders`, newest first; its `next` is the next page's `after`."""
        query = {"status": status, "limit": limit, "after": after}
        return await self.call("GET", f"sessions/{session_id}/orders", query=query)

    async def change_order(
        self,
        order_id: int,
        *,
        quantity: int | None = None,
        price: Number | None = None,
        validity: str | None = None,
        **terms: Unpack[Terms],
    ) -> Document:
        """Change a pending entry, which may fill it. If ended, 409: `problem["order"]`."""
        changes = {"quantity": quantity, "price": price, "validity": validity}
        given = {name: value for name, value in changes.items() if value is not None}
        return await self.call("PATCH", f"orders/{order_id}", given | _members(terms))

    async def cancel_order(self, order_id: int) -> Document:
        """Cancel a pending entry. If ended, 409: `problem["order"]`."""
        return await self.call("DELETE", f"orders/{order_id}")

    # -- prices ------------------------------------------------------------------

    async def list_prices(self, symbols: Collection[str] | None = None) -> list[Document]:
        """The last prices, of all symbols or of those named that have one."""
        query = {} if symbols is None else {"symbols": ",".join(symbols)}
        return list((await self.call("GET", "prices", query=query))["prices"])

    async def list_bars(
        self,
        symbol: str,
        interval: str,
        *,
        from_moment: Moment | None = None,
        to_moment: Moment | None = None,
        limit: int | None = None,
    ) -> Document:
        """A page of `bars`, oldest first; its `next` is the next page's `from_moment`.

        `interval` is ``1m``, ``5m``, ``15m``, ``1h`` or ``1d``. Moments are those at which bars
        start, both included: aware datetimes, texts with a zone, or epoch milliseconds.
        """
        query = {"symbol": symbol, "interval": interval, "limit": limit}
        query |= {"from": _moment(from_moment), "to": _moment(to_moment)}
        return await self.call("GET", "bars", query=query)

    async def push_ticks(self, ticks: Iterable[Mapping[str, object]]) -> Document:
        """Push prices, at most 1000: each a mapping with `symbol`, `price` and maybe `ts`.

        The answer counts the `accepted` ones and gives a reason for each of the `rejected`.
        """
        return await self.call("POST", "ticks", list(ticks))

    # -- market ------------------------------------------------------------------

    async def show_market(self) -> Document:
        """`marketState`, the `sessions` of the current `date`, all known `holidays`."""
        return await self.call("GET", "market")

    async def list_instruments(
        self, symbols: Collection[str] | None = None, *, search: str | None = None
    ) -> list[Document]:
        """What is known of these symbols, or of all; of those that contain the text `search`."""
        query = {"symbols": None if symbols is None else ",".join(symbols), "q": search}
        return list((await self.call("GET", "instruments", query=query))["instruments"])


def _members(terms: Terms) -> Document:
    """The members of a body, named as on the wire."""
    return {
        re.sub("_(.)", lambda found: found[1].upper(), name): value for name, value in terms.items()
    }


def _moment(moment: Moment | None) -> str | int | None:
    """A moment as on the wire."""
    return moment.isoformat() if isinstance(moment, datetime) else moment


def _parameters(which: TradeFilter) -> Document:
    """The parameters of a query, named as on the wire."""
    return {name.removesuffix("_date"): value for name, value in which.items()}
