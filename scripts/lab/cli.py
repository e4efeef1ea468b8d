"""What the programs' command lines have in common: flags, Ctrl-C, progress, the report."""

from __future__ import annotations

import argparse
import asyncio
import resource
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

import msgspec
from msgspec import Struct


class Parser(argparse.ArgumentParser):
    """Reports misuse in one line, without the whole usage before it.

    Its texts keep their lines, and flags are not abbreviated.
    """

    def __init__(self, program: str, description: str, epilog: str | None = None) -> None:
        super().__init__(
            prog=program,
            description=description,
            epilog=epilog,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )

    def error(self, message: str) -> NoReturn:
        """End with code 2."""
        name = self.prog.removesuffix(".py")
        self.exit(2, f"{name}: {message.removeprefix('argument ')}\n")


def number(kind: type[int] | type[float], low: float, high: float) -> Callable[[str], float]:
    """The ``type=`` of a flag that takes a number within limits."""
    what = "a whole number" if kind is int else "a number"

    def parse(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            value = None
        if value is None or not low <= value <= high:
            raise argparse.ArgumentTypeError(f"must be {what} from {low:g} to {high:g}, not {text}")
        return value

    return parse


def check_json(parser: argparse.ArgumentParser, file: str | None) -> None:
    """Complain now, not after the work, if the report could not be written."""
    if file and file != "-" and not Path(file).absolute().parent.is_dir():
        parser.error(f"--json: there is no folder {Path(file).parent}; make it first")


def interruption() -> asyncio.Event:
    """Set by Ctrl-C or SIGTERM, to end with the report so far; a second Ctrl-C ends at once."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def interrupt() -> None:
        stop.set()
        loop.remove_signal_handler(signal.SIGINT)

    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, interrupt)
    return stop


async def going_on(still: Callable[[], bool], within_s: float, stop: asyncio.Event) -> None:
    """Wait until it is over, the time is up, or somebody stops the script."""
    until_s = time.monotonic() + within_s
    while still() and (left_s := until_s - time.monotonic()) > 0 and not stop.is_set():
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), min(0.2, left_s))


class Bar:
    """A line on standard error that changes; without a terminal, a new line every 5 s."""

    _EVERY_S = 5.0
    _WIDTH = 24

    def __init__(self) -> None:
        self._is_terminal = sys.stderr.isatty()
        self._doing = ""
        self._shown_s = 0.0

    def show(self, doing: str, done: float, total: float, more: str) -> None:
        filled = round(self._WIDTH * min(1, done / total))
        bar = "#" * filled + "." * (self._WIDTH - filled)
        text = f"{doing} [{bar}] {done:.0f} of {total:g} {more}"
        now_s = time.monotonic()
        if self._is_terminal:
            print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)
        elif doing != self._doing or now_s - self._shown_s >= self._EVERY_S:
            print(text, file=sys.stderr, flush=True)
            self._doing, self._shown_s = doing, now_s

    def clear(self) -> None:
        if self._is_terminal:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def publish(report: Struct, table: str, json: str | None) -> None:
    """Print the table, and write the report as JSON to the file that was asked for; - is stdout."""
    text = msgspec.json.format(msgspec.json.encode(report), indent=2).decode() + "\n"
    print(table, file=sys.stderr if json == "-" else sys.stdout)
    if json == "-":
        print(text, end="")
    elif json:
        Path(json).write_text(text)


def open_all_files() -> None:
    """Take as many files as this process is allowed: each client is one."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
