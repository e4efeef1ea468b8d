"""Which tokens were taken back."""

from __future__ import annotations

from typing import TypeVar

from vyomo_rt.access.shelf import Shelf
from vyomo_rt.access.tokens import LEEWAY_MS
from vyomo_rt.domain.entry import Revocation, RevokedBy
from vyomo_rt.domain.grant import Grant
from vyomo_rt.domain.moment import DAY_MS, WallClock, WallMs

K = TypeVar("K")


class Revocations:
    """The list in memory counts, also while the store is away; the store keeps it for a restart."""

    def __init__(self, shelf: Shelf, now: WallClock, *, token_life_s: int) -> None:
        self._shelf = shelf
        self._now = now
        self._keep_ms = max(DAY_MS, token_life_s * 1000) + 2 * LEEWAY_MS
        self._token_ids: dict[str, Revocation] = {}
        self._subjects: dict[str, Revocation] = {}
        self._issued_before: dict[int, Revocation] = {}
        # The latest issue that each subject has shown, while that is ahead of this clock.
        self._shown_ahead: dict[str, WallMs] = {}
        self._tidied_at_ms = 0

    async def load(self) -> None:
        """Read the list, once. Raises Unavailable."""
        for revocation in await self._shelf.load_revocations():
            self._note(revocation)

    def take_back(self, grant: Grant) -> bool:
        """Whether a grant's token was revoked."""
        issued_at_ms = grant.issued_at_ms or 0
        if grant.token_id is not None and grant.token_id in self._token_ids:
            return True
        by_subject = self._subjects.get(grant.subject or "")
        if by_subject is not None and issued_at_ms <= by_subject.at_ms:
            return True
        return any(issued_at_ms < moment_ms for moment_ms in self._issued_before)

    def note_shown(self, grant: Grant) -> None:
        """A token was shown; if its issuer's clock is ahead, it was issued by now all the same."""
        now_ms = self._now()
        while (oldest := next(iter(self._shown_ahead), None)) is not None:
            if self._shown_ahead[oldest] > now_ms:
                break
            del self._shown_ahead[oldest]
        subject, issued_at_ms = grant.subject, grant.issued_at_ms
        if subject is not None and issued_at_ms is not None and issued_at_ms > now_ms:
            former_ms = self._shown_ahead.pop(subject, issued_at_ms)
            self._shown_ahead[subject] = max(former_ms, issued_at_ms)

    def revoke(self, by: RevokedBy, value: str | WallMs) -> Revocation:
        """Take tokens back, from this moment on; ``keep`` the result for the next start."""
        at_ms = now_ms = self._now()
        if by is RevokedBy.SUBJECT:
            at_ms = max(now_ms, self._shown_ahead.get(str(value), now_ms))
        revocation = Revocation(
            by=by, value=value, at_ms=at_ms, until_ms=WallMs(now_ms + self._keep_ms)
        )
        self._note(revocation)
        return revocation

    async def keep(self, revocation: Revocation) -> None:
        """Store a revocation; repeating it does no harm. Raises Unavailable."""
        await self._shelf.save_revocation(revocation)

    async def tidy(self) -> None:
        """Forget, now and then, what has no token left to take back. Raises Unavailable."""
        now_ms = self._now()
        if now_ms - self._tidied_at_ms < DAY_MS / 24:
            return
        self._token_ids = _kept(self._token_ids, now_ms)
        self._subjects = _kept(self._subjects, now_ms)
        self._issued_before = _kept(self._issued_before, now_ms)
        await self._shelf.remove_revocations(now_ms)
        self._tidied_at_ms = now_ms

    def _note(self, revocation: Revocation) -> None:
        match revocation.by, revocation.value:
            case RevokedBy.JTI, str(token_id):
                self._token_ids[token_id] = revocation
            case RevokedBy.SUBJECT, str(subject):
                former = self._subjects.get(subject)
                if former is None or former.at_ms < revocation.at_ms:
                    self._subjects[subject] = revocation
            case RevokedBy.ISSUED_BEFORE, int(moment_ms):
                self._issued_before[moment_ms] = revocation


def _kept(revocations: dict[K, Revocation], now_ms: int) -> dict[K, Revocation]:
    return {key: each for key, each in revocations.items() if now_ms < each.until_ms}
