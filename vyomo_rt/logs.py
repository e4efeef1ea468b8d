"""Logging to standard error: one line a fact, with the time in UTC to the millisecond."""

from __future__ import annotations

import logging
import sys
import time

from aiohttp.http_exceptions import HttpProcessingError


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


def _shorten_client_faults(record: logging.LogRecord) -> bool:
    """What is no HTTP at all says nothing about this server: a line will do."""
    error = record.exc_info[1] if record.exc_info else None
    if isinstance(error, HttpProcessingError):
        record.exc_info = None
        record.levelno, record.levelname = logging.INFO, "INFO"
        record.msg, record.args = "refused what is no HTTP request: %s", (error.message,)
    return True


def configure(level: str) -> None:
    """Log this package from `level` up, and libraries from warnings up."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(OneLine())
    # No line shows them, and to look them up is a third of a line's cost.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging._srcfile = None  # noqa: SLF001 (as its manual says)
    own_level = logging.getLevelNamesMapping()[level.upper()]
    logging.basicConfig(
        level=max(own_level, logging.WARNING),  # pymongo would log every command at debug
        handlers=[handler],
        force=True,
    )
    logging.getLogger("vyomo_rt").setLevel(own_level)
    logging.getLogger("aiohttp.server").addFilter(_shorten_client_faults)
    logging.getLogger("aiohttp.access").setLevel(logging.CRITICAL + 1)
