"""Bad tokens: each counts for the address that it comes from, and is remembered."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from vyomo_rt.access.audit import Audit
from vyomo_rt.domain.audit import What
from vyomo_rt.domain.errors import Unauthorized
from vyomo_rt.domain.limits import Buckets, Pace


class Attempts:
    """Counts what is tried at the gate in vain.

    An address that has tried too often is told only to wait. What is good is let in all the
    same: behind one address there may be many, of whom one guesses.
    """

    def __init__(self, per_minute: int, time_s: Callable[[], float], audit: Audit) -> None:
        pace = Pace(per_minute / 60, per_minute)
        self._failed = Buckets(pace, time_s, "bad tokens from this address")
        self._audit = audit

    @contextmanager
    def counted(self, key: str, shown: str) -> Iterator[None]:
        """Look at something inside that may be bad.

        ``key`` is what the address is counted by, ``shown`` what the audit calls it. Raises
        RateLimited in place of Unauthorized once there were too many.
        """
        try:
            yield
        except Unauthorized as error:
            self._failed.take(key)
            self._audit.note(What.REFUSED, None, shown, str(error))
            raise
