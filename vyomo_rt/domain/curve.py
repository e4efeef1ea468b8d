"""A session's P&L over time: a row a minute, of which only changes are kept."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import NamedTuple

from vyomo_rt.domain.moment import IST_AHEAD_MS, MINUTE_MS
from vyomo_rt.domain.state import SessionState

_AHEAD = IST_AHEAD_MS // MINUTE_MS
MINUTES_AN_HOUR = 60
HOURS_A_DAY = 24


class CurveRow(NamedTuple):
    """A session's P&L as of a minute (since the epoch, rounded down)."""

    minute: int
    realised_paise: int = 0
    unrealised_paise: int = 0
    net_paise: int = 0
    """What has been realised net of charges, and what is unrealised."""

    @property
    def hour(self) -> int:
        return hour_of(self.minute)

    @property
    def day(self) -> int:
        return self.hour // HOURS_A_DAY


def row_of(state: SessionState, unrealised_paise: int, minute: int) -> CurveRow:
    """A session's row of a minute."""
    figures = state.figures
    net_paise = figures.net_paise + unrealised_paise
    return CurveRow(minute, figures.realised_paise, unrealised_paise, net_paise)


def hour_of(minute: int) -> int:
    """The hour of a minute, counted in Asia/Kolkata; 24 of them are a date there."""
    return (minute + _AHEAD) // MINUTES_AN_HOUR


def filled(rows: Iterable[CurveRow], ran: Collection[int]) -> Iterator[CurveRow]:
    """The rows of a date, one for each minute of ``ran`` from the first row on.

    A row holds until the next one. A row of a minute that is not in ``ran`` stays, too: the
    server ended before it could note the minute.
    """
    kept = {row.minute: row for row in rows}
    newest: CurveRow | None = None
    for minute in sorted({*ran, *kept}):
        newest = kept.get(minute, newest)
        if newest is not None:
            yield newest._replace(minute=minute)
