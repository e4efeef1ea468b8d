"""A place in a session's history: where a stream was, and where it goes on."""

from __future__ import annotations

import re
from typing import Annotated, NamedTuple

from msgspec import Meta

_FORM = re.compile(r"(?P<session_id>[0-9]{1,18})-(?P<seq>[0-9]{1,18})(-(?P<epoch>.*))?")

PositionText = Annotated[
    str,
    Meta(
        description="The last `id:` received: go on after it",
        examples=["6-41-3513a5a2b72773e6"],
    ),
]


class Position(NamedTuple):
    """The place after event ``seq`` of a session, in the history named ``epoch``."""

    session_id: int
    seq: int
    epoch: str | None


def spell_position(session_id: int, seq: int, epoch: str) -> str:
    """A position as an SSE ``id:``."""
    return f"{session_id}-{seq}-{epoch}"


def read_position(text: str) -> Position | None:
    """The position that an ``id:`` names, if it is one."""
    match = _FORM.fullmatch(text.strip())
    if match is None:
        return None
    return Position(int(match["session_id"]), int(match["seq"]), match["epoch"] or None)
