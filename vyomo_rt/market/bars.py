"""Bars of a minute in memory: of which symbols, and when one of them is not whole."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from vyomo_rt.domain.bars import Bar, Standing, SymbolHour, SymbolMinute
from vyomo_rt.domain.demand import Demand
from vyomo_rt.domain.moment import MINUTE_MS, MarketClock, hour_of, minute_of
from vyomo_rt.domain.quote import Quote

_FOLD_AT = 1000
"""Prices that are counted in one step: a third of a millisecond."""

_MOST_MINUTES = 150_000
"""While they cannot be saved, the oldest are given up: these are five hours of 500 symbols."""

_NEVER_MS = -(2**62)


class _Series:
    """A symbol's minutes that no document of an hour has yet, by their start."""

    __slots__ = ("bars", "is_new", "lag_ms", "last", "newest_ms", "running", "since_ms")

    def __init__(self) -> None:
        self.bars: dict[int, Bar] = {}
        self.running: Bar | None = None
        """The newest one, while it is among them."""
        self.newest_ms = _NEVER_MS
        self.last = (0, _NEVER_MS)
        """The last price and its moment: an identical one only renews freshness."""
        self.lag_ms = 0
        """How old the last price was when it came."""
        self.since_ms = 0
        """When it began to be followed."""
        self.is_new = False
        """Whether no price has come since."""


class Bars:
    """Makes bars of confirmed fresh prices, for the symbols that somebody watches or holds.

    If more than ``most`` are wanted, those that were wanted first have them. A price belongs to
    the minute of its moment. A minute that is over stays as it is: the price of a source that
    lags behind the one before it is left out.

    A bar is partial if the server began or ceased to follow the symbol in its minute. If no price
    counted in that minute, a bar without prices keeps the mark, for longer bars. ``is_open`` tells
    the hours of a symbol: while it is closed, nothing is missed.

    Prices are only noted as they come, and counted in batches: see `fold`.
    """

    def __init__(
        self,
        demand: Demand,
        now: MarketClock,
        *,
        is_open: Callable[[str, int], bool],
        most: int,
    ) -> None:
        self._demand = demand
        self._now = now
        self._is_open = is_open
        self._most = most
        self._series: dict[str, _Series] = {}
        self._followed: set[str] = set()
        self._without_place: dict[str, None] = {}
        self._noted: list[tuple[Quote, int]] = []
        """Each with the moment at which it came."""
        self._finished: list[SymbolMinute] = []
        self._minutes = 0
        """How many bars there are, of all symbols."""
        self.has_changed = False
        """Whether anything changed since somebody cleared this."""

    # -- prices ----------------------------------------------------------------

    def on_quote(self, quote: Quote) -> None:
        """A confirmed price."""
        if quote.symbol in self._followed and not quote.stale:
            self._noted.append((quote, self._now()))
            if len(self._noted) >= _FOLD_AT:
                self.fold()

    def fold(self) -> None:
        """Count all prices that have come."""
        if not self._noted:
            return
        noted, self._noted = self._noted, []
        self.has_changed = True
        for quote, came_ms in noted:
            series, as_of_ms, price_e4 = self._series[quote.symbol], quote.as_of_ms, quote.price_e4
            if (price_e4, as_of_ms) == series.last:
                continue
            start_ms = as_of_ms - as_of_ms % MINUTE_MS
            if start_ms < series.newest_ms:
                continue
            series.last, series.lag_ms = (price_e4, as_of_ms), max(0, came_ms - as_of_ms)
            if series.is_new:
                self._begin_following(quote.symbol, series, start_ms)
            if start_ms > series.newest_ms:
                self._begin(quote.symbol, series, start_ms)
            if series.running is not None:
                series.running.take(price_e4)

    def _begin(self, symbol: str, series: _Series, start_ms: int) -> Bar:
        if series.running is not None:
            self._finished.append(SymbolMinute(symbol, series.running))
        series.newest_ms = start_ms
        series.running = series.bars[start_ms] = Bar(start_ms)
        if self._minutes < _MOST_MINUTES:
            self._minutes += 1
        else:
            del series.bars[next(iter(series.bars))]
        return series.running

    # -- what is followed ------------------------------------------------------

    def start(self) -> None:
        """Begin to follow what is wanted now and from now on."""
        for symbol in self._demand:
            self._on_demand(symbol, wanted=True)
        self._demand.listeners.append(lambda symbol, wanted: self._on_demand(symbol, wanted=wanted))

    def _on_demand(self, symbol: str, *, wanted: bool) -> None:
        if wanted:
            if len(self._followed) < self._most:
                self._follow(symbol)
            else:
                self._without_place[symbol] = None
        elif symbol in self._followed:
            self._leave(symbol)
            if self._without_place:
                self._follow(next(iter(self._without_place)))
        else:
            self._without_place.pop(symbol, None)

    def _follow(self, symbol: str) -> None:
        self._without_place.pop(symbol, None)
        self._followed.add(symbol)
        series = self._series.setdefault(symbol, _Series())
        series.since_ms, series.is_new = self._now(), True

    def _leave(self, symbol: str) -> None:
        self.fold()
        self._followed.remove(symbol)
        self._end_following(symbol, self._now())
        self._forget_if_empty(symbol)

    def _begin_following(self, symbol: str, series: _Series, first_ms: int) -> None:
        """Mark the minute in which a symbol was begun to be followed, at its first price.

        A source may lag behind the clock: then the first bar is the one that lacks its beginning.
        """
        series.is_new = False
        since_ms = minute_of(series.since_ms)
        if first_ms < series.since_ms:
            self._mark(symbol, series, first_ms)
        elif since_ms < series.since_ms and self._is_open(symbol, series.since_ms):
            self._mark(symbol, series, since_ms)

    def _end_following(self, symbol: str, moment_ms: int) -> None:
        series = self._series[symbol]
        moment_ms -= series.lag_ms
        if not series.is_new and self._is_open(symbol, moment_ms):
            self._mark(symbol, series, minute_of(moment_ms))
        series.is_new = False

    def _mark(self, symbol: str, series: _Series, start_ms: int) -> None:
        """Say that a minute was not followed whole."""
        self.has_changed = True
        bar = series.running
        if start_ms > series.newest_ms:
            bar = self._begin(symbol, series, start_ms)
        if bar is not None:
            bar.is_partial = True

    # -- what is kept ----------------------------------------------------------

    def restore(
        self, standings: Iterable[Standing], minutes: Iterable[SymbolMinute], saved_ms: int
    ) -> None:
        """Put back what a former start had, which ended at about ``saved_ms``."""
        for symbol, bar in sorted(minutes, key=lambda minute: minute.bar.start_ms):
            series = self._series.setdefault(symbol, _Series())
            there = series.bars.get(bar.start_ms)
            if there is None or there.count <= bar.count:  # two servers may have kept it
                series.bars[bar.start_ms] = bar
            series.newest_ms = bar.start_ms
        for symbol, bar, lag_ms, is_followed in standings:
            series = self._series.setdefault(symbol, _Series())
            series.lag_ms = lag_ms
            if bar.start_ms > series.newest_ms:
                series.newest_ms = bar.start_ms
                series.running = series.bars[bar.start_ms] = bar
            if is_followed:
                self._end_following(symbol, saved_ms)
        self._minutes = sum(len(series.bars) for series in self._series.values())

    def merge(self, minutes: Iterable[SymbolMinute]) -> None:
        """Take what another server has kept, where it has seen more of a minute than this one."""
        self.fold()
        kept: set[tuple[str, int]] = set()
        for symbol, bar in minutes:
            series = self._series.setdefault(symbol, _Series())
            own = series.bars.get(bar.start_ms)
            if own is not None and own.count > bar.count:
                continue
            kept.add((symbol, bar.start_ms))
            self._minutes += own is None
            series.bars[bar.start_ms] = bar
            if series.running is own and own is not None:
                series.running = bar
            if bar.start_ms > series.newest_ms:
                series.newest_ms, series.running = bar.start_ms, bar
        for series in self._series.values():
            series.bars = dict(sorted(series.bars.items()))
        self._finished = [
            each for each in self._finished if (each.symbol, each.bar.start_ms) not in kept
        ]
        self.has_changed = True

    def standings(self) -> list[Standing]:
        """The newest minute of each symbol."""
        self.fold()
        return [
            Standing(symbol, series.running, series.lag_ms, self._is_at_work(symbol, series))
            for symbol, series in self._series.items()
            if series.running is not None
        ]

    def _is_at_work(self, symbol: str, series: _Series) -> bool:
        return symbol in self._followed and not series.is_new

    def take_finished(self) -> list[SymbolMinute]:
        """Minutes that nothing changes any more, each once."""
        self.fold()
        finished, self._finished = self._finished, []
        return finished

    def give_back(self, minutes: list[SymbolMinute]) -> None:
        """They could not be saved: they are finished again."""
        self._finished = (minutes + self._finished)[-_MOST_MINUTES:]

    def hours_before(self, hour_ms: int) -> list[SymbolHour]:
        """All minutes before an hour."""
        hours: dict[tuple[int, str], SymbolHour] = {}
        for symbol, series in self._series.items():
            for start_ms, bar in series.bars.items():
                if start_ms >= hour_ms:
                    break
                place = hour_of(start_ms), symbol
                hours.setdefault(place, SymbolHour(symbol, place[0], [])).bars.append(bar)
        return [hours[place] for place in sorted(hours)]

    def drop(self, hours: Iterable[SymbolHour]) -> None:
        """Forget minutes that are in documents now."""
        for symbol, _, bars in hours:
            series = self._series[symbol]
            for bar in bars:
                self._minutes -= series.bars.pop(bar.start_ms, None) is not None
                if series.running is bar:
                    series.running = None
            self._forget_if_empty(symbol)

    def _forget_if_empty(self, symbol: str) -> None:
        """Keep nothing of a symbol that never had a price: clients make up names."""
        if symbol not in self._followed and not self._series[symbol].bars:
            del self._series[symbol]

    def minutes(self, symbol: str) -> dict[int, Bar]:
        """A symbol's minutes that no document has yet, in order, by their start."""
        self.fold()
        series = self._series.get(symbol)
        return {} if series is None else dict(series.bars)
