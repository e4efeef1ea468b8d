"""The market and what is traded in it: sessions, holidays, instruments."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from vyomo_rt.domain.market import (
    Instrument,
    MarketSession,
    MarketState,
    PreviousClose,
    Segment,
)
from vyomo_rt.domain.moment import iso_ist
from vyomo_rt.wire.decoding import Body
from vyomo_rt.wire.encoding import Data, unless_none
from vyomo_rt.wire.numbers import from_e4
from vyomo_rt.wire.values import Price, SpelledSymbol, Symbol

_Moment = Annotated[
    str,
    Meta(
        description="Asia/Kolkata, to the second",
        extra_json_schema={
            "format": "date-time",
            "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+05:30$",
        },
    ),
]


class SessionHours(Data):
    """Continuous trading in one segment."""

    segment: Segment
    open: _Moment
    close: _Moment


class HolidayData(Data):
    date: date
    name: str


class MarketDocument(Data):
    """The market on the current date."""

    market_state: Annotated[MarketState, Meta(description="Of the INDEX segment, now")]
    date: Annotated[date, Meta(description="In Asia/Kolkata")]
    sessions: Annotated[list[SessionHours], Meta(description="Of this date; none if it is closed")]
    holidays: Annotated[list[HolidayData], Meta(description="All that are known")]
    warning: Annotated[
        str | UnsetType, Meta(description="What is wrong with the calendar: that its data ends")
    ] = UNSET


class InstrumentData(Data):
    """What is known of a symbol."""

    symbol: Symbol
    segment: Segment
    lot: Annotated[int | None, Meta(description="null if it is not known")]
    tick: Annotated[
        Price | None, Meta(description="By the last price; null if it takes one to tell")
    ]
    expiry: Annotated[
        date | UnsetType, Meta(description="Of a contract: the last date on which it is traded")
    ] = UNSET
    previous_close: Annotated[
        Price | UnsetType, Meta(description="Where the source of its price tells it")
    ] = UNSET
    previous_close_date: Annotated[
        date | UnsetType, Meta(description="The date of the session that ended with it")
    ] = UNSET


class InstrumentsQuery(Body):
    symbols: (
        Annotated[
            list[SpelledSymbol], Meta(description="Left out: all that are known, 500 at most")
        ]
        | None
    ) = None
    q: (
        Annotated[
            str,
            Meta(description="Those of them that contain this text", max_length=64),
        ]
        | None
    ) = None


class InstrumentList(Data):
    instruments: list[InstrumentData]


def market_document(
    state: MarketState,
    day: date,
    sessions: Iterable[MarketSession],
    holidays: Iterable[tuple[date, str]],
    warning: str | None,
) -> MarketDocument:
    return MarketDocument(
        market_state=state,
        date=day,
        sessions=[
            SessionHours(each.segment, iso_ist(each.open_ms), iso_ist(each.close_ms))
            for each in sessions
        ],
        holidays=[HolidayData(day, name) for day, name in holidays],
        warning=unless_none(warning),
    )


def instrument_data(known: Instrument, close: PreviousClose | None) -> InstrumentData:
    return InstrumentData(
        symbol=known.symbol,
        segment=known.segment,
        lot=known.lot,
        tick=None if known.tick_e4 is None else from_e4(known.tick_e4),
        expiry=unless_none(known.expiry),
        previous_close=UNSET if close is None else from_e4(close.price_e4),
        previous_close_date=UNSET if close is None else close.date,
    )
