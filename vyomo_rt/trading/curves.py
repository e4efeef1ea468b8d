"""Keeps each session's P&L of every minute, and finds it again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import suppress
from itertools import groupby
from typing import Protocol

from vyomo_rt.domain.curve import HOURS_A_DAY, MINUTES_AN_HOUR, CurveRow, filled, hour_of, row_of
from vyomo_rt.domain.errors import VyomoError
from vyomo_rt.domain.moment import MINUTE_MS, MarketClock
from vyomo_rt.domain.quote import Quote
from vyomo_rt.domain.session import SessionStatus
from vyomo_rt.domain.state import SessionState
from vyomo_rt.trading.replica import Replica

_Place = tuple[int, int]
"""A session and an hour."""

KEPT_DAYS = 30
_EVERYBODY = 0
"""In place of a session: its rows are the minutes in which the server ran."""
_KEPT_BY_OTHERS_MINUTES = 15
"""What another server should keep is held for so long, because the store may be away."""
_SLICE = 200
"""Sessions that are looked at in one step: two milliseconds."""


class KeptCurves(Protocol):
    """What the curves need of a store; ``vyomo_rt.store`` has the implementation.

    All methods raise Unavailable or OutcomeUnknown.
    """

    async def save(self, session_id: int, hour: int, rows: Sequence[CurveRow]) -> None:
        """Keep the rows that this server has for an hour, in place of those it kept before."""

    async def load(self, session_id: int, first_hour: int, last_hour: int) -> Sequence[CurveRow]:
        """The rows of these hours, by minute, each once."""

    async def expire(self, before_hour: int) -> bool:
        """Remove some rows of earlier hours; whether there were any."""


class Curves:
    """Takes a row of each session a minute, by the market's clock.

    A row that is like the one before is not kept. The first of a date, and of a run of the
    server, always is, so that nothing older is needed to tell what a minute was like.
    """

    def __init__(
        self,
        replica: Replica,
        quote: Callable[[str], Quote | None],
        kept: KeptCurves,
        now: MarketClock,
    ) -> None:
        self._replica = replica
        self._quote = quote
        self._kept = kept
        self._now = now
        self._minute = 0
        self._newest: dict[int, CurveRow] = {}
        self._rows: dict[_Place, list[CurveRow]] = {}
        """Those of this hour, and what could not be saved."""
        self._unsaved: dict[_Place, None] = {}
        self._ran: list[CurveRow] = []
        """The same of the minutes themselves, once all sessions' rows of them were taken."""
        self._told_minute = 0
        self._expired_hour = 0

    async def take(self) -> None:
        """Take the rows of a minute once it has begun; call it several times a second."""
        minute = self._now() // MINUTE_MS
        if minute <= self._minute:
            return
        self._forget(minute)
        self._minute = minute
        states = self._replica.states()
        for start in range(0, len(states), _SLICE):
            for state in states[start : start + _SLICE]:
                self._take(state, minute)
            await asyncio.sleep(0)
        self._ran.append(CurveRow(minute))

    async def save(self) -> None:
        """Save what was taken, and remove what is old, if the store is there."""
        with suppress(VyomoError):
            ran = list(self._ran)
            for place in list(self._unsaved):
                await self._save(place)
            # Last, because they say that the rows of these minutes are complete. Some may have
            # been given up meanwhile.
            await self._tell([row for row in ran if row in self._ran])
            await self._expire(hour_of(self._minute) - KEPT_DAYS * HOURS_A_DAY)

    def follow(self) -> None:
        """Another server keeps the rows: hold only those that it may not have kept yet."""
        upto = self._minute - _KEPT_BY_OTHERS_MINUTES
        if upto <= self._told_minute:
            return
        self._told_minute = upto
        self._ran = [row for row in self._ran if row.minute > upto]
        for place, rows in list(self._rows.items()):
            if left := [row for row in rows if row.minute > upto]:
                self._rows[place] = left
            else:
                del self._rows[place]
                self._unsaved.pop(place, None)

    async def days(
        self, session_id: int, first_minute: int, last_minute: int
    ) -> AsyncGenerator[Sequence[CurveRow], None]:
        """A session's rows of these minutes, a date at a time. Raises Unavailable."""
        newest = self._now() // MINUTE_MS
        first_minute = max(first_minute, newest - KEPT_DAYS * HOURS_A_DAY * MINUTES_AN_HOUR)
        first, last = hour_of(first_minute), hour_of(min(last_minute, newest))
        for midnight in range(first - first % HOURS_A_DAY, last + 1, HOURS_A_DAY):
            hours = midnight, midnight + HOURS_A_DAY - 1
            # First, because rows that are saved in between must not be missing in told minutes.
            ran = {row.minute for row in await self._kept.load(_EVERYBODY, *hours)}
            rows = await self._kept.load(session_id, *hours)
            if rows:
                found = filled(rows, ran)
                yield [row for row in found if first_minute <= row.minute <= last_minute]

    def _take(self, state: SessionState, minute: int) -> None:
        session = state.session
        before = self._newest.get(session.session_id)
        if before is None and session.status is SessionStatus.STOPPED:
            return
        row = row_of(state, state.unrealised_paise(self._quote), minute)
        if before is None or row[1:] != before[1:]:
            self._newest[session.session_id] = row
            place = session.session_id, row.hour
            self._rows.setdefault(place, []).append(row)
            self._unsaved[place] = None

    async def _save(self, place: _Place) -> None:
        if place not in self._unsaved:
            return  # it was given up meanwhile
        rows = self._rows[place]
        del self._unsaved[place]
        try:
            await self._kept.save(*place, rows)
        except VyomoError:
            self._unsaved[place] = None
            self._rows[place] = rows
            raise

    async def _tell(self, ran: Sequence[CurveRow]) -> None:
        for hour, rows in groupby(ran, key=lambda row: row.hour):
            of_hour = list(rows)
            if of_hour[-1].minute > self._told_minute:
                await self._kept.save(_EVERYBODY, hour, of_hour)
                self._told_minute = of_hour[-1].minute

    async def _expire(self, before_hour: int) -> None:
        if before_hour > self._expired_hour and not await self._kept.expire(before_hour):
            self._expired_hour = before_hour

    def _forget(self, minute: int) -> None:
        """What is over: the hours before, even if the store did not take them for an hour."""
        hour, now = hour_of(self._minute), hour_of(minute)
        if hour == now:
            return
        lost = [place for place in self._unsaved if place[1] < now - 1]
        for place in lost:
            del self._unsaved[place]
        for place in [place for place in self._rows if place not in self._unsaved]:
            del self._rows[place]
        # Of minutes that the store did not take, later rows may need one that is lost.
        last = self._told_minute if lost else minute
        self._ran = [row for row in self._ran if row.hour >= now - 1 and row.minute <= last]
        if lost or hour // HOURS_A_DAY != now // HOURS_A_DAY:
            self._newest.clear()
