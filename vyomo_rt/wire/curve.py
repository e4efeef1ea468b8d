"""A session's P&L over time: which minutes are asked for, and the row of one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, NamedTuple

from msgspec import Meta, field

from vyomo_rt.domain.curve import CurveRow
from vyomo_rt.domain.errors import BadRequest
from vyomo_rt.domain.moment import DAY_MS, MINUTE_MS, day_start_ms, iso
from vyomo_rt.wire.decoding import Body
from vyomo_rt.wire.encoding import Data, around_list, encode
from vyomo_rt.wire.moment import (
    LAST_MS,
    ClientMoment,
    looks_like_day,
    query_moment_ms,
    read_day,
)
from vyomo_rt.wire.numbers import from_paise
from vyomo_rt.wire.values import Money, Timestamp

_From = Annotated[
    ClientMoment,
    Meta(description="A date in Asia/Kolkata or a moment; left out: all that is kept"),
]
_To = Annotated[
    ClientMoment,
    Meta(description="A date in Asia/Kolkata, to its end, or a moment; left out: now"),
]


class Minutes(NamedTuple):
    """Both included, since the epoch."""

    first: int
    last: int


class CurveQuery(Body):
    from_: _From | None = field(default=None, name="from")
    to: _To | None = None

    def minutes(self) -> Minutes:
        """What is asked for. Raises BadRequest."""
        first_ms, _ = _span_ms("from", self.from_)
        _, last_ms = _span_ms("to", self.to)
        return Minutes(-(-first_ms // MINUTE_MS), last_ms // MINUTE_MS)


def _span_ms(name: str, text: int | str | None) -> tuple[int, int]:
    """The first and the last moment of a date, or of a moment. Raises BadRequest."""
    if text is None:
        return 0, LAST_MS
    if isinstance(text, str) and looks_like_day(text):
        day = read_day(name, text)
        assert day is not None
        return day_start_ms(day), day_start_ms(day) + DAY_MS - 1
    try:
        moment_ms = query_moment_ms(text, name)
    except BadRequest as error:
        raise BadRequest(f"{error}, or a date such as 2026-11-23", name) from None
    return moment_ms, moment_ms


class CurveRowData(Data):
    at: Annotated[Timestamp, Meta(description="The beginning of a minute")]
    realized_pnl: Annotated[Money, Meta(description="`totalPnL` then")]
    unrealized_pnl: Money
    net_pnl: Annotated[Money, Meta(description="`netTotalPnL` then, and what was unrealised")] = (
        field(name="netPnl")
    )


class Curve(Data):
    """A row a minute; minutes in which the server did not run are left out."""

    rows: list[CurveRowData]


def around_curve() -> tuple[bytes, bytes]:
    """The JSON of a Curve before and behind its rows."""
    return around_list(Curve([]))


def curve_text(rows: Iterable[CurveRow]) -> bytes:
    """Rows of a Curve."""
    return encode(
        [
            CurveRowData(
                at=iso(minute * MINUTE_MS),
                realized_pnl=from_paise(realised_paise),
                unrealized_pnl=from_paise(unrealised_paise),
                net_pnl=from_paise(net_paise),
            )
            for minute, realised_paise, unrealised_paise, net_paise in rows
        ]
    )[1:-1]
