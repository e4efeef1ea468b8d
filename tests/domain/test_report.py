"""Reports, held against a recalculation that knows only what was closed when."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta, timezone
from fractions import Fraction
from math import floor
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.domain.samples import DAY_MS, ROLL_OVER_MS
from tests.kit.events import trade_event
from vyomo_rt.domain.charges import Charges
from vyomo_rt.domain.closings import Closings
from vyomo_rt.domain.event import Event, EventKind
from vyomo_rt.domain.money import Side
from vyomo_rt.domain.report import Report, ReportBy, ReportOrder, Results
from vyomo_rt.domain.trade import Exit, ExitReason, Trade, TradeChange, TradeChangeReason

KOLKATA = timezone(timedelta(hours=5, minutes=30))
DAYS = [date(2026, 11, 22) + timedelta(n) for n in range(-400, 401, 40)]


@dataclass
class Part:
    """One closing, as somebody with pencil and paper notes it."""

    trade_id: int
    symbol: str
    at: datetime
    reason: str
    earned: Fraction
    cost: Fraction
    is_last: bool


class Book:
    """Random trades: their events for the report, and what was closed for the recalculation."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.parts: list[Part] = []
        self.tags: dict[int, tuple[str, ...]] = {}
        self.open: list[Trade] = []
        self.exit_costs: dict[int, Fraction] = {}

    def opens(
        self,
        symbol: str,
        side: Side,
        quantity: int,
        tags: tuple[str, ...],
        charges: Charges | None = None,
    ) -> None:
        trade_id = len(self.tags) + 1
        trade = Trade(
            trade_id, 6, symbol, side, quantity, 100_0025, opened_at_ms=0, tags=tags,
            entry_charges=charges,
        )  # fmt: skip
        self.tags[trade_id] = tags
        self.open.append(trade)
        self._note(EventKind.OPENED, trade)

    def tags_anew(self, trade: Trade, tags: tuple[str, ...]) -> None:
        self.tags[trade.trade_id] = tags
        change = TradeChange(TradeChangeReason.MANUAL, 0)
        self._becomes(EventKind.CHANGED, replace(trade, tags=tags, change=change))

    def closes(self, trade: Trade, quantity: int, exit_: Exit) -> None:
        is_last = quantity >= trade.open_quantity
        quantity = min(quantity, trade.open_quantity)
        moved = Fraction(exit_.price_e4 - trade.entry_price_e4, 10_000) * quantity
        earned = _rounded(moved * (1 if trade.side is Side.BUY else -1))
        at = datetime.fromtimestamp(exit_.at_ms / 1000, UTC).astimezone(KOLKATA)
        reason, cost = exit_.reason.value, self._cost(trade, quantity, exit_, is_last=is_last)
        self.parts.append(Part(trade.trade_id, trade.symbol, at, reason, earned, cost, is_last))
        if is_last:
            self._becomes(EventKind.CLOSED, trade.closed(exit_))
        else:
            self._becomes(EventKind.REDUCED, trade.reduced_by(quantity, exit_))

    def _cost(self, trade: Trade, quantity: int, exit_: Exit, *, is_last: bool) -> Fraction:
        """Each entry item is shared pro rata and rounded; the last part takes what is left."""
        entry = [Fraction(item, 100) for item in trade.entry_charges or ()]
        shared = [p.cost for p in self.parts if p.trade_id == trade.trade_id]
        share = _sum(_rounded(item * quantity / trade.quantity) for item in entry)
        if is_last:
            share = _sum(entry) - _sum(shared) + self.exit_costs.get(trade.trade_id, Fraction(0))
        own = Fraction(sum(exit_.charges or ()), 100)
        self.exit_costs[trade.trade_id] = self.exit_costs.get(trade.trade_id, Fraction(0)) + own
        return share + own

    def _becomes(self, kind: EventKind, trade: Trade) -> None:
        self.open = [one for one in self.open if one.trade_id != trade.trade_id]
        if trade.exit is None:
            self.open.append(trade)
        self._note(kind, trade)

    def _note(self, kind: EventKind, trade: Trade) -> None:
        seq = len(self.events) + 1
        self.events.append(replace(trade_event(trade, seq), kind=kind))


def _rounded(rupees: Fraction) -> Fraction:
    """To the paisa, halves away from zero."""
    paise = floor(abs(rupees) * 100 + Fraction(1, 2))
    return Fraction(paise if rupees >= 0 else -paise, 100)


def _sum(rupees: Iterable[Fraction]) -> Fraction:
    return sum(rupees, Fraction(0))


TAGS = st.lists(st.sampled_from(["gap", "orb", "x"]), max_size=3, unique=True).map(tuple)
MOMENTS = st.builds(
    lambda day, off: ROLL_OVER_MS + day * DAY_MS + off,
    st.integers(-400, 400),
    st.sampled_from([-1, 0, 1, 3_600_000 * 9 - 1, 3_600_000 * 9]),
)
CHARGES = st.none() | st.builds(
    lambda one, two: Charges(brokerage=one, gst=two), st.integers(0, 5), st.integers(0, 2)
)
EXITS = st.builds(
    lambda cents, reason, at_ms, cost: Exit(100_0025 + cents, reason, at_ms, charges=cost),
    st.integers(-300, 300),
    st.sampled_from(ExitReason),
    MOMENTS,
    CHARGES,
)


@st.composite
def books(draw: st.DrawFn) -> Book:
    book = Book()
    for _ in range(draw(st.integers(0, 25))):
        if not book.open or draw(st.booleans()):
            symbol, side = draw(st.sampled_from(["NIFTY", "TCS"])), draw(st.sampled_from(Side))
            book.opens(symbol, side, draw(st.integers(1, 4)), draw(TAGS), draw(CHARGES))
        else:
            trade = draw(st.sampled_from(book.open))
            if draw(st.integers(0, 3)):
                book.closes(trade, draw(st.integers(1, 4)), draw(EXITS))
            else:
                book.tags_anew(trade, draw(TAGS))
    return book


def packed(events: Sequence[Event]) -> Closings:
    closings = Closings()
    for event in events:
        closings.add(event)
    return closings


def reported(order: ReportOrder, closings: Closings, slices: int = 3) -> Report:
    """A report that is made in slices."""
    report = Report(order, closings)
    for start in range(0, len(closings), slices):
        report.add(start, min(start + slices, len(closings)))
    return report


def keys(by: ReportBy, part: Part, tags: tuple[str, ...]) -> Sequence[str | None]:
    named: dict[ReportBy, Callable[[], Sequence[str | None]]] = {
        ReportBy.DAY: lambda: [part.at.strftime("%Y-%m-%d")],
        ReportBy.WEEK: lambda: [part.at.strftime("%G-W%V")],
        ReportBy.MONTH: lambda: [part.at.strftime("%Y-%m")],
        ReportBy.HOUR: lambda: [part.at.strftime("%H")],
        ReportBy.SYMBOL: lambda: [part.symbol],
        ReportBy.REASON: lambda: [part.reason],
        ReportBy.TAG: lambda: tags or [None],
    }
    return named[by]()


def recalculated(
    parts: Sequence[Part], all_parts: Sequence[Part], *, net: bool = False
) -> dict[str, Any]:
    """The figures of some closings, from their definitions."""

    def counted(part: Part) -> Fraction:
        return part.earned - (part.cost if net else 0)

    whole = [
        _sum(counted(p) for p in all_parts if p.trade_id == part.trade_id)
        for part in parts
        if part.is_last
    ]
    won, lost = [w for w in whole if w > 0], [w for w in whole if w < 0]
    levels = [_sum(counted(p) for p in parts[:n]) for n in range(len(parts) + 1)]
    drops = [level - max(levels[: n + 1]) for n, level in enumerate(levels)]
    return {
        "trades": len(whole),
        "wins": len(won),
        "losses": len(lost),
        "pnl": _sum(part.earned for part in parts),
        "charges": _sum(part.cost for part in parts),
        "net": _sum(part.earned - part.cost for part in parts),
        "win_rate": _rounded(Fraction(len(won) * 100, len(whole))) if whole else None,
        "profit_factor": _rounded(_sum(won) / -_sum(lost)) if lost else None,
        "average_win": _rounded(_sum(won) / len(won)) if won else None,
        "average_loss": _rounded(_sum(lost) / len(lost)) if lost else None,
        "best": max(whole, default=None),
        "worst": min([*whole, Fraction(0)]) if whole else None,
        "max_drawdown": min(drops),
    }


def shown(results: Results) -> dict[str, Any]:
    hundredths = {
        "pnl": results.pnl_paise,
        "charges": results.charges_paise,
        "net": results.net_paise,
        "win_rate": results.win_rate_e2,
        "profit_factor": results.profit_factor_e2,
        "average_win": results.average_win_paise,
        "average_loss": results.average_loss_paise,
        "best": results.best_paise,
        "worst": results.worst_paise,
        "max_drawdown": results.max_drawdown_paise,
    }
    figures = {name: None if e2 is None else Fraction(e2, 100) for name, e2 in hundredths.items()}
    counts = {"trades": results.trades, "wins": results.wins, "losses": results.losses}
    return counts | figures


@given(
    books(),
    st.sampled_from(ReportBy),
    st.sampled_from([None, *DAYS]),
    st.sampled_from([None, *DAYS]),
    st.booleans(),
)
def test_a_report_is_what_a_recalculation_from_the_definitions_gives(
    book: Book, by: ReportBy, first: date | None, last: date | None, net: bool
) -> None:
    """Parts count where they were closed, trades where their last part was."""
    order = ReportOrder(by=by, first_day=first, last_day=last, net=net)
    report = reported(order, packed(book.events))
    inside = [
        part
        for part in book.parts
        if (first is None or first <= part.at.date()) and (last is None or part.at.date() <= last)
    ]
    rows: dict[str | None, list[Part]] = defaultdict(list)
    for part in inside:
        for key in keys(by, part, book.tags[part.trade_id]):
            rows[key].append(part)
    assert {key: shown(results) for key, results in report.rows} == {
        key: recalculated(parts, book.parts, net=net) for key, parts in rows.items()
    }
    assert shown(report.total) == recalculated(inside, book.parts, net=net)
    names = [key for key, _ in report.rows]
    assert names == sorted(names, key=lambda key: (key is None, key or ""))


def test_a_trade_counts_where_its_last_part_was_closed_and_money_where_each_part_was() -> None:
    book = Book()
    book.opens("NIFTY", Side.BUY, 3, ())
    for reason, at_ms in ((ExitReason.MANUAL, ROLL_OVER_MS - 1), (ExitReason.SL, ROLL_OVER_MS)):
        book.closes(book.open[0], 2, Exit(101_0025, reason, at_ms))
    closings = packed(book.events)
    days = dict(reported(ReportOrder(), closings).rows)
    one, two = days["2026-11-22"], days["2026-11-23"]
    assert (one.trades, one.pnl_paise, one.best_paise, one.win_rate_e2) == (0, 200, None, None)
    assert (two.trades, two.pnl_paise, two.best_paise, two.win_rate_e2) == (1, 100, 300, 10_000)
    reasons = dict(reported(ReportOrder(by=ReportBy.REASON), closings).rows)
    assert {key: (row.trades, row.pnl_paise) for key, row in reasons.items()} == {
        "MANUAL": (0, 200),
        "SL": (1, 100),
    }


def test_a_trade_with_two_tags_is_in_both_rows_and_once_in_the_total() -> None:
    """Its parts count under the tags that it has at last."""
    book = Book()
    book.opens("NIFTY", Side.BUY, 2, ())
    book.closes(book.open[0], 1, Exit(101_0025, ExitReason.MANUAL, 0))
    book.tags_anew(book.open[0], ("gap", "orb"))
    before = reported(ReportOrder(by=ReportBy.TAG), packed(book.events))
    assert [key for key, _ in before.rows] == ["gap", "orb"]
    book.closes(book.open[0], 1, Exit(101_0025, ExitReason.MANUAL, 0))
    report = reported(ReportOrder(by=ReportBy.TAG), packed(book.events))
    assert [(key, row.trades, row.pnl_paise) for key, row in report.rows] == [
        ("gap", 1, 200),
        ("orb", 1, 200),
    ]
    assert (report.total.trades, report.total.pnl_paise) == (1, 200)


def test_weeks_are_those_of_iso_8601() -> None:
    """The first of January may be in the last week of the year before."""
    book = Book()
    for day in ("2026-12-31", "2027-01-01", "2027-01-04"):
        book.opens("NIFTY", Side.BUY, 1, ())
        at_ms = int(datetime.fromisoformat(f"{day}T12:00:00+05:30").timestamp() * 1000)
        book.closes(book.open[0], 1, Exit(101_0025, ExitReason.MANUAL, at_ms))
    report = reported(ReportOrder(by=ReportBy.WEEK), packed(book.events))
    assert [(key, row.trades) for key, row in report.rows] == [("2026-W53", 2), ("2027-W01", 1)]


def test_a_closing_takes_few_bytes() -> None:
    """Half a million closings are kept, and are to fit into a few dozen megabytes."""
    book = Book()
    book.opens("NIFTY", Side.BUY, 1, ())
    book.closes(book.open[0], 1, Exit(101_0025, ExitReason.MANUAL, 0))
    closings = packed(book.events)
    columns = [value for value in vars(closings).values() if hasattr(value, "itemsize")]
    assert [len(column) for column in columns] == [1] * len(columns)
    assert sum(column.itemsize for column in columns) <= 48
