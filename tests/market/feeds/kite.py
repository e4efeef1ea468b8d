"""A server that sends as Kite Connect does."""

from __future__ import annotations

import struct
from typing import Any

from aiohttp import web
from yarl import URL

from tests.market.feeds.serving import PATIENCE, MockStream, recorded
from vyomo_rt.domain.moment import MarketClock
from vyomo_rt.exchange.calendar import Calendar
from vyomo_rt.market.feeds.kite.feed import KiteFeed
from vyomo_rt.market.feeds.names import Names
from vyomo_rt.market.feeds.sockets import Patience

TOKENS = {"NIFTY": 256265, "TCS": 2953217, "USDINR": 412675, "NIFTY26NOV24000CE": 12_345_602}


def packet(name: str) -> bytearray:
    """The recorded packet of a length, by its mode."""
    lines = recorded(f"kite/{name}.hex").decode().splitlines()
    return bytearray.fromhex("".join(line.partition("#")[0] for line in lines))


def message(*packets: bytes) -> bytes:
    parts = (struct.pack(">H", len(each)) + each for each in packets)
    return struct.pack(">H", len(packets)) + b"".join(parts)


class MockKite(MockStream):
    name = "kite"
    down = "Kite sends a message that ends before its packets do"
    heartbeat = b"\x00"
    key, token = "the-key", "the-token"

    def __init__(self, at_ms: int, patience: Patience = PATIENCE) -> None:
        super().__init__(at_ms, patience)
        self.prices = {"NIFTY": 24190.05, "TCS": 3300.1}
        self.accepts = {(self.key, self.token)}
        self.has_moments = True
        self.notice: str | None = None

    def feed(self, calendar: Calendar, now: MarketClock) -> KiteFeed:
        address = URL(self.url.replace("http", "ws")).with_query(
            api_key=self.key, access_token=self.token
        )
        return KiteFeed(
            TOKENS, Names.of_source("kite"), address, calendar, now, patience=self.patience
        )

    def tick(self, symbol: str) -> bytes:
        rupees = self.prices[symbol]
        if not self.has_moments:
            body = packet("ltp")
        elif symbol == "NIFTY":
            body = packet("index_full")
            struct.pack_into(">I", body, 28, self.at_ms // 1000)
        else:
            body = packet("full")
            struct.pack_into(">I", body, 60, self.at_ms // 1000)
        struct.pack_into(">II", body, 0, TOKENS[symbol], round((rupees or 0) * 100))
        return message(bytes(body))

    async def on_connect(self, socket: web.WebSocketResponse) -> None:
        if self.notice is not None:
            await self.send(socket, self.notice)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        query = request.query
        if (query.get("api_key"), query.get("access_token")) not in self.accepts:
            self.connections += 1
            return web.Response(status=403)
        return await super().handle(request)

    async def on_message(self, socket: web.WebSocketResponse, message: dict[str, Any]) -> None:
        if message["a"] != "mode":
            return
        assert message["v"][0] == "full"
        for symbol, token in TOKENS.items():
            if token in message["v"][1]:
                await self.snapshot(socket, symbol)
