"""The kill switch: halting sessions, and closing everything in them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from vyomo_rt.domain.errors import Conflict
from vyomo_rt.domain.session import ChangeReason, Standing


@dataclass(frozen=True, slots=True, kw_only=True)
class HaltOrder:
    """``detail`` are the words of whoever asks."""

    halt: bool
    close_all: bool
    detail: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionChange:
    """A decided change of a session itself."""

    standing: Standing
    reason: ChangeReason
    at_ms: int
    detail: str | None = None


class Halted(NamedTuple):
    """What was closed in a session, and why what is still open could not be."""

    session_id: int
    closed: list[int]
    failed: Mapping[int, Conflict]
