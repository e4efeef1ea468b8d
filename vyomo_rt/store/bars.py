"""Bars in MongoDB: a document of each symbol for an hour of minutes, and for a day of hours.

The bars of a document are one text: for the embedded server that is a tenth of the work.
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from msgspec import json
from pymongo import ReplaceOne, WriteConcern
from pymongo.errors import DuplicateKeyError

from vyomo_rt.domain.bars import Bar, NewestBars, Standing, SymbolHour, SymbolMinute
from vyomo_rt.domain.errors import Unavailable
from vyomo_rt.domain.moment import HOUR_MS, MINUTE_MS, day_of
from vyomo_rt.store.client import where
from vyomo_rt.store.database import reading
from vyomo_rt.store.documents import Document

if TYPE_CHECKING:
    from vyomo_rt.store.client import Collection
    from vyomo_rt.store.database import Database

_NEWEST_ID = "newest"

Row = tuple[int, int, int, int, int, int, bool]
"""Which minute of an hour or hour of a day; open, high, low, close; how many prices; partial."""


class SavedBars:
    """The collections ``bars``, ``day_bars`` and, for what is newer, ``fresh_bars``."""

    def __init__(self, store: Database) -> None:
        self._store = store
        # None of these writes is worth a flush of the disk, and each second's no second opinion.
        settled, fresh = WriteConcern("majority", j=False), WriteConcern(1, j=False)
        database = store.database
        self._hours: Collection = database.get_collection("bars", write_concern=settled)
        self._days: Collection = database.get_collection("day_bars", write_concern=settled)
        self._fresh: Collection = database.get_collection("fresh_bars", write_concern=fresh)

    # -- what is newer than the documents of hours --------------------------------

    async def load(self) -> NewestBars:
        """What a former start had kept. Raises Unavailable."""
        with reading():
            found = await self._fresh.find({}).to_list(None)
        newest = next((each for each in found if each["_id"] == _NEWEST_ID), None)
        minutes = [_to_minute(row) for each in found if each is not newest for row in _rows(each)]
        if newest is None:
            return NewestBars(0, [], minutes)
        standings = [
            Standing(*_to_minute(row), lag_ms, is_followed)
            for *row, lag_ms, is_followed in _rows(newest)
        ]
        return NewestBars(newest["saved"], standings, minutes)

    async def save_standings(self, standings: Sequence[Standing], saved_ms: int) -> None:
        """Keep the newest minutes in place of those before. Raises Unavailable."""
        rows = [
            (*_from_minute(symbol, bar), lag_ms, is_followed)
            for symbol, bar, lag_ms, is_followed in standings
        ]
        term = self._store.term
        document = {"_id": _NEWEST_ID, "saved": saved_ms, "term": term, "rows": _text(rows)}
        with self._store.writing():
            try:
                await self._fresh.replace_one(
                    where(_id=_NEWEST_ID, term={"$lte": term}), document, upsert=True
                )
            except DuplicateKeyError as error:
                raise Unavailable("another server saves the bars now") from error

    async def add_minutes(self, minutes: Sequence[SymbolMinute]) -> None:
        """Keep finished minutes until their hours are settled. Raises Unavailable."""
        if not minutes:
            return
        document = {
            "_id": uuid.uuid4().hex,
            "last": max(minute.bar.start_ms for minute in minutes),
            "rows": _text([_from_minute(*minute) for minute in minutes]),
        }
        with self._store.writing():
            await self._fresh.insert_one(document)

    async def forget_minutes(self, before_hour_ms: int) -> None:
        """Remove the minutes of hours that are settled. Raises Unavailable."""
        with self._store.writing():
            await self._fresh.delete_many(where(last={"$lt": before_hour_ms}))

    # -- hours and days ------------------------------------------------------------

    async def settle(self, hours: Sequence[SymbolHour]) -> None:
        """Put minutes into the documents of their hours, and those into the days'.

        The same minutes again change nothing. Raises Unavailable or OutcomeUnknown.
        """
        of_hours = {f"{each.symbol} {each.hour_ms}": each for each in hours}
        there = await self._there(self._hours, of_hours, "minutes")
        of_days: dict[str, Document] = {}
        new_hours: dict[str, dict[int, Bar]] = {}
        for id_, (symbol, hour_ms, bars) in of_hours.items():
            minutes = _bars(there.get(id_, ()), hour_ms, MINUTE_MS)
            for bar in bars:
                if bar.start_ms not in minutes or minutes[bar.start_ms].count <= bar.count:
                    minutes[bar.start_ms] = bar
            of_hours[id_] = SymbolHour(symbol, hour_ms, [minutes[at] for at in sorted(minutes)])
            day_ms = day_of(hour_ms)
            day_id = f"{symbol} {day_ms}"
            of_days[day_id] = {"_id": day_id, "symbol": symbol, "day": day_ms}
            new_hours.setdefault(day_id, {})[hour_ms] = _joined(of_hours[id_])
        await self._replace(
            self._hours,
            [
                {
                    "_id": id_,
                    "symbol": symbol,
                    "hour": hour_ms,
                    "minutes": _text(_from_bar(bar, hour_ms, MINUTE_MS) for bar in bars),
                }
                for id_, (symbol, hour_ms, bars) in of_hours.items()
            ],
        )
        there = await self._there(self._days, of_days, "hours")
        for id_, document in of_days.items():
            day_ms = document["day"]
            known = _bars(there.get(id_, ()), day_ms, HOUR_MS) | new_hours[id_]
            document["hours"] = _text(_from_bar(known[at], day_ms, HOUR_MS) for at in sorted(known))
        await self._replace(self._days, list(of_days.values()))

    async def expire(self, before_ms: int) -> bool:
        """Remove some of the oldest hours from before a moment; whether there were any.

        Raises Unavailable or OutcomeUnknown.
        """
        return await self._store.remove_some(self._hours, where(hour={"$lt": before_ms}))

    async def hours(
        self, symbol: str, first_ms: int, last_ms: int
    ) -> AsyncIterator[Sequence[SymbolHour]]:
        """The settled hours of a symbol, in order, page by page. Raises Unavailable."""
        async for page in self._pages(self._hours, "hour", symbol, first_ms, last_ms):
            yield [
                SymbolHour(symbol, hour_ms, [*_bars(rows, hour_ms, MINUTE_MS).values()])
                for hour_ms, rows in ((each["hour"], _decode(each["minutes"])) for each in page)
            ]

    async def days(
        self, symbol: str, first_ms: int, last_ms: int
    ) -> AsyncIterator[Sequence[tuple[int, dict[int, Bar]]]]:
        """The days of a symbol, each with its settled hours, page by page. Raises Unavailable."""
        async for page in self._pages(self._days, "day", symbol, first_ms, last_ms):
            yield [
                (each["day"], _bars(_decode(each["hours"]), each["day"], HOUR_MS)) for each in page
            ]

    async def _pages(
        self, collection: Collection, key: str, symbol: str, first_ms: int, last_ms: int
    ) -> AsyncIterator[list[Document]]:
        limit = self._store.lanes.pace.page
        operator = "$gte"
        while True:
            bounds = {operator: first_ms, "$lte": last_ms}
            async with self._store.lanes.history_read():
                with reading():
                    page = (
                        await collection.find(where(symbol=symbol, **{key: bounds}))
                        .sort(key, 1)
                        .limit(limit)
                        .to_list(limit)
                    )
            if page:
                yield page
            if len(page) < limit:
                return
            operator, first_ms = "$gt", page[-1][key]

    async def _there(
        self, collection: Collection, ids: Iterable[str], member: str
    ) -> dict[str, list[Row]]:
        """The bars of those of these documents that exist."""
        found = await self._store.among(collection, list(ids))
        return {each["_id"]: _decode(each[member]) for each in found}

    async def _replace(self, collection: Collection, documents: Sequence[Document]) -> None:
        # Only the fence guards them: with the term in the filter they take six times as long.
        writes = [ReplaceOne(where(_id=each["_id"]), each, upsert=True) for each in documents]
        with self._store.writing():
            await collection.bulk_write(writes, ordered=False)


def _joined(hour: SymbolHour) -> Bar:
    bar = Bar(hour.hour_ms)
    for minute in hour.bars:
        bar.join(minute)
    return bar


_decode = json.Decoder(list[Row]).decode


def _text(rows: Iterable[Any]) -> str:
    return json.encode(list(rows)).decode()


def _rows(document: Mapping[str, Any]) -> list[Any]:
    rows: list[Any] = json.decode(document["rows"])
    return rows


def _from_bar(bar: Bar, begins_ms: int, length_ms: int) -> Row:
    at = (bar.start_ms - begins_ms) // length_ms
    prices = bar.open_e4, bar.high_e4, bar.low_e4, bar.close_e4
    return at, *prices, bar.count, bar.is_partial


def _bars(rows: Iterable[Row], begins_ms: int, length_ms: int) -> dict[int, Bar]:
    starts = ((begins_ms + row[0] * length_ms, row) for row in rows)
    return {start_ms: Bar(start_ms, *row[1:]) for start_ms, row in starts}


def _from_minute(symbol: str, bar: Bar) -> tuple[Any, ...]:
    return symbol, *_from_bar(bar, 0, 1)


def _to_minute(row: Sequence[Any]) -> SymbolMinute:
    symbol, start_ms, *values = row
    return SymbolMinute(symbol, Bar(start_ms, *values))
