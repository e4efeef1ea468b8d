"""Well-behaved users of a soaked server: writers, watchers that resume, and a price feed."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable
from contextlib import suppress
from typing import Any

import msgspec
from yarl import URL

from lab.site.target import AWAY
from lab.soak.promptness import Promptness, Visit
from lab.soak.site import Site
from lab.soak.truth import SessionTruth, Truth
from lab.soak.violated import Violated
from vyomo_rt_client.links import EventStream, Lost, WebSocket
from vyomo_rt_client.messages import Refused
from vyomo_rt_client.subscription import SESSION_ID

SYMBOLS = ("NIFTY", "BANKNIFTY", "FINNIFTY", "RELIANCE", "TCS", "INFY")
_PRICES = (22150.5, 48000.0, 21000.0, 2900.0, 3900.0, 1500.0)
MANY = [f"S{number}" for number in range(300)]
"""So many prices fill a socket soon when nobody reads them."""
SLOW_TIMEOUT_S = 2.0
_REFUSING = (
    "HALTED",
    *("maxOrderValue:", "maxOpenTrades:", "maxTradesPerDay:", "cooldownSeconds:", "squareOff:"),
)
_PASSING = {"unavailable", "limit_exceeded", "internal"}


class Writer:
    """Opens and closes trades one after the other, each request until it is answered."""

    def __init__(
        self, number: int, site: Site, truth: SessionTruth, feed: Feed, promptness: Promptness
    ) -> None:
        self._name = f"writer {number}"
        self._promptness = promptness
        self._site = site
        self._truth = truth
        self._feed = feed

    async def run(self) -> None:
        """Trade until the soak stops; finish what was begun."""
        count, rng = 0, self._site.rng
        while not self._site.stopping.is_set():
            count += 1
            opening = f"{self._name} opens {count}"
            order = self._order(rng)
            trade = await self._open(order, opening)
            if trade is None:
                continue
            if rng.random() < 0.2:
                await self._place(f"{self._name} orders {count}")
            await asyncio.sleep(rng.uniform(0.02, 0.6))
            if rng.random() < 0.2:
                part, key = {"quantity": 1}, f"{self._name} reduces {count}"
                path_of_close = f"/trades/{trade['tradeId']}/close"
                await self._site.until_answered(path_of_close, part, key, {200, 409})
            if rng.random() < 0.9:
                await self._close(trade["tradeId"], f"{self._name} closes {count}")
            if rng.random() < 0.1:
                await self._open(order, opening)

    async def _open(self, order: dict[str, Any], key: str) -> dict[str, Any] | None:
        """The trade that was opened; None if the session is halted, or a rule forbids it."""
        path = f"/sessions/{self._truth.session_id}/trades"
        status, answer = await self._site.until_answered(path, order, key, {201, 409})
        if status == 409:
            await self._rest(answer)
            return None
        self._truth.acknowledge_opening(key, answer["tradeId"])
        if answer["status"] == "OPEN":
            self._promptness.know(self._truth.session_id, "trade_opened", answer["tradeId"])
        return answer

    async def _rest(self, answer: dict[str, Any]) -> None:
        """Wait a little if it was refused because of a halt or a rule."""
        if not any(reason in answer["detail"] for reason in _REFUSING):
            raise Violated(f"a right request is not refused: {answer}")
        await asyncio.sleep(0.1)

    def _order(self, rng: random.Random) -> dict[str, Any]:
        symbol = rng.choice(SYMBOLS)
        price = self._feed.prices[symbol]
        order = {"symbol": symbol, "quantity": rng.randint(1, 100), "entryPrice": price}
        if rng.random() < 0.3:
            order |= {"stopLoss": round(price * 0.998, 2), "target": round(price * 1.002, 2)}
        elif rng.random() < 0.3:
            order |= {
                "trailingStop": round(price * 0.002, 2),
                "breakevenAt": round(price * 1.001, 2),
            }
        return order

    async def _place(self, key: str) -> None:
        """Place an order near the price, and maybe cancel it."""
        rng, symbol = self._site.rng, self._site.rng.choice(SYMBOLS)
        price = round(self._feed.prices[symbol] * rng.uniform(0.999, 1.001), 2)
        order = {"symbol": symbol, "quantity": 1, "type": rng.choice(("LIMIT", "STOP"))}
        path = f"/sessions/{self._truth.session_id}/orders"
        body = order | {"price": price}
        status, answer = await self._site.until_answered(path, body, key, {201, 409})
        if status == 409:
            await self._rest(answer)
            return
        order_id = answer["order"]["orderId"]
        self._truth.acknowledge_order(key, order_id)
        if rng.random() < 0.5:
            gone = f"/orders/{order_id}"
            await self._site.until_answered(gone, None, None, {200, 409}, method="DELETE")

    async def _close(self, trade_id: int, key: str) -> None:
        body = {}
        if self._site.rng.random() < 0.5:
            body["price"] = self._site.rng.randrange(9_000, 2_500_000) / 100
        path = f"/trades/{trade_id}/close"
        status, answer = await self._site.until_answered(path, body, key, {200, 409})
        trade = answer if status == 200 else answer.get("trade")
        if trade is None:
            raise Violated(f"a right request is not refused: POST {path}: {status} {answer}")
        self._truth.closed[trade_id] = trade
        self._promptness.know(self._truth.session_id, "trade_closed", trade_id)


class Watcher:
    """Watches a session over one connection after another, on either transport.

    It stays for a while, is cut off, or dozes until the server must have closed it as too
    slow; it always comes back with the number of the last event it has seen.
    """

    def __init__(
        self,
        site: Site,
        truth: SessionTruth,
        counts: Counter[str],
        promptness: Promptness,
        *,
        watches: bool = False,
    ) -> None:
        """``watches``: it watches all sessions besides."""
        self._watches = watches
        self.has_seen_others = not watches
        self.position: int | None = None
        self._epoch = ""
        self._site = site
        self._truth = truth
        self._counts = counts
        self._promptness = promptness
        self._visited: Visit | None = None
        self._since: int | None = None
        self._as_of: dict[str, str] = {}
        """Of this connection's prices: another node may be a little behind."""

    async def run(self) -> None:
        """Until cancelled."""
        rng = self._site.rng
        while True:
            kind = rng.choice((WebSocket, EventStream))
            dozes = rng.random() < 0.15
            try:
                await self._visit(kind, dozes, rng.uniform(0.5, 6))
            except (Lost, TimeoutError):
                await asyncio.sleep(rng.uniform(0.05, 0.4))
            except Refused as refused:
                raise Violated(f"a right subscription is not refused: {refused}") from refused

    async def _visit(
        self, kind: type[WebSocket] | type[EventStream], dozes: bool, stay_s: float
    ) -> None:
        session: dict[str, Any] = {"sessionId": self._truth.session_id, "updateInterval": 500}
        self._since = self.position
        self._as_of = {}
        if self.position is not None:
            session |= {"since": self.position, "epoch": self._epoch}
        symbols = MANY if dozes else list(SYMBOLS)
        prices = {"symbols": symbols, "priceInterval": 100 if dozes else 500}
        async with asyncio.timeout(15):
            commands = (session, prices, {"updateInterval": 500} if self._watches else None)
            link = await kind.open(self._site.http, URL(self._site.url), "", commands)
        self._counts[f"connections over {'SSE' if kind is EventStream else 'WebSocket'}"] += 1
        try:
            if dozes:
                await self._doze(link)
            else:
                await self._stay(link, stay_s)
        finally:
            self._visited = None
            await link.close()

    async def _stay(self, link: WebSocket | EventStream, for_s: float) -> None:
        if self._since is None:  # what the first snapshot holds does not come as an event
            await self._read(link, for_s)
            return
        self._visited = self._promptness.visit(self._truth.session_id)
        await self._read(link, for_s)
        self._visited.end()

    async def _doze(self, link: WebSocket | EventStream) -> None:
        """Read nothing until the server must have closed; then check that it did."""
        calm = self._site.calm
        until_s = self._promptness.now_s + 2 * SLOW_TIMEOUT_S + 2
        while self._promptness.now_s < until_s:
            if self._site.stopping.is_set():
                return
            await asyncio.sleep(0.1)
        try:
            await self._read(link, 4.0)
        except Lost:
            self._counts["slow ones closed"] += 1
            raise
        if calm is not None and self._site.calm == calm:
            raise Violated("who does not read is closed: a watcher was still connected")

    async def _read(self, link: WebSocket | EventStream, for_s: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(for_s):
                while True:
                    self._take(await link.receive())

    def _take(self, text: str) -> None:
        message = msgspec.json.decode(text)
        match message["type"]:
            case "ack" if message.get("id") in (None, SESSION_ID):
                self._acknowledged(message["result"])
            case "session_update" if "seq" not in message:
                self._overlook(message["data"]["sessionId"])
            case "session_update":
                if message["seq"] > (self.position or 0):
                    raise Violated(
                        f"figures are never ahead of their events: {message['seq']} after event "
                        f"{self.position} of session {self._truth.session_id}"
                    )
            case "error" if message["code"] in _PASSING:
                raise Lost(message["message"])
            case "error":
                raise Violated(f"a right subscription is not refused: {text}")
            case "price_update":
                self._see_price(message["data"])
            case "server_shutdown":
                raise Lost("the server shuts down")
            case _ if "seq" in message:  # an event, of whatever kind
                self._see(message, text)

    def _see_price(self, price: dict[str, Any]) -> None:
        before = self._as_of.get(price["symbol"], "")
        if price["asOf"] < before:
            raise Violated(f"the moment of a price never goes back: after {before} came {price}")
        self._as_of[price["symbol"]] = price["asOf"]

    def _overlook(self, session_id: int) -> None:
        if not self._watches or session_id == self._truth.session_id:
            raise Violated(f"only other sessions are told without an event: {session_id}")
        self.has_seen_others = True
        self._counts["figures of other sessions seen"] += 1

    def _acknowledged(self, result: dict[str, Any]) -> None:
        self._epoch = result["epoch"]
        if self._since is None:
            self.position = result["seq"]
        elif not result["recovered"]:
            raise Violated(
                f"who comes back resumes: event {self._since} of session "
                f"{self._truth.session_id} was no place to go on from"
            )
        else:
            self._counts["resumptions"] += 1

    def _see(self, event: dict[str, Any], text: str) -> None:
        seq = event["seq"]
        if self.position is None or seq != self.position + 1:
            raise Violated(
                f"every watcher sees every event once and in order: after {self.position} "
                f"came {seq} of session {self._truth.session_id}"
            )
        self.position = seq
        self._counts["events seen"] += 1
        self._truth.tell(seq, text.encode())
        if self._visited is not None:
            self._visited.hear(event)
        else:  # it is not new to the next visit, whoever learns of it later
            self._promptness.hear(self._truth.session_id, event)


class Feed:
    """Pushes prices that walk at random, and can be told to misbehave."""

    def __init__(self, site: Site) -> None:
        self.prices = dict(zip(SYMBOLS, _PRICES, strict=True))
        self.pause_until_s = 0.0
        self._site = site

    async def run(self) -> None:
        """Until cancelled."""
        rng = self._site.rng
        while True:
            await asyncio.sleep(0.25)
            if asyncio.get_running_loop().time() < self.pause_until_s:
                continue
            for symbol, price in self.prices.items():
                self.prices[symbol] = round(price * (1 + rng.gauss(0, 0.0005)), 2)
            ticks = [{"symbol": symbol, "price": price} for symbol, price in self.prices.items()]
            ticks += [{"symbol": symbol, "price": rng.randint(100, 110)} for symbol in MANY]
            await self.push(ticks, accepted=len(ticks))

    async def push(self, ticks: Any, *, accepted: int) -> None:
        """Post ticks, and check that so many are accepted; skip a server that is away."""
        try:
            status, answer = await self._site.call("POST", "/ticks", ticks)
        except AWAY:
            return
        if status == 503:
            return
        taken = answer.get("accepted", 0)
        if status not in (200, 400, 422) or taken != accepted:
            raise Violated(
                f"right ticks are taken, wrong ones are not: {status} {str(answer)[:300]}, "
                f"to be accepted were {accepted}"
            )

    def ticks(self, factor: float = 1.0, **more: Any) -> list[dict[str, Any]]:
        """A tick of each symbol at its price times a factor."""
        return [
            {"symbol": symbol, "price": round(price * factor, 2)} | more
            for symbol, price in self.prices.items()
        ]

    async def hiccup(self, kind: str) -> None:
        """Misbehave once."""
        match kind:
            case "pause":
                self.pause_until_s = asyncio.get_running_loop().time() + 3
            case "repeats":
                await self.push(self.ticks() * 20, accepted=20 * len(SYMBOLS))
            case "back in time":
                hour_ago_ms = round(time.time() * 1000) - 3_600_000
                ticks = self.ticks() + self.ticks(ts=hour_ago_ms)
                await self.push(ticks, accepted=len(SYMBOLS))
            case "no prices":
                await self.push(b'[{"symbol":"NIFTY","price":NaN}]', accepted=0)
                await self.push(self.ticks(factor=0), accepted=0)
                await self.push(self.ticks(factor=-1), accepted=0)
            case "misprints":
                factor = self._site.rng.choice((0.6, 1.4))
                ticks = self.ticks() + self.ticks(factor) + self.ticks()
                await self.push(ticks, accepted=len(ticks))
            case "burst":
                for _ in range(5):
                    await self.push((self.ticks() * 166)[:990], accepted=990)


HICCUPS = ("pause", "repeats", "back in time", "no prices", "misprints", "burst")


async def guarded(truth: Truth, actor: Awaitable[None]) -> None:
    """Run an actor; a violation that it finds ends the soak."""
    try:
        await actor
    except Violated as violated:
        truth.violate(violated)
