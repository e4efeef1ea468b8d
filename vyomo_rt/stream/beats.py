"""One clock for all intervals: slots of 100 ms, and which beats fall into them."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

SLOT_MS = 100


class Beat(NamedTuple):
    """Every ``slots`` slots, at those where ``slot % slots == phase``."""

    slots: int
    phase: int


def beat_from(slot: int, interval_ms: int) -> Beat:
    """The beat of an interval whose next turn is a whole interval after ``slot``.

    So connections spread over the phases as they came, and each gets its first
    message after the snapshot when it expects it.
    """
    slots = interval_ms // SLOT_MS
    return Beat(slots, slot % slots)


def is_due(beat: Beat, after_slot: int, upto_slot: int) -> bool:
    """Whether the beat falls into ``after_slot < slot <= upto_slot``.

    Once is enough, however many turns fell into it: after a pause of the whole
    machine nothing bursts.
    """
    return (upto_slot - beat.phase) // beat.slots > (after_slot - beat.phase) // beat.slots


def present_slot() -> int:
    """The running number of the present slot."""
    return int(asyncio.get_running_loop().time() * 1000 / SLOT_MS)


class Wheel:
    """The newest slot whose beats have begun.

    One that is late is still to come, and who subscribed meanwhile must not get it right
    behind the snapshot.
    """

    def __init__(self) -> None:
        self._begun: int | None = None

    @property
    def slot(self) -> int:
        return present_slot() if self._begun is None else self._begun

    def turn(self) -> tuple[int, int]:
        """Begin what is due: the beats after the first slot, up to the second."""
        upto = present_slot()
        after = upto - 1 if self._begun is None else self._begun
        self._begun = upto
        return after, upto
