"""The refused ticks of a source: why, and a line in the log now and then."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from vyomo_rt.domain.demand import Demand

log = logging.getLogger(__name__)

_TELL_AGAIN_MS = 60_000
_NEVER_MS = -(2**62)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a tick was refused, for a person, and when; ``symbol`` is None if it named none."""

    symbol: str | None
    reason: str
    at_ms: int


class Refusals:
    """Remembers the last refusal, and the last one of each symbol that somebody wants.

    Programs that push prices often do not read the answers.
    """

    def __init__(self, source: str, demand: Demand) -> None:
        self.last: Refusal | None = None
        self._source = source
        self._demand = demand
        self._of_wanted: dict[str, Refusal] = {}
        self._untold = 0
        self._told_ms = _NEVER_MS
        demand.listeners.append(self._on_demand)

    def note(self, symbol: str | None, reason: str, at_ms: int) -> None:
        self._untold += 1
        self.last = Refusal(symbol, reason, at_ms)
        if symbol is not None and symbol in self._demand:
            self._of_wanted[symbol] = self.last

    def forget(self, symbol: str) -> None:
        """A tick of the symbol was accepted."""
        self._of_wanted.pop(symbol, None)

    def reason(self, symbol: str) -> str | None:
        """Why the last tick of a wanted symbol was refused; None if it was accepted."""
        refusal = self._of_wanted.get(symbol)
        return None if refusal is None else refusal.reason

    def tell(self, now_ms: int) -> None:
        """Log what was refused, at most once a minute."""
        # A clock that is set back must not silence it.
        if not self._untold or 0 <= now_ms - self._told_ms < _TELL_AGAIN_MS:
            return
        assert self.last is not None
        count = "1 tick" if self._untold == 1 else f"{self._untold} ticks"
        of_symbol = f" for {self.last.symbol}" if self.last.symbol else ""
        reason = self.last.reason
        log.warning(
            "%s of %s refused in the last minute, the last%s: %s",
            count,
            self._source,
            of_symbol,
            reason,
        )
        self._untold = 0
        self._told_ms = now_ms

    def _on_demand(self, symbol: str, wanted: bool) -> None:
        if not wanted:
            self.forget(symbol)
