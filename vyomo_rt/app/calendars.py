"""Which calendar a server uses, and the warning before its data ends."""

from __future__ import annotations

import logging
from datetime import date
from pathlib import Path

from vyomo_rt.config import Settings
from vyomo_rt.domain.errors import CannotStart
from vyomo_rt.domain.moment import MarketClock, trading_day
from vyomo_rt.exchange.calendar import Calendar
from vyomo_rt.exchange.calendar_file import CalendarError

log = logging.getLogger(__name__)

FILE_NAME = "calendar.json"
"""In the data folder."""


def calendar_of(settings: Settings) -> Calendar:
    """The calendar of the package with the operator's file over it. Raises CannotStart."""
    path = _file(settings)
    if path is None:
        return Calendar.shipped()
    try:
        return Calendar.shipped(path.read_bytes())
    except OSError as error:
        raise CannotStart(f"the calendar {path} cannot be read: {error.strerror}") from error
    except CalendarError as error:
        raise CannotStart(f"the calendar {path}: {error}") from error


def _file(settings: Settings) -> Path | None:
    if settings.calendar is not None:
        return settings.calendar
    path = settings.data_dir / FILE_NAME
    return path if path.exists() else None


class CalendarWarning:
    """Logs once per date what is wrong with a calendar."""

    def __init__(self, calendar: Calendar, now: MarketClock) -> None:
        self._calendar = calendar
        self._now = now
        self._told: date | None = None

    def tell(self) -> None:
        """Warn, unless nothing is wrong or today's warning was given."""
        day = trading_day(self._now())
        if day == self._told:
            return
        self._told = day
        if (warning := self._calendar.warning(day)) is not None:
            log.warning("%s", warning)
