"""Prices as clients get them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

from msgspec import Meta

from vyomo_rt.domain.moment import iso
from vyomo_rt.domain.quote import Quote
from vyomo_rt.wire.decoding import Body
from vyomo_rt.wire.encoding import Data, Message, around_list, encode
from vyomo_rt.wire.frame import Frame, make_frame
from vyomo_rt.wire.numbers import from_e4
from vyomo_rt.wire.values import Price, SpelledSymbol, Symbol, Timestamp


class PriceData(Data):
    symbol: Symbol
    price: Price
    timestamp: Timestamp
    as_of: Annotated[Timestamp, Meta(description="When the source says that the price was true")]
    source: str
    stale: Annotated[bool, Meta(description="Older than the feed promises, late, or not confirmed")]


class PriceUpdate(Message, tag="price_update"):
    """The last price of a symbol."""

    data: PriceData


class PricesQuery(Body):
    symbols: Annotated[list[SpelledSymbol], Meta(description="Left out: all")] | None = None


class PriceList(Data):
    prices: list[PriceData]


def price_data(quote: Quote, now_ms: int) -> PriceData:
    return PriceData(
        symbol=quote.symbol,
        price=from_e4(quote.price_e4),
        timestamp=iso(now_ms),
        as_of=iso(quote.as_of_ms),
        source=quote.source,
        stale=quote.stale,
    )


def price_update(quote: Quote, now_ms: int) -> Frame:
    return make_frame("price_update", encode(PriceUpdate(data=price_data(quote, now_ms))))


def around_prices() -> tuple[bytes, bytes]:
    """The JSON of a PriceList before and behind its prices."""
    return around_list(PriceList([]))


def prices_text(quotes: Iterable[Quote], now_ms: int) -> bytes:
    """Prices of a PriceList."""
    return encode([price_data(quote, now_ms) for quote in quotes])[1:-1]
