"""The feed ``kite``: Zerodha's Kite Connect, one connection for all that is wanted."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Self

from msgspec import json
from yarl import URL

from vyomo_rt.domain.errors import CannotStart
from vyomo_rt.domain.moment import MarketClock
from vyomo_rt.exchange.calendar import Calendar
from vyomo_rt.market.feed import FeedContext
from vyomo_rt.market.feeds.kite.instruments import read_instruments
from vyomo_rt.market.feeds.kite.packets import read_packets
from vyomo_rt.market.feeds.names import Names
from vyomo_rt.market.feeds.reading import Price, json_object
from vyomo_rt.market.feeds.sockets import Data, Key, Patience, SocketFeed

log = logging.getLogger(__name__)

_SHOWN = 200


class KiteFeed(SocketFeed):
    """Live prices, with the exchange's moments."""

    source = "kite"
    service = "Kite"
    max_symbols = 3000
    has_key_in_address = True
    key_words = re.compile(
        r"access.?token|api.?key|authenti|authori|forbidden|tokenexception", re.IGNORECASE
    )
    refusal_help = (
        "log in at Kite Connect, put the new access token into VYOMO_RT_KITE_ACCESS_TOKEN or its "
        "file, check VYOMO_RT_KITE_API_KEY, and start the server again; a token lasts for one "
        "trading day"
    )

    def __init__(
        self,
        tokens: Mapping[str, int],
        names: Names,
        address: URL,
        calendar: Calendar,
        now: MarketClock,
        *,
        patience: Patience | None = None,
    ) -> None:
        super().__init__(calendar, now, patience, secrets=address.query.values())
        self._tokens = tokens
        self._names = names
        self._address = address

    @classmethod
    def made_for(cls, context: FeedContext) -> Self:
        settings = context.settings
        key, token = settings.kite_api_key, settings.kite_access_token
        if key is None or token is None:
            raise CannotStart(
                "feed kite: set VYOMO_RT_KITE_API_KEY and VYOMO_RT_KITE_ACCESS_TOKEN, or name "
                "files with them in VYOMO_RT_KITE_API_KEY_FILE and VYOMO_RT_KITE_ACCESS_TOKEN_FILE"
            )
        listed = settings.kite_instruments
        tokens = {} if listed is None else read_instruments(listed)
        names = Names.of_source(cls.source, settings.symbol_names)
        address = URL(settings.kite_url).with_query(api_key=key, access_token=token)
        return cls(tokens, names, address, context.calendar, context.now)

    def address(self) -> str:
        return str(self._address)

    def key(self, symbol: str, /) -> int | None:
        for name in self._names.of(symbol):
            if (token := name if isinstance(name, int) else self._tokens.get(name)) is not None:
                return token
        return self._tokens.get(symbol)

    def subscriptions(self, keys: Sequence[Key]) -> Iterable[str]:
        yield _message("subscribe", keys)
        # In the fullest mode alone do packets say when the price was true.
        yield _message("mode", ["full", keys])

    def cancellations(self, keys: Sequence[Key]) -> Iterable[str]:
        yield _message("unsubscribe", keys)

    def read(self, data: Data) -> Iterable[tuple[Key, Price | None]]:
        if isinstance(data, str):
            self._read_text(data)
            return
        for token, price in read_packets(data):
            if price is not None:
                yield token, price

    def _read_text(self, text: str) -> None:
        """Orders and notices of the broker are nobody's here; errors are told."""
        message = json_object(self.service, text)
        if message.get("type") != "error":
            return
        words = str(message.get("data") or message.get("message"))[:_SHOWN]
        self.raise_refusal(words)
        log.warning("Kite reports an error: %s", words)


def _message(action: str, value: object) -> str:
    return json.encode({"a": action, "v": value}).decode()
