"""Logging to standard error: one line a fact, with the time in UTC to the millisecond."""

from __future__ import annotations

import logging
import sys
import time


class OneLine(logging.Formatter):
    """``2026-11-22T10:00:00.123Z INFO  vyomo_rt.web.connection  message``.

    A line break inside a message is escaped, so that no client can write a line of its own.
    Only the traceback of an unexpected error takes more lines.
    """

    converter = staticmethod(time.gmtime)
    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03dZ"

    def __init__(self) -> None:
        super().__init__("{asctime} {levelname:<5} {name}  {message}", style="{")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 (its name in logging)
        """Format all but the traceback."""
        return super().formatMessage(record).replace("\r", "\\r").replace("\n", "\\n")


def configure(level: str) -> None:
    """Log this package from `level` up, and libraries from warnings up."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(OneLine())
    own_level = logging.getLevelNamesMapping()[level.upper()]
    logging.basicConfig(
        level=max(own_level, logging.WARNING),  # pymongo would log every command at debug
        handlers=[handler],
        force=True,
    )
    logging.getLogger("vyomo_rt").setLevel(own_level)
    logging.getLogger("aiohttp.access").setLevel(logging.CRITICAL + 1)
