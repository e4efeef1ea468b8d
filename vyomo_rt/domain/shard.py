"""Shards: the parts into which all sessions are divided among the nodes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

SHARDS = 64
EVERY_SHARD = frozenset(range(SHARDS))
PRICES = SHARDS
"""The row of the prices, beside those of the shards: who runs the sources."""


def shard_of(session_id: int) -> int:
    """The shard of a session, for ever the same."""
    return session_id % SHARDS


_SPREAD = sorted(range(SHARDS), key=lambda shard: f"{shard:06b}"[::-1])
"""All shards; neighbours are far from each other, and the odd ones come last."""


def even_split(owners: Mapping[int, str], nodes: Iterable[str]) -> dict[int, str]:
    """Who should own each shard: as many each as evenly as possible, with as few changes.

    It depends on nothing else, so nodes that see the same come to the same. What moves is spread
    over the numbers, as sessions are often made one after the other.
    """
    held: dict[str, list[int]] = {node: [] for node in sorted(nodes)}
    if not held:
        return {}
    free: list[int] = []
    for shard in _SPREAD:
        owned = held.get(owners.get(shard, ""))
        (free if owned is None else owned).append(shard)
    for shard in free:
        min(held.values(), key=len).append(shard)
    while len(most := max(held.values(), key=len)) - len(least := min(held.values(), key=len)) > 1:
        least.append(most.pop())
    return {shard: node for node, shards in held.items() for shard in shards}
