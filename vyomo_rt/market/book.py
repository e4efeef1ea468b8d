"""What one source says: which of its ticks are believed, and how fresh those are."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

from vyomo_rt.domain.demand import Demand
from vyomo_rt.domain.moment import IST_AHEAD_MS, MarketClock, iso
from vyomo_rt.domain.money import MAX_PRICE_E4
from vyomo_rt.domain.quote import Quote, Tick
from vyomo_rt.exchange.symbol_classes import SymbolClass, class_of
from vyomo_rt.market.refusals import Refusals

log = logging.getLogger(__name__)

MAX_AHEAD_MS = 5_000
"""How far a source's clock may run ahead of the server's."""

JUMP_HELD_MS = 2_000
"""How long a price that jumped too far is hidden, unless it is confirmed."""

DELAYED_MS = 60_000
"""A price that comes in later than this is from a market that has moved on."""

NEVER_MS = -(2**62)

InSession = Callable[[str, int, int], bool]
"""Whether two moments, in epoch milliseconds, lie in one session of a symbol."""

Place = Callable[[str], None]
"""Finds room for a symbol, or raises TickRefused."""

_TELL_AGAIN_MS = 60_000


class TickRefused(Exception):
    """A tick was not believed; the text says why, for a person."""


def day_and_night(_symbol: str, _first_ms: int, _last_ms: int) -> bool:
    """The hours of symbols that follow none."""
    return True


@dataclass(frozen=True, slots=True)
class _Jump:
    """A price too far from the last one to be believed; its quote is stale for good."""

    quote: Quote
    held_at_ms: int

    def is_shown(self, now_ms: int) -> bool:
        # A clock that is set back must not hide it for ever.
        return not 0 <= now_ms - self.held_at_ms < JUMP_HELD_MS


class Row(NamedTuple):
    """What a book holds of a symbol, for other nodes; ``jump`` has price, moment, since when."""

    symbol: str
    price_e4: int
    as_of_ms: int
    fresh_since_ms: int
    newest_ms: int
    jump: tuple[int, int, int] | None


@dataclass(slots=True)
class _Entry:
    """What a source has said of a symbol; without ``confirmed``, nothing yet."""

    symbol_class: SymbolClass
    confirmed: Quote | None = None
    fresh_since_ms: int = NEVER_MS
    """From when on the confirmed price counts as fresh; never if it came too late."""
    jump: _Jump | None = None
    newest_ms: int = 0
    """The moment of the newest tick, including a held one."""
    told_of_jump_ms: int = NEVER_MS


class Book:
    """The last prices of each symbol by one source.

    ``confirmed`` is the price that counts. ``shown`` is the price to show, which differs while
    a jump is in doubt.

    A price further from the confirmed one than its class of symbols allows is held:
    one misprint must not close everybody's trades. The next tick on its side confirms
    it (and is then the one that counts); a tick near the confirmed price drops it. After
    ``JUMP_HELD_MS`` without either, the held price is shown, as stale, until one comes.

    A tick that names no moment counts as of ``arrived``. With ``trade_on_delayed`` a
    price is as fresh as its arrival, whatever moment it names.

    ``in_session`` tells the hours of a symbol: only a price of the session that goes on
    is fresh, the last one before it is the close, and stale.
    """

    def __init__(
        self,
        source: str,
        fresh_for_ms: int,
        *,
        demand: Demand,
        arrived: MarketClock,
        trade_on_delayed: bool = False,
        in_session: InSession = day_and_night,
    ) -> None:
        self.source = source
        self.fresh_for_ms = fresh_for_ms
        self.trade_on_delayed = trade_on_delayed
        self.in_session = in_session
        self.refusals = Refusals(source, demand)
        self.on_moment: Callable[[int], None] = lambda _at_ms: None
        """Is called with the moment of an accepted tick while the price before it still counts."""
        self._arrived = arrived
        self._entries: dict[str, _Entry] = {}
        self.changed: set[str] = set()
        """Symbols whose confirmed price changed, or went, since somebody cleared this."""
        self.last_accepted_ms: int | None = None
        """When the newest accepted tick came in, by the server's clock."""
        self.last_fresh_ms: int | None = None
        """When the newest fresh tick came in."""
        self.last_late: Quote | None = None
        """The newest accepted tick that came too late to be fresh."""

    # -- ticks -----------------------------------------------------------------

    def take(self, tick: Tick, now_ms: int, place: Place) -> Quote | None:
        """Take a tick; returns the price that counts now, or None if the tick is held.

        A tick without a moment counts as of its arrival, but never before the symbol's
        last one. ``place`` is asked for room for a symbol that is new here. Raises TickRefused.
        """
        symbol, price_e4, as_of_ms, _ = tick
        if not 0 < price_e4 <= MAX_PRICE_E4:
            raise TickRefused(_price_reason(price_e4))
        latest_ms = now_ms + MAX_AHEAD_MS
        entry = self._entries.get(symbol)
        # A last moment beyond the limit was accepted before the server's clock was
        # set back; obeying it would refuse everything until the clock catches up.
        earliest_ms = entry.newest_ms if entry and entry.newest_ms <= latest_ms else 0
        if as_of_ms is None:
            as_of_ms = max(self._arrived(), earliest_ms)
        elif not earliest_ms <= as_of_ms <= latest_ms:
            raise TickRefused(_moment_reason(symbol, as_of_ms, earliest_ms, now_ms))
        if entry is None:
            place(symbol)
            entry = self._entries[symbol] = _Entry(class_of(symbol))
        self.on_moment(as_of_ms)
        entry.newest_ms = as_of_ms
        if self._must_wait(entry, tick, as_of_ms, now_ms):
            fresh_since_ms = self._fresh_since_ms(symbol, as_of_ms, now_ms)
            held = Quote(symbol, price_e4, as_of_ms, tick.source, stale=False)
            self._note_age(self.judged(held, fresh_since_ms, now_ms), now_ms)
            return None
        quote = self._confirm(entry, tick, as_of_ms, now_ms)
        self._note_age(quote, now_ms)
        return quote

    def _must_wait(self, entry: _Entry, tick: Tick, as_of_ms: int, now_ms: int) -> bool:
        """Whether a tick is a jump that nothing has confirmed yet; then it is held."""
        price_e4, last, held = tick.price_e4, entry.confirmed, entry.jump
        if last is None or entry.symbol_class.allows(last.price_e4, price_e4):
            entry.jump = None
            return False
        if held is not None:
            if (held.quote.price_e4, held.quote.as_of_ms) == (price_e4, as_of_ms):
                return True  # a repetition is no second opinion
            if (held.quote.price_e4 > last.price_e4) == (price_e4 > last.price_e4):
                entry.jump = None
                return False
        # Once a doubtful price is shown, the newest one is: the display never goes back in time.
        since_ms = held.held_at_ms if held is not None and held.is_shown(now_ms) else now_ms
        quote = Quote(tick.symbol, price_e4, as_of_ms, tick.source, stale=True)
        entry.jump = _Jump(quote, since_ms)
        self._tell_of_jump(entry, tick.symbol, now_ms)
        return True

    def _confirm(self, entry: _Entry, tick: Tick, as_of_ms: int, now_ms: int) -> Quote:
        """Make a tick the price that counts; an identical one only renews its freshness."""
        last, price_e4 = entry.confirmed, tick.price_e4
        if last is not None and last.as_of_ms == as_of_ms and last.price_e4 == price_e4:
            # What came too late, or is a close, is not made true by saying it again.
            was_fresh = entry.fresh_since_ms != NEVER_MS or self._is_in_time(as_of_ms, now_ms)
            if was_fresh and self.in_session(tick.symbol, as_of_ms, now_ms):
                renewed_ms = min(entry.fresh_since_ms, now_ms)
                entry.fresh_since_ms = max(self._arrived(), renewed_ms)
            return self.judged(last, entry.fresh_since_ms, now_ms)
        fresh_since_ms = self._fresh_since_ms(tick.symbol, as_of_ms, now_ms)
        entry.fresh_since_ms = fresh_since_ms
        stale = now_ms - fresh_since_ms > self.fresh_for_ms
        quote = entry.confirmed = Quote(tick.symbol, price_e4, as_of_ms, tick.source, stale)
        self.changed.add(tick.symbol)
        return quote

    def _is_in_time(self, as_of_ms: int, now_ms: int) -> bool:
        return self.trade_on_delayed or now_ms - as_of_ms <= DELAYED_MS

    def _fresh_since_ms(self, symbol: str, as_of_ms: int, now_ms: int) -> int:
        """From when on a new price counts as fresh."""
        if not self.in_session(symbol, as_of_ms, now_ms):
            return NEVER_MS
        if self.trade_on_delayed:
            return self._arrived()
        return min(as_of_ms, now_ms) if self._is_in_time(as_of_ms, now_ms) else NEVER_MS

    def _note_age(self, quote: Quote, now_ms: int) -> None:
        self.last_accepted_ms = now_ms
        if quote.stale:
            self.last_late = quote
        else:
            self.last_fresh_ms = now_ms

    def _tell_of_jump(self, entry: _Entry, symbol: str, now_ms: int) -> None:
        if now_ms - entry.told_of_jump_ms >= _TELL_AGAIN_MS:
            entry.told_of_jump_ms = now_ms
            one = entry.symbol_class
            log.warning(
                "%s jumped at %s beyond %d to %d %% of its last price: it is held until confirmed",
                symbol,
                self.source,
                one.falls_to_percent,
                one.rises_to_percent,
            )

    # -- reading ---------------------------------------------------------------

    def shown(self, symbol: str, now_ms: int) -> Quote | None:
        """The price of a symbol to show, stale or not at a moment."""
        entry = self._entries.get(symbol)
        if entry is None or entry.confirmed is None:
            return None
        if entry.jump is not None and entry.jump.is_shown(now_ms):
            return entry.jump.quote
        return self.judged(entry.confirmed, entry.fresh_since_ms, now_ms)

    def confirmed(self, symbol: str, now_ms: int) -> Quote | None:
        """The price of a symbol that counts, stale or not at a moment."""
        entry = self._entries.get(symbol)
        if entry is None or entry.confirmed is None:
            return None
        return self.judged(entry.confirmed, entry.fresh_since_ms, now_ms)

    def judged(self, quote: Quote, fresh_since_ms: int, now_ms: int) -> Quote:
        """A price of this source, stale or not at a moment."""
        # A moment far ahead is from before the server's clock was set back: obeying it would
        # make the price fresh until the clock catches up.
        stale = not (
            -MAX_AHEAD_MS <= now_ms - fresh_since_ms <= self.fresh_for_ms
            and self.in_session(quote.symbol, now_ms, now_ms)
        )
        return quote if quote.stale == stale else replace(quote, stale=stale)

    def last(self, symbol: str) -> Quote | None:
        """The confirmed price of a symbol as it came in."""
        entry = self._entries.get(symbol)
        return None if entry is None else entry.confirmed

    def fresh_since_ms(self, symbol: str) -> int:
        """From when on the confirmed price counts as fresh; long ago if it does not."""
        entry = self._entries.get(symbol)
        return NEVER_MS if entry is None else entry.fresh_since_ms

    def newest_ms(self, symbol: str) -> int:
        """The moment of the symbol's newest tick, including a held one."""
        return self._entries[symbol].newest_ms

    def is_held(self, symbol: str) -> bool:
        """Whether the symbol's newest tick is a jump that waits to be confirmed."""
        entry = self._entries.get(symbol)
        return entry is not None and entry.jump is not None

    # -- what is held ----------------------------------------------------------

    def restore(self, quote: Quote) -> None:
        """Put back a price of a former start, stale until a tick renews it."""
        if quote.symbol not in self._entries:
            entry = self._entries[quote.symbol] = _Entry(class_of(quote.symbol))
            entry.confirmed = replace(quote, stale=True)
            entry.newest_ms = quote.as_of_ms

    def rows(self) -> list[Row]:
        """All that is held, for another node."""
        return [
            Row(
                symbol,
                last.price_e4,
                last.as_of_ms,
                entry.fresh_since_ms,
                entry.newest_ms,
                None
                if (jump := entry.jump) is None
                else (jump.quote.price_e4, jump.quote.as_of_ms, jump.held_at_ms),
            )
            for symbol, entry in self._entries.items()
            if (last := entry.confirmed) is not None
        ]

    def take_over(self, row: Row) -> None:
        """Hold what another node holds of a symbol, unless this one is further."""
        entry = self._entries.setdefault(row.symbol, _Entry(class_of(row.symbol)))
        if entry.newest_ms > row.newest_ms:
            return
        quote = Quote(row.symbol, row.price_e4, row.as_of_ms, self.source, stale=False)
        entry.confirmed = quote
        entry.fresh_since_ms, entry.newest_ms = row.fresh_since_ms, row.newest_ms
        entry.jump = None
        if row.jump is not None:
            price_e4, as_of_ms, held_at_ms = row.jump
            held = replace(quote, price_e4=price_e4, as_of_ms=as_of_ms, stale=True)
            entry.jump = _Jump(held, held_at_ms)
        self.changed.add(row.symbol)

    def forget(self, symbol: str) -> None:
        """There is no room for the symbol any more."""
        if self._entries.pop(symbol, None) is not None:
            self.changed.add(symbol)


def _price_reason(price_e4: int) -> str:
    if price_e4 <= 0:
        return "price must be greater than 0"
    return f"price must be at most {MAX_PRICE_E4 // 10_000}"


def _moment_reason(symbol: str, as_of_ms: int, earliest_ms: int, now_ms: int) -> str:
    if as_of_ms >= earliest_ms:
        ahead_ms = as_of_ms - now_ms
        hint = "; is it Indian time sent as UTC?" if abs(ahead_ms - IST_AHEAD_MS) < 60_000 else ""
        limit_s = MAX_AHEAD_MS // 1000
        return f"more than {limit_s} s ahead of the server's clock ({iso(now_ms)}){hint}"
    if as_of_ms < 0:
        return "before 1970-01-01"
    return f"older than the last price of {symbol} ({iso(earliest_ms)})"
