"""Which sessions changed after which: what a peer has not seen follows from one number."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator


class Changes:
    """Sessions in the order of their last change, each once.

    Every change takes the next place. A peer knows the place up to which it was sent everything;
    what comes after it is what is due, at its newest, however long the peer was away.
    """

    def __init__(self) -> None:
        self.newest = 0
        """The last place that was taken."""
        self._places: dict[int, int] = {}
        # Ascending; a session's former places stay until `tidy`, and count for nothing.
        self._taken: list[int] = []
        self._ids: list[int] = []

    def __contains__(self, session_id: int) -> bool:
        return session_id in self._places

    def __iter__(self) -> Iterator[int]:
        return iter(self._places)

    def note(self, session_id: int) -> None:
        """A session has changed."""
        self.newest += 1
        self._places[session_id] = self.newest
        self._taken.append(self.newest)
        self._ids.append(session_id)

    def drop(self, session_id: int) -> None:
        """Forget a session."""
        self._places.pop(session_id, None)

    def place(self, session_id: int) -> int:
        """When a session changed last."""
        return self._places[session_id]

    def after(self, place: int) -> Iterator[tuple[int, int]]:
        """The places after one, with the session of each.

        What is noted meanwhile comes, too; do not ``tidy`` meanwhile.
        """
        index = bisect_right(self._taken, place)
        while index < len(self._taken):
            taken, session_id = self._taken[index], self._ids[index]
            if self._places.get(session_id) == taken:
                yield taken, session_id
            index += 1

    def tidy(self) -> None:
        """Remove former places, once they are the majority."""
        if len(self._taken) > 2 * len(self._places) + 64:
            kept = sorted((taken, session_id) for session_id, taken in self._places.items())
            self._taken = [taken for taken, _ in kept]
            self._ids = [session_id for _, session_id in kept]
