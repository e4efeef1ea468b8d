"""A recorded day that is played: how far it has come, and how fast it goes."""

from __future__ import annotations

from typing import NamedTuple

SLOWEST, FASTEST = 0.1, 1000.0
"""How many times faster than on its day it may be played, if it isn't as fast as possible."""


class ReplayState(NamedTuple):
    """How far a replay has come, and how fast it goes: infinitely fast means as fast as it can."""

    market_ms: int
    rate: float
    is_paused: bool
    is_over: bool
