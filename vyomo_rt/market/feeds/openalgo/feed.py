"""The feed ``openalgo``: JSON over one connection for all that is wanted."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Self

from aiohttp import ClientWebSocketResponse
from msgspec import json

from vyomo_rt.domain.errors import CannotStart
from vyomo_rt.domain.market import Segment
from vyomo_rt.domain.moment import MarketClock
from vyomo_rt.exchange.calendar import Calendar
from vyomo_rt.exchange.instruments import segment_of
from vyomo_rt.market.feed import FeedContext, FeedFailed
from vyomo_rt.market.feeds.names import Names, is_stock
from vyomo_rt.market.feeds.reading import Price, json_object, price_e4
from vyomo_rt.market.feeds.sockets import Data, Key, SocketFeed

log = logging.getLogger(__name__)

_LAST_PRICE = 1
_DEPTH = 5
_OF_BSE = re.compile(r"(SENSEX|BANKEX)\d")
_SECONDS_BELOW = 10**11
_SHOWN = 200


class OpenAlgoFeed(SocketFeed):
    """Live prices of the broker that an OpenAlgo server is logged in to."""

    source = "openalgo"
    service = "OpenAlgo"
    max_symbols = 1000
    key_words = re.compile(r"authentic|unauthori|api.?key", re.IGNORECASE)
    refusal_help = (
        "put the API key that its page shows into VYOMO_RT_OPENALGO_API_KEY or its file, and "
        "start the server again"
    )

    def __init__(
        self, names: Names, address: str, api_key: str, calendar: Calendar, now: MarketClock
    ) -> None:
        super().__init__(calendar, now)
        self._names = names
        self._address = address
        self._api_key = api_key

    @classmethod
    def made_for(cls, context: FeedContext) -> Self:
        settings = context.settings
        if settings.openalgo_api_key is None:
            raise CannotStart(
                "feed openalgo: set VYOMO_RT_OPENALGO_API_KEY, or name a file with it in "
                "VYOMO_RT_OPENALGO_API_KEY_FILE"
            )
        names = Names.of_source(cls.source, settings.symbol_names)
        address, key = settings.openalgo_url, settings.openalgo_api_key
        return cls(names, address, key, context.calendar, context.now)

    def address(self) -> str:
        return self._address

    def key(self, symbol: str, /) -> str | None:
        """The exchange and OpenAlgo's name of a symbol, as in ``NSE:RELIANCE``."""
        if names := self._names.of(symbol):
            return str(names[0])
        if segment_of(symbol) is Segment.FNO:
            return f"{'BFO' if _OF_BSE.match(symbol) else 'NFO'}:{symbol}"
        return f"NSE:{symbol}" if is_stock(symbol) else None

    async def greet(self, socket: ClientWebSocketResponse) -> None:
        """Log in, and wait until that is confirmed; before, nothing else is listened to."""
        await socket.send_str(_message("authenticate", api_key=self._api_key))
        try:
            async with asyncio.timeout(self.patience.connect_s):
                while not self._is_confirmed(await self._receive(socket)):
                    pass
        except TimeoutError:
            limit = f"{self.patience.connect_s:g} s"
            raise FeedFailed(f"OpenAlgo does not confirm the key within {limit}") from None

    def _is_confirmed(self, data: Data | None) -> bool:
        if data is None:
            return False
        message = json_object(self.service, data)
        if _is_error(message):
            self.raise_refusal(_words(message))
            raise FeedFailed(f"OpenAlgo does not log in to the broker: {_words(message)}")
        return message.get("type") == "market_data" or message.get("status") == "success"

    def subscriptions(self, keys: Sequence[Key]) -> Iterable[str]:
        for key in keys:
            yield _message("subscribe", **_of(key), mode=_LAST_PRICE, depth=_DEPTH)

    def cancellations(self, keys: Sequence[Key]) -> Iterable[str]:
        for key in keys:
            yield _message("unsubscribe", **_of(key), mode=_LAST_PRICE)

    def read(self, data: Data) -> Iterable[tuple[Key, Price | None]]:
        message = json_object(self.service, data)
        if message.get("type") == "market_data":
            yield from self._prices(message)
        elif message.get("type") == "subscribe":
            yield from self._refused_symbols(message)
        elif _is_error(message):
            self.raise_refusal(_words(message))
            log.warning("OpenAlgo reports an error: %s", _words(message))

    def _prices(self, message: Mapping[str, Any]) -> Iterable[tuple[Key, Price]]:
        inner = message.get("data")
        fields = inner if isinstance(inner, dict) else message
        price = price_e4(fields.get("ltp"))
        if price is not None:
            moment = fields.get("timestamp", message.get("timestamp"))
            yield self._key_of(message), Price(price, _moment_ms(moment))

    def _refused_symbols(self, message: Mapping[str, Any]) -> Iterable[tuple[Key, None]]:
        rows = message.get("subscriptions")
        for row in rows if isinstance(rows, list) else [message]:
            if isinstance(row, dict) and row.get("status") == "error":
                yield self._key_of(row), None

    def _key_of(self, message: Mapping[str, Any]) -> str:
        """The key of a message; without an exchange it is the one that is subscribed to."""
        symbol, exchange = str(message.get("symbol")).upper(), message.get("exchange")
        if exchange is not None:
            return f"{str(exchange).upper()}:{symbol}"
        keys = (str(key) for key in self._symbols)
        return next((key for key in keys if key.partition(":")[2] == symbol), symbol)


def _of(key: Key) -> dict[str, str]:
    exchange, _, symbol = str(key).partition(":")
    return {"symbol": symbol, "exchange": exchange}


def _is_error(message: Mapping[str, Any]) -> bool:
    return "error" in (message.get("status"), message.get("type"))


def _words(message: Mapping[str, Any]) -> str:
    texts = (message.get(name) for name in ("code", "message"))
    return ", ".join(str(text) for text in texts if text)[:_SHOWN]


def _message(action: str, **fields: object) -> str:
    return json.encode({"action": action, **fields}).decode()


def _moment_ms(value: object) -> int | None:
    """Milliseconds, or seconds where they are so few, or ISO 8601 with a zone."""
    if isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            return int(value) if value.isascii() and value.isdigit() else None
        return None if moment.tzinfo is None else round(moment.timestamp() * 1000)
    if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
        return None
    return round(value * 1000 if value < _SECONDS_BELOW else value)
