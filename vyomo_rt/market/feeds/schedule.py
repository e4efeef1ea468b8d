"""Which symbols are asked for next."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from vyomo_rt.domain.market import MarketState
from vyomo_rt.domain.moment import MarketClock
from vyomo_rt.exchange.calendar import Calendar
from vyomo_rt.exchange.instruments import segment_of

_TURNS_LEFT_OUT = 10
"""So many turns later than others comes a symbol that the source never knew."""


@dataclass(slots=True)
class _Symbol:
    turn: int = -_TURNS_LEFT_OUT
    has_close: bool = False
    """Whether it was asked for after its session."""
    is_absent: bool = False
    """Whether the last answer left it out."""
    was_found: bool = False
    """Whether an answer ever had it: one that it is missing from now is no reason to rest."""

    @property
    def is_unknown(self) -> bool:
        return self.is_absent and not self.was_found


class Schedule:
    """Gives all symbols their turn while their market is open, and once after it closed.

    A source that is up to ``delay_ms`` late may have news for so long after the end of a session.
    """

    def __init__(self, calendar: Calendar, now: MarketClock, delay_ms: int) -> None:
        self._calendar = calendar
        self._now = now
        self._delay_ms = delay_ms
        self._symbols: dict[str, _Symbol] = {}
        self._turn = 0

    def keep(self, symbols: Iterable[str]) -> None:
        """Go by these symbols from now on: those wanted most first."""
        self._symbols = {symbol: self._symbols.get(symbol) or _Symbol() for symbol in symbols}

    def due(self) -> list[str]:
        """The symbols to ask for: new ones, then those that were not for longest."""
        now_ms = self._now()
        due = [
            symbol
            for symbol, known in self._symbols.items()
            if not known.has_close or self._has_news(symbol, now_ms)
        ]
        return sorted(due, key=lambda symbol: self._symbols[symbol].turn)

    def take(self, batch: Iterable[str]) -> None:
        """These are asked for now."""
        self._turn += 1
        for symbol in batch:
            self._symbols[symbol].turn = self._turn

    def note(self, batch: Sequence[str], found: Iterable[str]) -> None:
        """A batch was answered, with these symbols in the answer."""
        now_ms, present = self._now(), set(found)
        for symbol in batch:
            known = self._symbols[symbol]
            known.has_close = not self._has_news(symbol, now_ms)
            known.is_absent = symbol not in present
            known.was_found |= symbol in present
            if known.is_unknown:
                known.turn += _TURNS_LEFT_OUT

    def absent(self) -> list[str]:
        """The symbols that the last answer to them left out."""
        return [symbol for symbol, known in self._symbols.items() if known.is_absent]

    def is_any_known(self) -> bool:
        """Whether the source may have a price of any of the symbols."""
        return not all(known.is_unknown for known in self._symbols.values())

    def is_any_open(self) -> bool:
        """Whether any of those is traded continuously now."""
        now_ms = self._now()
        present = (symbol for symbol, known in self._symbols.items() if not known.is_unknown)
        return any(self._is(symbol, now_ms, MarketState.OPEN) for symbol in present)

    def _has_news(self, symbol: str, now_ms: int) -> bool:
        return any(
            self._is(symbol, moment_ms, MarketState.OPEN, MarketState.AUCTION)
            for moment_ms in (now_ms, now_ms - self._delay_ms)
        )

    def _is(self, symbol: str, moment_ms: int, *states: MarketState) -> bool:
        return self._calendar.state(segment_of(symbol), moment_ms) in states
