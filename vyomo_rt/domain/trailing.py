"""Stops that move: in steps behind the price, and once to the entry."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from math import inf
from typing import NamedTuple

from vyomo_rt.domain.guards import Guards
from vyomo_rt.domain.trade import ExitDetail, Trade, TradeChange, TradeChangeReason


@dataclass(frozen=True, slots=True)
class Move:
    """What a price made of a trade's guards.

    It is applied to the trade as stored, which may have changed otherwise since: ``moved_by`` is
    what moved the stop, and ``is_even`` says whether the breakeven level was reached.
    """

    stop_loss_e4: int | None
    moved_by: ExitDetail | None
    is_even: bool
    change: TradeChange

    def of(self, trade: Trade) -> Trade:
        """The trade after the move."""
        return replace(
            trade,
            stop_loss_e4=self.stop_loss_e4,
            breakeven_at_e4=None if self.is_even else trade.breakeven_at_e4,
            stop_moved_by=self.moved_by,
            change=self.change,
        )

    def after(self, earlier: Move | None) -> Move:
        """The same move in place of an earlier one that was not stored."""
        is_even = self.is_even or (earlier is not None and earlier.is_even)
        return replace(self, is_even=is_even)


def move_at(trade: Trade, price_e4: int, at_ms: int) -> Move | None:
    """What a price that does not close a trade makes of its guards; None for nothing."""
    trailed_e4 = _trailed_e4(trade, price_e4)
    is_even = _is_even(trade, price_e4)
    if trailed_e4 is None and not is_even:
        return None
    sign, stop_e4, moved_by = trade.side.sign, trade.stop_loss_e4, trade.stop_moved_by
    reason = TradeChangeReason.BREAKEVEN
    if trailed_e4 is not None:
        stop_e4, moved_by = trailed_e4, ExitDetail.TRAILING
        reason = TradeChangeReason.TRAILING
    if is_even and (stop_e4 is None or (trade.entry_price_e4 - stop_e4) * sign > 0):
        stop_e4, moved_by = trade.entry_price_e4, ExitDetail.BREAKEVEN
        reason = TradeChangeReason.BREAKEVEN
    return Move(stop_e4, moved_by, is_even, TradeChange(reason, at_ms))


def _trailed_e4(trade: Trade, price_e4: int) -> int | None:
    """Where a price moves the stop in whole steps; None if it stays."""
    if trade.trailing_stop_e4 is None:
        return None
    sign = trade.side.sign
    if trade.trail_from_e4 is not None and (price_e4 - trade.trail_from_e4) * sign < 0:
        return None
    behind_e4 = price_e4 - sign * trade.trailing_stop_e4
    if trade.stop_loss_e4 is None:
        return behind_e4 if behind_e4 > 0 else None
    assert trade.trailing_step_e4 is not None
    steps = (behind_e4 - trade.stop_loss_e4) * sign // trade.trailing_step_e4
    return trade.stop_loss_e4 + sign * steps * trade.trailing_step_e4 if steps >= 1 else None


def _is_even(trade: Trade, price_e4: int) -> bool:
    level_e4 = trade.breakeven_at_e4
    return level_e4 is not None and (price_e4 - level_e4) * trade.side.sign >= 0


class Band(NamedTuple):
    """Prices strictly between the two do nothing."""

    low: float = -inf
    high: float = inf

    def narrowed(self, other: Band) -> Band:
        """The prices at which neither does anything."""
        return Band(max(self.low, other.low), min(self.high, other.high))


def quiet_band(trade: Trade) -> Band:
    """The prices at which a trade is neither closed nor moved.

    Prices near its ends may be outside although they do nothing.
    """
    against, gain = trade.stop_loss_e4, [trade.target_e4, trade.breakeven_at_e4]
    sign = trade.side.sign
    if trade.trailing_stop_e4 is not None:
        if trade.stop_loss_e4 is None:
            gain.append(trade.trail_from_e4 or sign * -(10**15))
        else:
            assert trade.trailing_step_e4 is not None
            reach_e4 = trade.trailing_stop_e4 + trade.trailing_step_e4
            step_at = trade.stop_loss_e4 + sign * reach_e4
            begins_at = step_at if trade.trail_from_e4 is None else trade.trail_from_e4
            gain.append(max(step_at, begins_at) if sign > 0 else min(step_at, begins_at))
    known = [level for level in gain if level is not None]
    if sign > 0:
        return Band(-inf if against is None else against, min(known, default=inf))
    return Band(max(known, default=-inf), inf if against is None else against)


_MOVED = ("stop_loss_e4", "breakeven_at_e4")


def is_own_move(before: Trade, after: Trade) -> bool:
    """Whether a stop may have moved by itself from one to the other; it never loosens.

    After a change by request that cannot be told exactly: a move may have waited meanwhile.
    """
    assert after.change is not None
    kept = [f.name for f in fields(Guards) if f.name not in _MOVED]
    if any(getattr(before, name) != getattr(after, name) for name in (*kept, "tags", "note")):
        return False
    sign, old_e4, new_e4 = before.side.sign, before.stop_loss_e4, after.stop_loss_e4
    if new_e4 is None or (old_e4 is not None and (new_e4 - old_e4) * sign < 0):
        return False
    if after.breakeven_at_e4 not in (None, before.breakeven_at_e4):
        return False
    if before.change is not None and before.change.reason is TradeChangeReason.MANUAL:
        return True
    if after.change.reason is TradeChangeReason.TRAILING:
        return _is_stepped(before, new_e4)
    # Steps that were waiting may have gone before, so the stop need not be at the entry.
    is_tighter = (new_e4 - before.entry_price_e4) * sign >= 0
    return before.breakeven_at_e4 is not None and after.breakeven_at_e4 is None and is_tighter


def _is_stepped(before: Trade, new_e4: int) -> bool:
    """Whether a stop was moved by steps, maybe from the entry to which it had moved before."""
    if before.trailing_stop_e4 is None or before.trailing_step_e4 is None:
        return False
    bases = {before.stop_loss_e4}
    if before.breakeven_at_e4 is not None:
        bases.add(before.entry_price_e4)
    if None in bases:
        return True
    step_e4 = before.trailing_step_e4
    return any((new_e4 - base) % step_e4 == 0 for base in bases if base is not None)
