"""What a session's closings earned, by day, symbol, tag and the like."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from functools import cache
from itertools import accumulate
from operator import sub

from vyomo_rt.domain.closings import Closings, Label
from vyomo_rt.domain.moment import DAY_MS, HOUR_MS, IST_AHEAD_MS, day_start_ms, trading_day
from vyomo_rt.domain.money import divide_half_away

_SINCE, _UNTIL = -(2**62), 2**62

Key = str | None
"""Which row: a date, a symbol, a tag. None for trades without a tag."""


class ReportBy(StrEnum):
    """What the rows of a report are."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    SYMBOL = "symbol"
    TAG = "tag"
    REASON = "reason"
    HOUR = "hour"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportOrder:
    """What somebody asks for.

    The days, in Asia/Kolkata and both included, are those of each closing. With ``net``
    everything is net of charges that is gross otherwise.
    """

    by: ReportBy = ReportBy.DAY
    first_day: date | None = None
    last_day: date | None = None
    net: bool = False


class Results:
    """Sums over closings. Money counts by parts; wins, losses and their sums by whole trades."""

    def __init__(self) -> None:
        self.trades = self.wins = self.losses = 0
        self.pnl_paise = self.charges_paise = 0
        self.best_paise: int | None = None
        self.worst_paise: int | None = None
        """The largest loss; 0 if trades closed and none of them lost."""
        self.max_drawdown_paise = 0
        self._won = self._lost = 0
        self._level = self._peak = 0

    @property
    def net_paise(self) -> int:
        return self.pnl_paise - self.charges_paise

    @property
    def win_rate_e2(self) -> int | None:
        return _ratio(self.wins * 10_000, self.trades)

    @property
    def profit_factor_e2(self) -> int | None:
        return _ratio(self._won * 100, -self._lost)

    @property
    def average_win_paise(self) -> int | None:
        return _ratio(self._won, self.wins)

    @property
    def average_loss_paise(self) -> int | None:
        return _ratio(self._lost, self.losses)

    def add_parts(self, earned: Sequence[int], pnl_paise: int, charges_paise: int) -> None:
        """More closings, in their order: what each earned, and both sums over them."""
        self.pnl_paise += pnl_paise
        self.charges_paise += charges_paise
        levels = list(accumulate(earned, initial=self._level))
        peaks = list(accumulate(levels, max, initial=self._peak))[1:]
        self._level, self._peak = levels[-1], peaks[-1]
        self.max_drawdown_paise = min(self.max_drawdown_paise, *map(sub, levels, peaks))

    def add_trades(self, earned: Sequence[int]) -> None:
        """More whole trades, by what each earned."""
        won = [paise for paise in earned if paise > 0]
        lost = [paise for paise in earned if paise < 0]
        self.trades += len(earned)
        self.wins += len(won)
        self.losses += len(lost)
        self._won += sum(won)
        self._lost += sum(lost)
        best = max(earned)
        self.best_paise = best if self.best_paise is None else max(self.best_paise, best)
        self.worst_paise = min(self.worst_paise or 0, *earned, 0)


def _ratio(numerator: int, divisor: int) -> int | None:
    return divide_half_away(numerator, divisor) if divisor else None


class Report:
    """A report as far as it has been made; closings are added in their order, a slice at a time."""

    def __init__(self, order: ReportOrder, closings: Closings) -> None:
        self.total = Results()
        self._order = order
        self._closings = closings
        self._results: dict[Key, Results] = defaultdict(Results)
        self._keys = _keys_of(order.by, closings)
        self._since_ms = _SINCE if order.first_day is None else day_start_ms(order.first_day)
        last = order.last_day
        self._until_ms = _UNTIL if last is None else day_start_ms(last) + DAY_MS

    @property
    def rows(self) -> list[tuple[Key, Results]]:
        """By key; trades without a tag come last."""
        return sorted(self._results.items(), key=lambda row: (row[0] is None, row[0] or ""))

    def add(self, start: int, stop: int) -> None:
        """Add the closings of these places."""
        at_ms, since_ms, until_ms = self._closings.at_ms, self._since_ms, self._until_ms
        places = [n for n in range(start, stop) if since_ms <= at_ms[n] < until_ms]
        grouped: dict[Key, list[int]] = defaultdict(list)
        for place in places:
            for key in self._keys(place):
                grouped[key].append(place)
        for key, of_key in grouped.items():
            self._add_to(self._results[key], of_key)
        self._add_to(self.total, places)

    def _add_to(self, results: Results, places: Sequence[int]) -> None:
        closings = self._closings
        labels, label, net = closings.labels, closings.label, self._order.net
        pnl = [closings.pnl[n] for n in places]
        charges = [closings.charges[n] for n in places]
        if not pnl:
            return
        results.add_parts(list(map(sub, pnl, charges)) if net else pnl, sum(pnl), sum(charges))
        last = [n for n in places if labels[label[n]].is_last]
        if last:
            whole = closings.whole_pnl
            earned = [whole[n] for n in last]
            if net:
                earned = list(map(sub, earned, (closings.whole_charges[n] for n in last)))
            results.add_trades(earned)


def _keys_of(by: ReportBy, closings: Closings) -> Callable[[int], Iterable[Key]]:
    """A function that names the rows in which a closing counts."""
    at_ms, label, labels = closings.at_ms, closings.label, closings.labels
    if by in _OF_LABELS:
        of_labels = [_OF_LABELS[by](each) for each in labels]
        return lambda place: of_labels[label[place]]
    unit_ms, name = _OF_MOMENTS[by]
    named = cache(lambda unit: (name(unit),))
    return lambda place: named((at_ms[place] + IST_AHEAD_MS) // unit_ms)


def _week(day: int) -> str:
    year, week, _ = _date(day).isocalendar()
    return f"{year:04d}-W{week:02d}"


def _date(day: int) -> date:
    """The date that began so many days after the epoch, both in Asia/Kolkata."""
    return trading_day(day * DAY_MS - IST_AHEAD_MS)


_OF_LABELS: dict[ReportBy, Callable[[Label], Sequence[Key]]] = {
    ReportBy.SYMBOL: lambda label: (label.symbol,),
    ReportBy.TAG: lambda label: label.tags or (None,),
    ReportBy.REASON: lambda label: (label.reason.value,),
}
_OF_MOMENTS: dict[ReportBy, tuple[int, Callable[[int], str]]] = {
    ReportBy.DAY: (DAY_MS, lambda day: _date(day).isoformat()),
    ReportBy.WEEK: (DAY_MS, _week),
    ReportBy.MONTH: (DAY_MS, lambda day: _date(day).isoformat()[:7]),
    ReportBy.HOUR: (HOUR_MS, lambda hour: f"{hour % 24:02d}"),
}
