"""Who may come in: by a token, or by what stands for one; and who may no longer."""

from __future__ import annotations

import logging
from collections.abc import Callable

from vyomo_rt.access.attempts import Attempts
from vyomo_rt.access.audit import Audit, Trail
from vyomo_rt.access.entries import Entries
from vyomo_rt.access.news import News
from vyomo_rt.access.revocations import Revocations
from vyomo_rt.access.shelf import Shelf
from vyomo_rt.access.tokens import Tokens
from vyomo_rt.config import Settings
from vyomo_rt.domain.errors import Unauthorized, Unavailable
from vyomo_rt.domain.grant import Grant
from vyomo_rt.domain.limits import Buckets, Pace
from vyomo_rt.domain.moment import WallClock
from vyomo_rt.domain.news import Matter

log = logging.getLogger(__name__)


class Gate:
    """All ways in. What it lets in may have been taken back a moment later: ask ``stands``."""

    def __init__(
        self,
        settings: Settings,
        shelf: Shelf,
        trail: Trail,
        now: WallClock,
        time_s: Callable[[], float],
    ) -> None:
        """Raises CannotStart for keys that cannot be used."""
        self.tokens = Tokens(settings, now)
        self.entries = Entries(shelf, now)
        self.revocations = Revocations(shelf, now, token_life_s=settings.auth_token_life_s)
        self.audit = Audit(trail, now)
        self.attempts = Attempts(settings.failed_tokens_per_minute, time_s, self.audit)
        self.calls = Buckets(Pace(settings.calls_per_s, settings.call_burst), time_s, "calls")
        self.news: News | None = None
        """With several nodes: what these have to know of each other."""
        self._now = now

    async def load(self) -> None:
        """Read what outlived the last server. Raises Unavailable."""
        await self.revocations.load()
        await self.entries.load()
        self.entries.end_where(self.revocations.take_back)

    async def by_token(self, token: str) -> Grant:
        """What a token allows. Raises Unauthorized or Unavailable."""
        grant = await self.tokens.grant(token)
        self.revocations.note_shown(grant)
        self.require_standing(grant)
        return grant

    async def by_fresh_token(self, token: str) -> Grant:
        """The same for what lasts: there no token counts beyond its end, whatever clocks say."""
        grant = await self.by_token(token)
        self.require_fresh(grant)
        return grant

    def stands(self, grant: Grant) -> bool:
        """Whether its token was not revoked, nor what stood for it signed out."""
        if grant.entry is not None and grant.entry not in self.entries:
            return False
        return not self.revocations.take_back(grant)

    def require_standing(self, grant: Grant) -> None:
        """Raise Unauthorized if it does not stand any more."""
        if not self.stands(grant):
            raise Unauthorized("the token was revoked, or its sign-in has ended")

    def require_fresh(self, grant: Grant) -> None:
        """Raise Unauthorized if its token has expired, without any leeway."""
        if grant.expires_at_ms is not None and grant.expires_at_ms <= self._now():
            raise Unauthorized("the token has expired")

    async def tell(self, what: Matter, value: str = "") -> None:
        """Tell the other nodes, if there are any. Raises Unavailable."""
        if self.news is not None:
            await self.news.tell(what, value)

    async def tidy(self) -> None:
        """Forget what is over; while the store is away it can wait."""
        try:
            await self.entries.tidy()
            await self.revocations.tidy()
        except Unavailable as error:
            log.debug("tickets and revocations are tidied later: %s", error)
