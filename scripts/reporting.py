"""What scripts that run for a while and then report have in common: Ctrl-C, and the report."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

import msgspec
from msgspec import Struct


def interruption() -> asyncio.Event:
    """Set by Ctrl-C or SIGTERM, to end with the report so far; a second Ctrl-C ends all at once."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def interrupt() -> None:
        stop.set()
        loop.remove_signal_handler(signal.SIGINT)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, interrupt)
    return stop


def publish(report: Struct, table: str, json: str | None) -> None:
    """Print the table, and write the report as JSON to the file that was asked for; - is stdout."""
    text = msgspec.json.format(msgspec.json.encode(report), indent=2).decode() + "\n"
    print(table, file=sys.stderr if json == "-" else sys.stdout)
    if json == "-":
        print(text, end="")
    elif json:
        Path(json).write_text(text)
