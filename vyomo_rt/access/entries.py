"""Tickets and sign-ins: what stands for a token where one cannot be sent."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from secrets import token_urlsafe

from vyomo_rt.access.shelf import Shelf
from vyomo_rt.domain.entry import FRONT_DOOR, Entry
from vyomo_rt.domain.errors import LimitExceeded, Unauthorized
from vyomo_rt.domain.grant import Grant
from vyomo_rt.domain.moment import WallClock, WallMs

USE_WITHIN_MS = 30_000
MAX_OF_A_SUBJECT = 1000
_SECRET_BYTES = 32
_BAD_TICKET = "the ticket is unknown, used, too old, or for another address: ask for a new one"
_BAD_COOKIE = "the sign-in has ended: sign in again"


class Entries:
    """All that are open, by the hashes of their secrets.

    Memory decides, in one step, so that of two uses at the same time one wins. The store has
    them for the next start; what was to be used once, and soon, does not survive one.
    """

    def __init__(self, shelf: Shelf, now: WallClock) -> None:
        self._shelf = shelf
        self._now = now
        self.are_shared = False
        """Whether other nodes open some, too."""
        self.used_ms: dict[str, int] = {}
        """When each ticket for one stream at a time was last used here."""
        self._entries: dict[str, Entry] = {}
        self._of_subject: Counter[str | None] = Counter()
        # What has ended by itself is looked for in the order of these moments.
        self._ends: list[tuple[int, str]] = []
        # What the store has yet to be told.
        self._used: set[str] = set()
        self._gone: set[str] = set()

    async def fetch(self, secret: str, use: tuple[str, str] | None = None) -> None:
        """With several nodes: know an entry that another node has opened.

        If it is a ticket for one ``use`` of this path and query, it is claimed, so that one use on
        one node wins. Raises Unauthorized or Unavailable.
        """
        hash_ = _hash(secret)
        entry = self._entries.get(hash_) or await self._shelf.find_entry(hash_)
        if entry is None or hash_ in self._gone:
            return
        # Before it is known here: another use, which finds it gone, must not find it in memory.
        is_claimed = _is_for_once(entry) and use == (entry.path, entry.query)
        if is_claimed and not await self._shelf.claim_entry(hash_):
            self.forget(hash_)
            raise Unauthorized(_BAD_TICKET, "ticket")
        if hash_ not in self._entries:
            self._add(entry)

    async def know(self, hash_: str) -> None:
        """With several nodes: know what another node has opened and still counts.

        Raises Unavailable.
        """
        if hash_ not in self._entries:
            entry = await self._shelf.find_entry(hash_)
            if entry is not None and hash_ not in self._gone and hash_ not in self._entries:
                self._add(entry)

    def forget(self, hash_: str) -> None:
        """Another node has ended it."""
        self.end(hash_)
        self._gone.discard(hash_)

    async def load(self) -> None:
        """Read them, once. Raises Unavailable."""
        for entry in await self._shelf.load_entries():
            if entry.used and not _is_for_once(entry):
                self._add(entry)
            elif not self.are_shared:
                self._gone.add(entry.hash)

    async def issue_ticket(self, grant: Grant, path: str, query: str) -> tuple[str, WallMs]:
        """A ticket for a path and query, and when it has to be used by.

        Raises LimitExceeded or Unavailable.
        """
        use_by_ms = WallMs(self._now() + USE_WITHIN_MS)
        secret = await self._open(
            grant, lambda hash_: _ticket(hash_, grant, path, query, use_by_ms)
        )
        return secret, min(use_by_ms, grant.expires_at_ms or use_by_ms)

    async def sign_in(self, grant: Grant) -> str:
        """The secret of a new sign-in. Raises LimitExceeded or Unavailable."""
        return await self._open(grant, lambda hash_: Entry(hash=hash_, grant=grant))

    def use_ticket(self, secret: str, path: str, query: str, *, only_look: bool = False) -> Grant:
        """The grant of a ticket for this path and query, which is then used.

        Raises Unauthorized.
        """
        now_ms = self._now()
        entry = self._entries.get(_hash(secret))
        if entry is None or (entry.path, entry.query) != (path, query):
            raise Unauthorized(_BAD_TICKET, "ticket")
        if _end_ms(entry) <= now_ms:
            self.end(entry.hash)
            raise Unauthorized(_BAD_TICKET, "ticket")
        if only_look:
            return entry.grant
        if _is_for_once(entry):
            self.end(entry.hash)
            return entry.grant
        if not entry.used:
            used = self._entries[entry.hash] = replace(entry, used=True)
            self._used.add(entry.hash)
            heapq.heappush(self._ends, (_end_ms(used), entry.hash))
        self.used_ms[entry.hash] = now_ms
        return replace(entry.grant, entry=entry.hash, one_stream=True)

    def by_cookie(self, secret: str) -> Grant:
        """The grant of a sign-in. Raises Unauthorized."""
        entry = self._entries.get(_hash(secret))
        if entry is None or entry.path is not None or _end_ms(entry) <= self._now():
            raise Unauthorized(_BAD_COOKIE, "Cookie")
        return replace(entry.grant, entry=entry.hash)

    def __contains__(self, hash_: str) -> bool:
        """Whether a ticket or a sign-in is still open."""
        return hash_ in self._entries

    def end(self, hash_: str) -> None:
        """A ticket or a sign-in opens nothing any more."""
        if (entry := self._entries.pop(hash_, None)) is not None:
            self._of_subject[entry.grant.subject] -= 1
            if not self._of_subject[entry.grant.subject]:
                del self._of_subject[entry.grant.subject]
            self.used_ms.pop(hash_, None)
            self._gone.add(hash_)

    def end_where(self, condition: Callable[[Grant], bool]) -> None:
        """End all whose tokens were taken back."""
        for entry in list(self._entries.values()):
            if condition(entry.grant):
                self.end(entry.hash)

    async def tidy(self) -> None:
        """End what is over, and tell the store what has changed. Raises Unavailable."""
        now_ms = self._now()
        while self._ends and self._ends[0][0] <= now_ms:
            _, hash_ = heapq.heappop(self._ends)
            if (entry := self._entries.get(hash_)) is not None and _end_ms(entry) <= now_ms:
                self.end(hash_)
        await self.keep()

    async def keep(self) -> None:
        """Tell the store what was used and what has ended. Raises Unavailable."""
        used, gone = set(self._used), set(self._gone)
        if used - gone:
            await self._shelf.mark_used(used - gone)
        self._used -= used
        if gone:
            await self._shelf.remove_entries(gone)
        self._gone -= gone

    async def _open(self, grant: Grant, make: Callable[[str], Entry]) -> str:
        if self._of_subject[grant.subject] >= MAX_OF_A_SUBJECT:
            raise LimitExceeded(f"at most {MAX_OF_A_SUBJECT} tickets and sign-ins at a time")
        secret = token_urlsafe(_SECRET_BYTES)
        entry = make(_hash(secret))
        self._add(entry)
        try:
            await self._shelf.save_entry(entry)
        except BaseException:
            self.end(entry.hash)
            raise
        return secret

    def _add(self, entry: Entry) -> None:
        self._entries[entry.hash] = entry
        self._of_subject[entry.grant.subject] += 1
        heapq.heappush(self._ends, (_end_ms(entry), entry.hash))


def _ticket(hash_: str, grant: Grant, path: str, query: str, use_by_ms: WallMs) -> Entry:
    return Entry(hash=hash_, grant=grant, path=path, query=query, use_by_ms=use_by_ms, used=False)


def _is_for_once(entry: Entry) -> bool:
    """EventSource comes back to the same address; everything else is opened once."""
    path = entry.path
    return path is not None and (path == FRONT_DOOR or not path.startswith("/sse/"))


def _end_ms(entry: Entry) -> int:
    """When an entry is over: without its token it is nothing."""
    end_ms = entry.grant.expires_at_ms or 0
    return end_ms if entry.use_by_ms is None or entry.used else min(end_ms, entry.use_by_ms)


def _hash(secret: str) -> str:
    return sha256(secret.encode(errors="surrogateescape")).hexdigest()
