"""What a program gets: messages, positions, the state of the connection, and a refusal."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Self

Transport = Literal["ws", "sse"]
State = Literal["connecting", "open", "waiting", "closed"]


class Position(NamedTuple):
    """The last event of a session that was delivered; `epoch` names the history it is of.

    Its `str` looks like ``6-41-3513a5a2b72773e6``: to be kept, and given as `since` later.
    """

    session_id: int
    seq: int
    epoch: str | None = None

    def __str__(self) -> str:
        return "-".join(str(part) for part in self if part is not None)

    @classmethod
    def parse(cls, text: str) -> Self:
        """The position of such a text. Raises ValueError."""
        match = re.fullmatch(r"([0-9]+)-([0-9]+)(?:-(.+))?", text.strip())
        if match is None:
            raise ValueError(f"a position looks like 6-41-3513a5a2b72773e6, not like {text!r}")
        return cls(int(match[1]), int(match[2]), match[3])


class Gap(NamedTuple):
    """Events that did not come and will not: those after `before`, up to `now`. The server
    could not replay them, or left numbers out.

    With another epoch in `now` the history is another one, and nothing of the old one holds.
    ``GET /api/auto-trader/sessions/{id}/trades`` tells what is true.
    """

    before: Position
    now: Position


@dataclass(frozen=True, slots=True)
class Message:
    """A message of the server; `type` and `data` are those of docs/protocol.md.

    Prices, money and percentages in `data` are Decimal, exactly the numbers that the server wrote;
    ids and counts are int. `seq` is the number of an event, in a ``session_update`` that of
    the newest one. `recovered` is in the ``session_update`` that follows a resumption. `gap` says
    what is missing before this message; after a resumption that failed it is in the first message
    of the session, whatever its type. `text`: the JSON as the server wrote it.
    """

    type: str
    data: dict[str, Any]
    seq: int | None = None
    recovered: bool | None = None
    gap: Gap | None = None
    text: str = field(default="", repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Status:
    """How the connection is. ``waiting``: it tries again in `delay_s`; ``closed``: for good."""

    state: State
    transport: Transport
    detail: str
    delay_s: float | None = None

    def __str__(self) -> str:
        delay = "" if self.delay_s is None else f" {self.delay_s:.1f} s"
        return f"{self.state}{delay} ({self.transport}): {self.detail}"


class Refused(Exception):
    """The server said no and would say so again, or the program's own aiohttp session has no
    connection to spare: the stream has ended.

    The text is the server's. `code` is its error code (``not_found``, …), `status` that of an HTTP
    answer, `close_code` that of a WebSocket, as in docs/protocol.md; None where there is none.
    """

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        status: int | None = None,
        close_code: int | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.status = status
        self.close_code = close_code
