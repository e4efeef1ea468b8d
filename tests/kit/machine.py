"""What the machine has: programs, processes."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import NoReturn

import pytest

FOR_WANT_OF = "for want of "
"""How the reason begins if `make test-tools` is the remedy."""


def missing(tool: str) -> NoReturn:
    """End a test that lacks a tool: skipped here, failed in CI."""
    (pytest.fail if os.environ.get("CI") else pytest.skip)(f"{FOR_WANT_OF}{tool}")


def program(*names: str) -> str:
    """The path of the first program that is installed; without one the test ends."""
    found = next(filter(None, map(shutil.which, names)), None)
    return found or missing(names[0])


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


class Strain:
    """How many times longer than on a quiet machine a process takes for what it does.

    That is the time in which its main thread worked or waited for a core, compared with the time
    in which it worked, since this was made. Work in a bound of time may take that much longer.
    """

    def __init__(self, pid: int | None = None) -> None:
        self._file = Path(f"/proc/{pid or os.getpid()}/schedstat")
        self._before = self._read()

    def _read(self) -> tuple[int, int]:
        worked_ns, waited_ns, _ = map(int, self._file.read_text().split())
        return worked_ns, waited_ns

    def factor(self) -> float:
        """At least 1, which is a quiet machine, and at most 10."""
        worked_ns, waited_ns = (
            now - before for now, before in zip(self._read(), self._before, strict=True)
        )
        return min(10.0, 1 + waited_ns / max(1, worked_ns))


def cpu_ms(pid: int) -> float:
    """The CPU time of a process's threads so far."""
    spent = [(task / "schedstat").read_text() for task in Path(f"/proc/{pid}/task").iterdir()]
    return sum(int(text.split()[0]) for text in spent) / 1e6


def rss_mb(pid: int) -> float:
    """The memory that a process holds."""
    match = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    assert match is not None
    return int(match[1]) / 1024
