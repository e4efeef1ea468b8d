"""The doctor, and what it prints about a server."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any, NamedTuple

from vyomo_rt.doctor.examination import examine
from vyomo_rt.doctor.server import options


class Seen(NamedTuple):
    """The exit code and the lines of one examination."""

    code: int
    lines: list[str]

    def of(self, name: str) -> str:
        """The one line about something."""
        (line,) = (line for line in self.lines if line[2:].startswith(f"{name} "))
        return line

    @property
    def ill(self) -> list[str]:
        """What is marked as wrong or worth a look."""
        return [line for line in self.lines if line[0] in "✗!"]


async def look(url: str, watch_s: float = 0.2, **given: Any) -> Seen:
    """Examine a server, given what the command line takes, and comparing beats for less long."""
    out = io.StringIO()
    code = await examine(replace(options(url, **given), watch_s=watch_s), out)
    return Seen(code, out.getvalue().splitlines())
