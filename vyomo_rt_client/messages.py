"""What a program gets: messages, positions, the state of the connection, and a refusal."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Self

Transport = Literal["ws", "sse"]
State = Literal["connecting", "open", "waiting", "closed"]


class Position(NamedTuple):
    """The last delivered event of a session; `epoch` names the history it belongs to.

    Its `str` looks like ``6-41-3513a5a2b72773e6``. Keep it, and give it as `since` later.
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

    If the epoch in `now` is another one, the history is new and nothing of the old one is valid.
    ``GET /api/auto-trader/sessions/{id}/trades`` says what is true.
    """

    before: Position
    now: Position


@dataclass(frozen=True, slots=True)
class Message:
    """A message of the server; `type` and `data` are those of docs/protocol.md.

    Prices, money and percentages in `data` are Decimal, exactly the numbers that the server wrote;
    ids and counts are int. `seq` is the number of an event, in a ``session_update`` that of
    the newest one. `recovered` is in the ``session_update`` that follows a resumption. `gap` says
    what is missing before this message; after a failed resumption it is in the first message of
    the session, whatever its type. `text` is the JSON as the server wrote it.
    """

    type: str
    data: dict[str, Any]
    seq: int | None = None
    recovered: bool | None = None
    gap: Gap | None = None
    text: str = field(default="", repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Status:
    """The state of the connection. ``waiting``: it retries in `delay_s`; ``closed``: for good."""

    state: State
    transport: Transport
    detail: str
    delay_s: float | None = None

    def __str__(self) -> str:
        delay = "" if self.delay_s is None else f" {self.delay_s:.1f} s"
        return f"{self.state}{delay} ({self.transport}): {self.detail}"


class Refused(Exception):
    """The stream has ended: the server refused it and would do so again, or the program's own
    aiohttp session has no free connection.

    The text is the server's. `code` is its error code (``not_found``, …), `status` that of an HTTP
    answer, `close_code` that of a WebSocket, as in docs/protocol.md; None if there is none.
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
