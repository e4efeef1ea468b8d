"""The feed ``openalgo``: JSON over one connection for all that is wanted."""

from __future__ import annotations

import asyncio
import logging
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
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
from vyomo_rt.market.feeds.sockets import Data, Key, Patience, SocketFeed

log = logging.getLogger(__name__)

_LAST_PRICE = 1
_DEPTH = 5
_OF_BSE = re.compile(r"(SENSEX|BANKEX)\d")
_SECONDS_BELOW = 10**11
_SHOWN = 200
_CONFIRMED_WITHIN_S = 3.0


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
        self,
        names: Names,
        address: str,
        api_key: str,
        calendar: Calendar,
        now: MarketClock,
        *,
        patience: Patience | None = None,
    ) -> None:
        super().__init__(calendar, now, patience, secrets=[api_key])
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
        """Log in, and wait for an answer: a subscription that comes before it may be refused."""
        await socket.send_str(_message("authenticate", api_key=self._api_key))
        with suppress(TimeoutError):
            async with asyncio.timeout(_CONFIRMED_WITHIN_S):
                while not self._is_confirmed(await self._receive(socket)):
                    pass

    def _is_confirmed(self, data: Data | None) -> bool:
        if data is None:
            return False
        message = json_object(self.service, data)
        self._raise_error(message)
        return message.get("status") == "success"

    def subscriptions(self, keys: Sequence[Key]) -> Iterable[str]:
        for key in keys:
            yield _message("subscribe", **_of(key), mode=_LAST_PRICE, depth=_DEPTH)

    def cancellations(self, keys: Sequence[Key]) -> Iterable[str]:
        for key in keys:
            yield _message("unsubscribe", **_of(key), mode=_LAST_PRICE)

    def read(self, data: Data) -> Iterable[tuple[Key, Price | None]]:
        message = json_object(self.service, data)
        if message.get("type") == "subscribe":
            yield from self._refused_symbols(message)
        else:
            self._raise_error(message)
            yield from self._prices(message)

    def _raise_error(self, message: Mapping[str, Any]) -> None:
        """An error may be about the key or the broker; one about anything else is only logged."""
        if "error" not in (message.get("status"), message.get("type")):
            return
        texts = (message.get(name) for name in ("code", "message"))
        words = ", ".join(str(text) for text in texts if text)[:_SHOWN]
        self.raise_refusal(words)
        if str(message.get("code")).startswith("BROKER"):
            raise FeedFailed(f"OpenAlgo is not logged in to its broker: {words}")
        log.warning("OpenAlgo reports an error: %s", words)

    def _prices(self, message: Mapping[str, Any]) -> Iterable[tuple[Key, Price]]:
        """Of a message of any type, as the documentation names others than the server does."""
        inner = message.get("data")
        fields = inner if isinstance(inner, dict) else message
        if (price := price_e4(fields.get("ltp"))) is not None:
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
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if not 0 < value < math.inf:  # nor is NaN a moment
        return None
    return round(value * 1000 if value < _SECONDS_BELOW else value)
