"""The closings of a session, packed: what its reports are made of."""

from __future__ import annotations

from array import array
from typing import NamedTuple

from vyomo_rt.domain.charges import Charges
from vyomo_rt.domain.event import Event, EventKind, TradeEvent
from vyomo_rt.domain.money import pnl_paise
from vyomo_rt.domain.trade import ExitReason, Trade

KINDS = (EventKind.CLOSED, EventKind.REDUCED, EventKind.CHANGED)
"""The events that say something about closings; a change may set the tags of a trade."""


class Label(NamedTuple):
    """What many closings have in common. ``is_last`` says that it closed the rest of a trade."""

    symbol: str
    reason: ExitReason
    tags: tuple[str, ...]
    is_last: bool


class Closings:
    """All closings of trades and of parts, in the order of their events.

    Whoever adds events sets ``seq`` to the number up to which that was done. One closing takes
    44 bytes: its moment, its P&L and charges, those of the whole trade (0 unless it was the last
    part), and the index of its label.
    """

    def __init__(self) -> None:
        self.seq = 0
        self.at_ms = array("q")
        self.pnl = array("q")
        self.charges = array("q")
        self.whole_pnl = array("q")
        self.whole_charges = array("q")
        self.label = array("i")
        self.labels: list[Label] = []
        self._index: dict[Label, int] = {}
        self._parts: dict[int, list[int]] = {}
        """Of each open trade, where its parts are."""

    def __len__(self) -> int:
        return len(self.at_ms)

    def add(self, event: Event) -> None:
        """Take the next event; those of other kinds than ``KINDS`` may be left out."""
        if not isinstance(event, TradeEvent):
            return
        trade = event.trade
        if event.kind is EventKind.REDUCED:
            self._add_part(trade)
        elif event.kind is EventKind.CLOSED:
            self._add_close(trade)
        self._relabel(trade)

    def _add_part(self, trade: Trade) -> None:
        part = trade.reduced
        assert part is not None
        self._parts.setdefault(trade.trade_id, []).append(len(self))
        paise = pnl_paise(trade.side, part.last_quantity, trade.entry_price_e4, part.last.price_e4)
        label = Label(trade.symbol, part.last.reason, trade.tags, False)
        self._append(part.last.at_ms, label, paise, trade.newest_part_charges)

    def _add_close(self, trade: Trade) -> None:
        exit_ = trade.exit
        assert exit_ is not None
        label = Label(trade.symbol, exit_.reason, trade.tags, True)
        self._append(exit_.at_ms, label, trade.last_part_paise, trade.last_part_charges)
        self.whole_pnl[-1] = trade.realised_paise
        self.whole_charges[-1] = _paise(trade.charges)

    def _append(self, at_ms: int, label: Label, pnl: int, charges: Charges | None) -> None:
        self.at_ms.append(at_ms)
        self.pnl.append(pnl)
        self.charges.append(_paise(charges))
        self.whole_pnl.append(0)
        self.whole_charges.append(0)
        self.label.append(self._index_of(label))

    def _relabel(self, trade: Trade) -> None:
        """A part has the tags that its trade has now, even if these were set later."""
        parts = self._parts.get(trade.trade_id, ())
        for place in parts:
            label = self.labels[self.label[place]]
            if label.tags != trade.tags:
                self.label[place] = self._index_of(label._replace(tags=trade.tags))
        if parts and trade.exit is not None:
            del self._parts[trade.trade_id]

    def _index_of(self, label: Label) -> int:
        index = self._index.setdefault(label, len(self.labels))
        if index == len(self.labels):
            self.labels.append(label)
        return index


def _paise(charges: Charges | None) -> int:
    return 0 if charges is None else charges.total_paise
