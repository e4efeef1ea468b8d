"""Rights that are taken on one node and end what is open on the others."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from vyomo_rt.access.gate import Gate
from vyomo_rt.access.news import News
from vyomo_rt.domain.errors import Unavailable
from vyomo_rt.domain.moment import WallClock
from vyomo_rt.domain.news import Item, Matter
from vyomo_rt.store.database import Database
from vyomo_rt.store.news import SavedNews
from vyomo_rt.stream.rights import Rights

_LOOK_S = 0.5


class SharedRights:
    """Looks at the store's list twice a second, and at once when the bus says so."""

    def __init__(self, gate: Gate, rights: Rights, store: Database, now: WallClock) -> None:
        self.news = gate.news = News(SavedNews(store), now, self._act)
        gate.entries.are_shared = True
        self._gate = gate
        self._rights = rights
        self._wake = asyncio.Event()

    def look(self) -> None:
        """Another node says that there is something new."""
        self._wake.set()

    async def run(self) -> None:
        """Act on what other nodes decide, until cancelled."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_S):
                    await self._wake.wait()
            self._wake.clear()
            with suppress(Unavailable):
                await self.news.look()

    async def _act(self, item: Item) -> None:
        entries = self._gate.entries
        match item.what:
            case Matter.REVOKED:
                revocations = self._gate.revocations
                await revocations.load()
                entries.end_where(revocations.take_back)
                self._rights.end_where(revocations.take_back)
            case Matter.ENDED:
                entries.forget(item.value)
                self._rights.end_entry(item.value)
            case Matter.USED if entries.used_ms.get(item.value, 0) < item.at_ms:
                self._rights.end_entry(item.value)
