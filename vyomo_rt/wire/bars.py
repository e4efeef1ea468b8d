"""Bars as clients ask for them and get them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, NamedTuple

import msgspec
from msgspec import UNSET, Meta, UnsetType

from vyomo_rt.domain.bars import Bar, Interval
from vyomo_rt.domain.errors import BadRequest
from vyomo_rt.domain.moment import iso
from vyomo_rt.domain.quote import parse_symbol
from vyomo_rt.wire.decoding import Body
from vyomo_rt.wire.encoding import Data
from vyomo_rt.wire.moment import LAST_MS, ClientMoment, query_moment_ms
from vyomo_rt.wire.numbers import from_e4
from vyomo_rt.wire.values import Price, SpelledSymbol, Timestamp

MAX_BARS = 1500

_From = Annotated[
    ClientMoment, Meta(description="Bars that start at this moment or later; left out: all")
]
_To = Annotated[
    ClientMoment, Meta(description="Bars that start at this moment or earlier; left out: all")
]


class BarsAsked(NamedTuple):
    """What a query asks for."""

    symbol: str
    interval: Interval
    first_ms: int
    last_ms: int
    limit: int


class BarsQuery(Body):
    symbol: SpelledSymbol
    interval: Annotated[str, Meta(extra_json_schema={"enum": [*(each.value for each in Interval)]})]
    from_: _From | None = msgspec.field(default=None, name="from")
    to: _To | None = None
    limit: Annotated[int, Meta(ge=1, le=MAX_BARS)] = MAX_BARS

    def asked(self) -> BarsAsked:
        """What is asked for. Raises BadRequest."""
        first_ms = 0 if self.from_ is None else query_moment_ms(self.from_, "from")
        last_ms = LAST_MS if self.to is None else query_moment_ms(self.to, "to")
        return BarsAsked(
            parse_symbol(self.symbol), _interval(self.interval), first_ms, last_ms, self.limit
        )


class BarData(Data):
    """The prices of a span of time, in the order of their moments."""

    start: Timestamp
    open: Price
    high: Price
    low: Price
    close: Price
    count: Annotated[int, Meta(ge=1, description="How many prices it is made of")]
    partial: Annotated[
        bool | UnsetType,
        Meta(
            description="true: the server did not follow the symbol during all of this time",
            extra_json_schema={"const": True},
        ),
    ] = UNSET


class BarList(Data):
    """Bars, oldest first; the last one may still run.

    ``next`` is the next page's ``from``, null on the last page.
    """

    bars: list[BarData]
    next: Timestamp | None


def bar_data(bar: Bar) -> BarData:
    return BarData(
        start=iso(bar.start_ms),
        open=from_e4(bar.open_e4),
        high=from_e4(bar.high_e4),
        low=from_e4(bar.low_e4),
        close=from_e4(bar.close_e4),
        count=bar.count,
        partial=bar.is_partial or UNSET,
    )


def bar_list(bars: Sequence[BarData], next_ms: int | None) -> BarList:
    return BarList(list(bars), None if next_ms is None else iso(next_ms))


def _interval(text: str) -> Interval:
    try:
        return Interval(text)
    except ValueError:
        *others, last = (each.value for each in Interval)
        words = f"{', '.join(others)} or {last}"
        raise BadRequest(f"interval: expected {words}, got {text[:40]!r}", "interval") from None
