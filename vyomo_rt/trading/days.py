"""The date for which figures are shown, by the market's clock."""

from __future__ import annotations

import asyncio
import logging

from vyomo_rt.clockwork import Bulkhead
from vyomo_rt.domain.moment import MarketClock, trading_day
from vyomo_rt.trading.replica import Replica

log = logging.getLogger(__name__)

_ROLLED_AT_ONCE = 100
_CLOCK_WAS_AHEAD_MS = 3_600_000
"""A clock that goes back over midnight by less was corrected; by more, it was wrong before."""


class Days:
    """Rolls the figures of all sessions over when the date in Asia/Kolkata changes."""

    def __init__(self, replica: Replica, now: MarketClock) -> None:
        self._replica = replica
        self._now = now
        self._behind: dict[int, None] = {}
        """The sessions that still show another date."""
        self._bulkhead = Bulkhead()

    async def roll_over(self) -> None:
        """Show the figures of the current date, once it has changed.

        A session that fails is tried again at the next call.
        """
        replica = self._replica
        day = trading_day(self._now())
        if day > replica.today:
            log.info("a new trading day began: %s", day)
        elif trading_day(self._now() + _CLOCK_WAS_AHEAD_MS) < replica.today:
            log.warning("the clock was ahead: today is %s, not %s", day, replica.today)
        else:
            day = replica.today
        if day != replica.today:
            replica.today = day
            self._behind = {state.session.session_id: None for state in replica.states()}
        for count, session_id in enumerate(list(self._behind), 1):
            with self._bulkhead(f"the new day of session {session_id}"):
                replica.begin_day(session_id, day)
                del self._behind[session_id]
            if not count % _ROLLED_AT_ONCE:
                await asyncio.sleep(0)
