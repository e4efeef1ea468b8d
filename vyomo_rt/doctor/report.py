"""What a check found, as lines for the person who runs the server."""

from __future__ import annotations

import codecs
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import TextIO

_NAME_WIDTH = 11


class Mark(Enum):
    """How a finding is marked: in UTF-8, and for terminals without."""

    WELL = ("✓", "ok")
    NOTE = ("!", "! ")
    WRONG = ("✗", "X ")
    SKIPPED = ("-", "- ")


@dataclass(frozen=True)
class Finding:
    """One line; ``ends`` says that nothing further can be looked at."""

    mark: Mark
    text: str
    ends: bool = False


def well(text: str) -> Finding:
    return Finding(Mark.WELL, text)


def note(text: str) -> Finding:
    """Something that works, but that a person should know."""
    return Finding(Mark.NOTE, text)


def wrong(text: str, *, ends: bool = False) -> Finding:
    return Finding(Mark.WRONG, text, ends)


def skipped(text: str) -> Finding:
    return Finding(Mark.SKIPPED, text)


class Problem(Exception):
    """What keeps a check from seeing more."""


class Report:
    """Prints findings as they come, and sums them up."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._encoding = codecs.lookup(out.encoding or "utf-8").name
        self._wrong: list[str] = []
        self._notes = 0

    def add(self, name: str, findings: Iterable[Finding]) -> None:
        """Print what a check found, one line each."""
        self._erase()
        for finding in findings:
            mark = finding.mark.value[0 if self._encoding == "utf-8" else 1]
            self._print(f"{mark} {name:<{_NAME_WIDTH}} {finding.text}")
            if finding.mark is Mark.WRONG:
                self._wrong.append(name)
            self._notes += finding.mark is Mark.NOTE

    def waiting(self, text: str) -> None:
        """Show what is being waited for, on a terminal, until the next line."""
        if self._out.isatty():
            self._erase()
            self._out.write(f"  {text} ...")
            self._out.flush()

    def sum_up(self, *, whole: bool) -> int:
        """Print the last line and return the exit code; ``whole`` unless checks were left out."""
        parts = []
        if self._wrong:
            names = ", ".join(dict.fromkeys(self._wrong))
            parts.append(f"{_count(len(self._wrong), 'problem')}: {names}.")
        else:
            parts.append("No problems found.")
        if self._notes:
            parts.append(f"{_count(self._notes, 'thing')} to look at (!).")
        if not whole:
            parts.append("Fix this first; the remaining checks depend on it.")
        self._print(" ".join(parts))
        return 1 if self._wrong else 0

    def _print(self, line: str) -> None:
        """Print what may come from a stranger: nothing in it may steer the terminal."""
        line = "".join(c if c.isprintable() else "?" for c in line)
        line = line.encode(self._encoding, "replace").decode(self._encoding)
        self._out.write(f"{line}\n")
        self._out.flush()

    def _erase(self) -> None:
        if self._out.isatty():
            self._out.write("\r\x1b[K")


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"
