"""Prices: what a source says (tick) and what the server holds (quote)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from vyomo_rt.domain.errors import BadRequest
from vyomo_rt.domain.market import MarketState
from vyomo_rt.domain.replay import ReplayState

SYMBOL = r"[A-Z0-9^][A-Z0-9 &._:^=-]{0,63}"
"""What a symbol looks like, as a regular expression."""

_SYMBOL = re.compile(SYMBOL)


def parse_symbol(text: str) -> str:
    """The symbol as the server knows it: trimmed and upper-cased.

    Raises BadRequest for a text that cannot be a symbol.
    """
    symbol = text.strip().upper()
    if not text.isascii() or not _SYMBOL.fullmatch(symbol):
        raise BadRequest(
            f"symbol {text[:80]!r} is not valid:"
            " use 1 to 64 letters, digits, spaces or & . _ : ^ = -, a letter, digit or ^ first",
            "symbol",
        )
    return symbol


class Tick(NamedTuple):
    """One price from a source; ``as_of_ms`` is when the source says it was true, None for now."""

    symbol: str
    price_e4: int
    as_of_ms: int | None
    source: str


@dataclass(frozen=True, slots=True)
class Quote:
    """A price of a symbol.

    ``stale`` means that the price is older than its source promises, came more than a
    minute late, or jumped and is not confirmed. A stale price is shown but triggers no
    stop and no target.
    """

    symbol: str
    price_e4: int
    as_of_ms: int
    source: str
    stale: bool


class FeedState(StrEnum):
    """LIVE as promised, DEGRADED when prices are late, DOWN when the source failed."""

    LIVE = "LIVE"
    DEGRADED = "DEGRADED"
    DOWN = "DOWN"


_AS_USUAL = (None, MarketState.OPEN)


class SourceStatus(NamedTuple):
    """How one of several price sources is doing, in words for a person."""

    source: str
    state: FeedState
    message: str


@dataclass(frozen=True, slots=True)
class FeedStatus:
    """How the price sources are doing, since when, in words for a person."""

    source: str
    state: FeedState
    message: str
    since_ms: int
    market_state: MarketState | None = None
    """Of a feed that follows market hours."""
    expired: tuple[str, ...] = ()
    """The contracts on which trades are open although they have expired."""
    leaves_out: bool = False
    """Whether symbols that somebody watches or holds get no price."""
    replay: ReplayState | None = None
    """Of a server that plays a recorded day."""
    sources: tuple[SourceStatus, ...] = ()
    """Each by itself, the best first; none if there is only one."""

    @property
    def is_news(self) -> bool:
        """Whether somebody who just comes should hear of it."""
        is_usual = self.state is FeedState.LIVE and self.market_state in _AS_USUAL
        is_whole = all(source.state is FeedState.LIVE for source in self.sources)
        is_special = bool(self.expired) or self.leaves_out or self.replay is not None
        return not (is_usual and is_whole) or is_special
