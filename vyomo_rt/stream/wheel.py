"""One clock for all intervals: slots of 100 ms, and which beats fall into them."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable
from typing import Generic, NamedTuple, TypeVar

T = TypeVar("T", bound=Hashable)

SLOT_MS = 100


class Beat(NamedTuple):
    """Every ``slots`` slots, at those where ``slot % slots == phase``."""

    slots: int
    phase: int


def beat_from(slot: int, interval_ms: int) -> Beat:
    """The beat of an interval whose next turn is a whole interval after ``slot``.

    So connections spread over the phases as they come, and each gets its first
    message after the snapshot when it expects it.
    """
    slots = interval_ms // SLOT_MS
    return Beat(slots, slot % slots)


def is_due(beat: Beat, after_slot: int, upto_slot: int) -> bool:
    """Whether the beat falls into ``after_slot < slot <= upto_slot``.

    Once is enough, however many turns were missed: nothing bursts after a pause of the
    whole machine.
    """
    return (upto_slot - beat.phase) // beat.slots > (after_slot - beat.phase) // beat.slots


def present_slot() -> int:
    """The running number of the current slot."""
    return int(asyncio.get_running_loop().time() * 1000 / SLOT_MS)


class Wheel(Generic[T]):
    """What is due in which slot; a slot looks only at the beats that fall into it."""

    def __init__(self) -> None:
        self._begun: int | None = None
        self._items: dict[Beat, dict[T, None]] = {}

    @property
    def slot(self) -> int:
        """The newest slot whose beats have begun.

        A late slot is still to come, and a peer that subscribed meanwhile must not get it
        right after its snapshot.
        """
        if self._begun is None:
            self._begun = present_slot()
        return self._begun

    def add(self, beat: Beat, item: T) -> None:
        # Its first turn is counted from now, even if the wheel has never turned before.
        self._begun = self.slot
        self._items.setdefault(beat, {})[item] = None

    def remove(self, beat: Beat, item: T) -> None:
        items = self._items[beat]
        del items[item]
        if not items:
            del self._items[beat]

    def turn(self) -> list[T]:
        """Begin all beats up to the current slot."""
        after, upto = self.slot, present_slot()
        self._begun = upto
        due = [items for beat, items in self._items.items() if is_due(beat, after, upto)]
        return [item for items in due for item in items]
