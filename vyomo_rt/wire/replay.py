"""A replay: how fast it goes, and what may be changed of that."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from msgspec import Meta

from vyomo_rt.domain.moment import iso
from vyomo_rt.domain.replay import FASTEST, SLOWEST, ReplayState
from vyomo_rt.wire.decoding import Body
from vyomo_rt.wire.encoding import Data
from vyomo_rt.wire.values import Timestamp

_RATE = "How much faster than on its day; max: as fast as the server can"
AskedRate = Annotated[
    Annotated[float, Meta(ge=SLOWEST, le=FASTEST)] | Literal["max"], Meta(description=_RATE)
]
Rate = Annotated[int | float | Literal["max"], Meta(description=_RATE)]


class ReplayChange(Body):
    """A change of a replay; what is left out stays."""

    rate: AskedRate | None = None
    paused: bool | None = None

    @property
    def speed(self) -> float | None:
        """The rate as a number, which may be infinite."""
        return math.inf if isinstance(self.rate, str) else self.rate


class ReplayData(Data):
    market_time: Timestamp
    rate: Rate
    paused: bool
    over: Annotated[bool, Meta(description="The record has ended; the market's clock stands")]


def replay_data(state: ReplayState) -> ReplayData:
    return ReplayData(
        market_time=iso(state.market_ms),
        rate=shown_rate(state.rate),
        paused=state.is_paused,
        over=state.is_over,
    )


def shown_rate(rate: float) -> float | Literal["max"]:
    """A rate as JSON shows it: 10, and not 10.0."""
    if rate == math.inf:
        return "max"
    return int(rate) if rate.is_integer() else rate
