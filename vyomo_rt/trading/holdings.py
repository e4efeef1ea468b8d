"""Which symbols need a price because of what is open, in all sessions in memory."""

from __future__ import annotations

from collections.abc import Sequence

from vyomo_rt.domain.demand import Demand
from vyomo_rt.domain.event import Event, TradeEvent
from vyomo_rt.domain.pending import PendingEntry
from vyomo_rt.domain.state import SessionState


class Holdings:
    """Follows the replica; a pending entry needs a price as an open trade does."""

    def __init__(self, demand: Demand) -> None:
        self._demand = demand
        self._entries: dict[int, str] = {}
        """The symbols of the pending entries, by id."""

    def add(self, state: SessionState) -> None:
        """A session is in memory from now on."""
        self._demand.wanted([each.symbol for each in state.open_trades.values()], held=True)
        for entry in state.pending.values():
            self._follow_entry(entry)

    def publish_events(self, events: Sequence[Event], _: SessionState) -> None:
        for event in events:
            if isinstance(event, TradeEvent):
                symbol = event.trade.symbol
                if event.trade.exit is not None:
                    self._demand.released([symbol], held=True)
                elif event.is_opening:
                    self._demand.wanted([symbol], held=True)
            for record in event.records:
                if isinstance(record, PendingEntry):
                    self._follow_entry(record)

    def publish_state(self, _: SessionState) -> None:
        """Another date changes nothing that is open."""

    def _follow_entry(self, entry: PendingEntry) -> None:
        if entry.is_open and entry.order_id not in self._entries:
            self._entries[entry.order_id] = entry.symbol
            self._demand.wanted([entry.symbol], held=True)
        elif not entry.is_open and self._entries.pop(entry.order_id, ""):
            self._demand.released([entry.symbol], held=True)
