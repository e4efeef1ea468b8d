"""Makes a calendar file from NSE's own list of trading holidays."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

from vyomo_rt.domain.market import Segment
from vyomo_rt.exchange.calendar_file import (
    CalendarError,
    Holiday,
    Rows,
    read_rows,
    shipped_rows,
)

BASE_VARIABLE = "VYOMO_RT_NSE_URL"
_BASE = "https://www.nseindia.com"
_PATH = "/api/holiday-master?type=trading"
_PAGE = "/option-chain"
"""A visit to it gives the cookies without which NSE refuses its API."""
_HEADERS = {
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "Accept": "application/json, text/html, */*",
    "Accept-Language": "en-US,en;q=0.5",
}
_TIMEOUT = aiohttp.ClientTimeout(total=15)
_LONGEST_HEADER = 40_950
"""NSE's pages come with cookies beyond aiohttp's limit."""
_BY_HAND = "open {url} in a browser, save what it shows, and give that file with --answer"
_CASH = (Segment.EQ_FNO, Segment.EQ, Segment.INDEX)


class NoCalendar(Exception):
    """Why there is no calendar file, and what to do."""


class _Row(msgspec.Struct):
    trading_date: str = msgspec.field(name="tradingDate")
    description: str = ""

    def day(self) -> date:
        """Raises ValueError. NSE writes ``26-Jan-2027``."""
        return datetime.strptime(self.trading_date.strip(), "%d-%b-%Y").date()  # noqa: DTZ007


class _Answer(msgspec.Struct):
    """The lists of the cash market and of F&O, among others."""

    CM: list[_Row]
    FO: list[_Row] = []


async def fetch() -> bytes:
    """NSE's answer. Raises NoCalendar."""
    base = os.environ.get(BASE_VARIABLE, "").strip().rstrip("/") or _BASE
    more: dict[str, Any] = {
        "max_line_size": _LONGEST_HEADER,
        "max_field_size": _LONGEST_HEADER,
        # A gateway may be an IP address, from which aiohttp otherwise takes no cookies.
        "cookie_jar": aiohttp.CookieJar(unsafe=True),
    }
    by_hand = _BY_HAND.format(url=base + _PATH)
    try:
        async with aiohttp.ClientSession(headers=_HEADERS, timeout=_TIMEOUT, **more) as http:
            async with http.get(base + _PAGE):
                pass  # only its cookies count
            async with http.get(base + _PATH, headers={"Referer": base + _PAGE}) as response:
                if response.status == 200:
                    return await response.read()
                words = f"{base} answers {response.status}: it refuses programs, or this network"
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        words = f"{base} cannot be asked: {error or 'no answer in time'}"
    raise NoCalendar(f"{words}; {by_hand}")


def calendar_of(answer: bytes, source: str, present: Rows) -> Rows:
    """The calendar from NSE's answer; special sessions are those already known.

    NSE announces those only in circulars. Raises NoCalendar.
    """
    try:
        lists = msgspec.json.decode(answer, type=_Answer)
        cash, fno = ({row.day(): row for row in rows} for rows in (lists.CM, lists.FO or lists.CM))
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError) as error:
        raise NoCalendar(f"NSE's answer is no list of holidays: {error}") from error
    if not cash:
        raise NoCalendar("NSE's answer names no holiday of the cash market (CM)")
    days = sorted(cash.keys() | fno.keys())
    years = tuple(sorted({day.year for day in days}))
    return Rows(
        years=years,
        holidays=tuple(_holiday(day, cash.get(day), fno.get(day), source) for day in days),
        special=tuple(row for row in present.special if row.date.year in years),
    )


def _holiday(day: date, cash: _Row | None, fno: _Row | None, source: str) -> Holiday:
    segments: tuple[Segment, ...] = ()
    if cash is None or fno is None:
        segments = (Segment.FNO,) if cash is None else _CASH
    name = next((row.description for row in (cash, fno) if row is not None), "")
    return Holiday(day, " ".join(name.split()) or "Holiday", segments, source)


def _rows_of(path: Path) -> Rows | None:
    """The calendar file that is there already, if any. Raises NoCalendar."""
    try:
        return read_rows(path.read_bytes())
    except FileNotFoundError:
        return None
    except CalendarError as error:
        raise NoCalendar(f"{path}: {error}; fix it or move it away") from error


def text_of(rows: Rows) -> bytes:
    """A calendar file, one row per line."""
    tables: list[tuple[str, Sequence[msgspec.Struct]]] = [
        ("holidays", rows.holidays),
        ("special", rows.special),
        ("sessions", rows.sessions),
    ]
    parts = [f'"years": {list(rows.years)}']
    parts += [f'"{name}": [\n{_lines(table)}\n ]' for name, table in tables if table]
    return ("{\n " + ",\n ".join(parts) + "\n}\n").encode()


def _lines(table: Sequence[msgspec.Struct]) -> str:
    rows = (
        {name: value for name, value in msgspec.to_builtins(row).items() if value} for row in table
    )
    return ",\n".join("  " + msgspec.json.encode(row).decode() for row in rows)


def update(path: Path, answer: Path | None) -> str:
    """Write a calendar file from NSE's answer, fresh or saved; returns what it holds, in words.

    Years that are in the file and no longer in NSE's list stay in it. Raises NoCalendar.
    """
    before = _rows_of(path)
    known = shipped_rows() if before is None else shipped_rows().overridden_by(before)
    text = answer.read_bytes() if answer else asyncio.run(fetch())
    source = f"NSE's holiday-master, {datetime.now().astimezone().date()}"
    made = calendar_of(text, source, known)
    rows = made if before is None else before.overridden_by(made)
    new = path.with_name(path.name + ".new")
    new.write_bytes(text_of(rows))
    new.replace(path)
    years = ", ".join(map(str, made.years))
    special = ", ".join(f"{row.date} {row.name}" for row in made.special)
    return (
        f"{path}: {len(made.holidays)} holidays of {years}.\n"
        f"Special sessions: {special or 'none is known'}. NSE tells of them by circulars: add "
        'them to "special" by hand.'
    )
