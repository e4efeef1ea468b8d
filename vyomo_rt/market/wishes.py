"""The symbols that clients of other nodes watch: the owner of the prices has to price them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

from vyomo_rt.domain.demand import Demand

_TOLD_EVERY_S = 2.0
_GONE_S = 10.0


class Wishes:
    """Tells what is watched here, and counts as users of a symbol the nodes that watch it.

    What is held is in every node's replica, and not told.
    """

    def __init__(self, demand: Demand, time_s: Callable[[], float]) -> None:
        self._demand = demand
        self._time_s = time_s
        self._of_nodes: dict[str, tuple[float, frozenset[str]]] = {}
        self._foreign: Counter[str] = Counter()
        self._has_changed = True
        self._told_s = 0.0
        demand.listeners.append(self._on_demand)

    def due(self) -> list[str] | None:
        """What is watched here, if it is time to tell: after a change, and now and then."""
        now_s = self._time_s()
        if not self._has_changed and now_s - self._told_s < _TOLD_EVERY_S:
            return None
        self._has_changed, self._told_s = False, now_s
        demand, foreign = self._demand, self._foreign
        return [
            each
            for each in demand
            if demand.count(each) > foreign[each] and not demand.is_held(each)
        ]

    def hear(self, node: str, symbols: Iterable[str]) -> None:
        """What another node watches."""
        self._set(node, frozenset(symbols))

    def forget_silent(self) -> None:
        """What a node watched that is not heard any more counts no longer."""
        late_s = self._time_s() - _GONE_S
        for node, (heard_s, _) in list(self._of_nodes.items()):
            if heard_s < late_s:
                self._set(node, frozenset())
                del self._of_nodes[node]

    def _set(self, node: str, symbols: frozenset[str]) -> None:
        _, before = self._of_nodes.get(node, (0.0, frozenset()))
        self._of_nodes[node] = self._time_s(), symbols
        new, gone = symbols - before, before - symbols
        self._foreign.update(new)
        self._foreign.subtract(gone)
        for symbol in gone:
            if not self._foreign[symbol]:
                del self._foreign[symbol]
        self._demand.wanted(new)
        self._demand.released(gone)

    def _on_demand(self, _symbol: str, _wanted: bool) -> None:
        self._has_changed = True
