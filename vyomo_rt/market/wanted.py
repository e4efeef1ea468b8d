"""Which symbols a feed is to price, and when that changes."""

from __future__ import annotations

import asyncio

from vyomo_rt.domain.demand import Demand

_GATHERED_S = 0.25


class Wanted:
    """The symbols that somebody watches or holds, however many do."""

    def __init__(self, demand: Demand) -> None:
        self._demand = demand
        self._has_changed = asyncio.Event()
        demand.listeners.append(self._on_demand)

    def symbols(self) -> list[str]:
        """The wanted symbols: first those of open trades, of each kind the oldest wish first."""
        return sorted(self._demand, key=lambda symbol: not self._demand.is_held(symbol))

    async def changed(self) -> None:
        """Wait until a symbol is newly wanted, or no longer, since this last returned.

        What changes within a quarter of a second is one change. Only one may wait at a time.
        """
        await self._has_changed.wait()
        await asyncio.sleep(_GATHERED_S)
        self._has_changed.clear()

    def _on_demand(self, _symbol: str, _wanted: bool) -> None:
        self._has_changed.set()
