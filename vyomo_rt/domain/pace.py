"""How often a stop that moves is stored: once a market second."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from vyomo_rt.domain.moment import SECOND_MS
from vyomo_rt.domain.trade import Trade
from vyomo_rt.domain.trailing import Move


@dataclass(frozen=True, slots=True)
class Pace:
    """Which stops were stored in which market second, and the moves that wait for the next.

    A trade's stop is stored once a market second; of further moves the newest waits.
    """

    stored: Mapping[int, int] = field(default_factory=dict)
    """By trade, the newest market second in which a move of its stop was stored."""
    waiting: Mapping[int, Move] = field(default_factory=dict)

    def newest(self, trade: Trade) -> Trade:
        """A trade with the move that waits: this is what exits go by."""
        move = self.waiting.get(trade.trade_id)
        return trade if move is None else move.of(trade)

    @property
    def due_ms(self) -> int | None:
        """When the first waiting move may be stored; None if none waits."""
        return min(((self.stored[id_] + 1) * SECOND_MS for id_ in self.waiting), default=None)

    def after_change(self, trade_id: int, changed: Collection[str]) -> Pace:
        """The same after a request changed members of a trade: what it set anew, it set last."""
        if "stop_loss_e4" in changed:
            return self.without(trade_id)
        move = self.waiting.get(trade_id)
        if move is None or "breakeven_at_e4" not in changed:
            return self
        return Pace(self.stored, {**self.waiting, trade_id: replace(move, is_even=False)})

    def without(self, trade_id: int) -> Pace:
        """The same without the move of a trade that waits."""
        kept = {id_: move for id_, move in self.waiting.items() if id_ != trade_id}
        return Pace(self.stored, kept)
