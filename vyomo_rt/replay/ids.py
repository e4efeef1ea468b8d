"""Which session, trade or order of a replay stands for a recorded one."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort

from vyomo_rt.domain.errors import NotFound


class RecordedIds:
    """The ids of one kind, recorded and now: the first that was made is the first that is made.

    A record says which id a call made, if a server of this version wrote it. What prices made,
    and all of other records, follows from the order, since ids are given out one after the other.
    Without anything to count from, the first id is 1; or, if fewer were made than that, the
    first one that is named.
    """

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._made: list[int] = []
        """The ids here, in the order of making."""
        self._recorded: list[int] = []
        """The recorded ids that are known, in their order."""
        self._here: dict[int, int] = {}
        """What those are here."""

    def make(self, id_: int) -> None:
        """Something was made here."""
        place = bisect_left(self._made, id_)
        if self._made[place : place + 1] != [id_]:
            self._made.insert(place, id_)

    def know(self, recorded: int, id_: int) -> None:
        """What was made here had this id then."""
        if recorded not in self._here:
            insort(self._recorded, recorded)
        self._here[recorded] = id_

    def find(self, recorded: int) -> int:
        """The id here. Raises NotFound."""
        if not self._made:
            raise self._missing(recorded)
        if not self._recorded:
            self.know(1 if recorded <= len(self._made) else recorded, self._made[0])
        before = max(0, bisect_right(self._recorded, recorded) - 1)
        nearest = self._recorded[before]
        place = bisect_left(self._made, self._here[nearest]) + recorded - nearest
        if not 0 <= place < len(self._made):
            raise self._missing(recorded)
        return self._made[place]

    def _missing(self, recorded: int) -> NotFound:
        return NotFound(f"the replay has made no {self._kind} that was {recorded} on its day")
