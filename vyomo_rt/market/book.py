"""The price book: which ticks are believed, and how fresh the believed ones are."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from prometheus_client import Counter

from vyomo_rt.domain.moment import Clock, iso
from vyomo_rt.domain.money import MAX_PRICE_E4
from vyomo_rt.domain.quote import Quote
from vyomo_rt.market.classes import class_of

log = logging.getLogger(__name__)

MAX_AHEAD_MS = 5_000
"""How far a source's clock may run ahead of the server's."""

MAX_SYMBOLS = 10_000
"""A source that names symbols without end must not fill the memory."""

JUMP_HELD_MS = 2_000
"""How long a price that jumped too far waits to be contradicted."""

_TELL_AGAIN_MS = 60_000
_NEVER_MS = -(2**62)


@dataclass(frozen=True, slots=True)
class _Jump:
    """A price too far from the last one to be believed at once."""

    price_e4: int
    as_of_ms: int
    held_at_ms: int


class PriceBook:
    """The last accepted price of each symbol, from one source.

    ``on_price`` is called with the resulting quote on every accepted tick, also
    on one that only renews freshness: a stop that a stale price was not allowed
    to trigger must trigger once the same price is confirmed.

    A price further from the last one than its class of symbols allows is held,
    neither shown nor acted on: one misprint must not close everybody's trades. The
    next tick on its side confirms it, one near the last price drops it, and after
    ``JUMP_HELD_MS`` without either it is taken.
    """

    def __init__(
        self, now: Clock, source: str, fresh_for_ms: int, on_price: Callable[[Quote], None]
    ) -> None:
        self._now = now
        self._source = source
        self._fresh_for_ms = fresh_for_ms
        self._on_price = on_price
        self._quotes: dict[str, Quote] = {}
        self._fresh_since_ms: dict[str, int] = {}
        self._jumps: dict[str, _Jump] = {}
        self._told_of_jump_ms: dict[str, int] = {}
        self.version = 0
        """Grows when a price or its moment changes, not when one is confirmed.

        Whoever saves the quotes remembers the version it wrote, so that a failed
        write leaves nothing to mend.
        """
        self.last_accepted_ms: int | None = None
        """When the newest accepted tick came in, by the server's clock."""
        self.ticks = Counter(
            "vyomo_rt_ticks", "Ticks that came in, by outcome", ["outcome"], registry=None
        )
        self._accepted = self.ticks.labels("accepted")
        self._held = self.ticks.labels("held")
        self.refused = self.ticks.labels("refused")

    def accept(self, symbol: str, price_e4: int, as_of_ms: int | None = None) -> str | None:
        """Take a tick; returns None, or the reason for refusing it, for a person.

        ``as_of_ms`` is when the source says that the price was true. Without it
        the tick counts as of now, but never before the symbol's last one. A jump
        that is held counts as taken.
        """
        reason = self._take(symbol, price_e4, as_of_ms)
        if reason is not None:
            self.refused.inc()
        elif self.is_held(symbol):
            self._held.inc()
        else:
            self._accepted.inc()
        return reason

    def is_held(self, symbol: str) -> bool:
        """Whether the symbol's newest tick is a jump that waits to be confirmed."""
        return symbol in self._jumps

    def _take(self, symbol: str, price_e4: int, as_of_ms: int | None) -> str | None:
        if not 0 < price_e4 <= MAX_PRICE_E4:
            return _price_reason(price_e4)
        now_ms = self._now()
        latest_ms = now_ms + MAX_AHEAD_MS
        last = self._quotes.get(symbol)
        # A last moment beyond the limit was accepted before the server's clock was
        # set back; obeying it would refuse everything until the clock is there again.
        earliest_ms = last.as_of_ms if last and last.as_of_ms <= latest_ms else 0
        if as_of_ms is None:
            as_of_ms = max(now_ms, earliest_ms)
        elif not earliest_ms <= as_of_ms <= latest_ms:
            return _moment_reason(symbol, as_of_ms, earliest_ms, now_ms)
        if last and self._must_wait(last, price_e4, as_of_ms, now_ms):
            self.last_accepted_ms = now_ms
            return None
        if last and last.as_of_ms == as_of_ms and last.price_e4 == price_e4:
            self._fresh_since_ms[symbol] = now_ms
            quote = self._judged(last, now_ms)
        elif last or len(self._quotes) < MAX_SYMBOLS:
            quote = self._hold(symbol, price_e4, as_of_ms, now_ms)
        else:
            return f"no room for {symbol}: the server holds {MAX_SYMBOLS} symbols already"
        self.last_accepted_ms = now_ms
        self._on_price(quote)
        return None

    def confirm_jumps(self) -> None:
        """Take the held prices that nothing has contradicted for long enough."""
        now_ms = self._now()
        for symbol, jump in list(self._jumps.items()):
            # A clock that was set back must not hold them for ever.
            if not 0 <= now_ms - jump.held_at_ms < JUMP_HELD_MS:
                del self._jumps[symbol]
                self._on_price(self._hold(symbol, jump.price_e4, jump.as_of_ms, now_ms))

    def _must_wait(self, last: Quote, price_e4: int, as_of_ms: int, now_ms: int) -> bool:
        """Whether a tick is a jump that nothing has confirmed yet; then it is held."""
        held = self._jumps.get(last.symbol)
        if held is not None and (held.price_e4, held.as_of_ms) == (price_e4, as_of_ms):
            return True  # the same word once more is no second opinion
        self._jumps.pop(last.symbol, None)
        limit_percent = class_of(last.symbol).jump_limit_percent
        moved_e4 = price_e4 - last.price_e4
        if limit_percent is None or abs(moved_e4) * 100 <= limit_percent * last.price_e4:
            return False
        if held is not None and (held.price_e4 > last.price_e4) == (moved_e4 > 0):
            return False
        self._jumps[last.symbol] = _Jump(price_e4, as_of_ms, now_ms)
        if now_ms - self._told_of_jump_ms.get(last.symbol, _NEVER_MS) >= _TELL_AGAIN_MS:
            self._told_of_jump_ms[last.symbol] = now_ms
            percent = f"more than {limit_percent} %"
            log.warning("%s jumped by %s: held until it is confirmed", last.symbol, percent)
        return True

    def quote(self, symbol: str) -> Quote | None:
        """The last price of a symbol, stale or not as of this call."""
        quote = self._quotes.get(symbol)
        return quote and self._judged(quote, self._now())

    def quotes(self) -> list[Quote]:
        """The last price of every symbol, stale or not as of this call."""
        now_ms = self._now()
        return [self._judged(quote, now_ms) for quote in self._quotes.values()]

    def restore(self, quotes: Iterable[Quote]) -> None:
        """Put back prices kept over a restart, stale until a tick renews them.

        Call it before the first tick: a symbol that has a price keeps that one.
        """
        for quote in quotes:
            self._quotes.setdefault(quote.symbol, quote)

    def _hold(self, symbol: str, price_e4: int, as_of_ms: int, now_ms: int) -> Quote:
        fresh_since_ms = min(as_of_ms, now_ms)
        stale = now_ms - fresh_since_ms > self._fresh_for_ms
        quote = Quote(symbol, price_e4, as_of_ms, self._source, stale)
        self._quotes[symbol] = quote
        self._fresh_since_ms[symbol] = fresh_since_ms
        self.version += 1
        return quote

    def _judged(self, quote: Quote, now_ms: int) -> Quote:
        fresh_since_ms = self._fresh_since_ms.get(quote.symbol, _NEVER_MS)
        # A moment far ahead is from before the server's clock was set back: obeying it would
        # make the price fresh until the clock is there again.
        stale = not -MAX_AHEAD_MS <= now_ms - fresh_since_ms <= self._fresh_for_ms
        return quote if quote.stale == stale else replace(quote, stale=stale)


def _price_reason(price_e4: int) -> str:
    if price_e4 <= 0:
        return "price must be greater than 0"
    return f"price must be at most {MAX_PRICE_E4 // 10_000}"


def _moment_reason(symbol: str, as_of_ms: int, earliest_ms: int, now_ms: int) -> str:
    if as_of_ms >= earliest_ms:
        return f"more than {MAX_AHEAD_MS // 1000} s ahead of the server's clock ({iso(now_ms)})"
    if as_of_ms < 0:
        return "before 1970-01-01"
    return f"older than the last price of {symbol} ({iso(earliest_ms)})"
