"""The last prices in MongoDB: pages of fifty symbols, of which only changed ones are written."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from vyomo_rt.domain.quote import Quote
from vyomo_rt.store import documents
from vyomo_rt.store.client import where
from vyomo_rt.store.database import reading

if TYPE_CHECKING:
    from vyomo_rt.store.client import Collection
    from vyomo_rt.store.database import Database

PAGE = 50
"""Symbols in a document: few enough that neither the loop nor a trade's write waits for one."""

_SLICE = 1000

_FORMER_ID = "latest"
"""The one document with all prices that former versions wrote."""


class SavedPrices:
    """Keeps the last prices for the next start."""

    def __init__(self, store: Database) -> None:
        self._store = store
        self._documents: Collection = store.database["prices"]
        self._pages: list[set[str]] = []
        self._page_of: dict[str, int] = {}
        self._first_with_room = 0
        self._unsorted: set[str] = set()
        self._dirty: set[int] = set()
        self._has_former = False

    async def load(self) -> list[Quote]:
        """The prices of the last save, all of them stale by now. Raises Unavailable."""
        with reading():
            found = await self._documents.find({}).to_list(None)
        found.sort(key=lambda document: "page" not in document)
        newest: dict[str, tuple[Quote, int | None]] = {}
        for document in found:
            page = document.get("page")
            for row in document["rows"]:
                quote = documents.to_stale_quote(row)
                last = newest.get(quote.symbol)
                if last is None or last[0].as_of_ms < quote.as_of_ms:
                    newest[quote.symbol] = quote, page
        numbers = [document["page"] for document in found if "page" in document]
        self._pages = [set() for _ in range(1 + max(numbers, default=-1))]
        for symbol, (_, page) in newest.items():
            if page is None:
                self._unsorted.add(symbol)
            else:
                self._pages[page].add(symbol)
                self._page_of[symbol] = page
        self._has_former = any(document["_id"] == _FORMER_ID for document in found)
        return [quote for quote, _ in newest.values()]

    async def save(
        self,
        changed: Iterable[str],
        confirmed: Callable[[str], Quote | None],
        *,
        pause_s: float = 0.0,
    ) -> None:
        """Write the pages of these symbols; a symbol that lost its price is removed.

        After each page, trades' writes have ``pause_s`` for themselves.

        Raises Unavailable or OutcomeUnknown; the next call then does what is left.
        """
        self._unsorted.update(changed)
        await self._sort(confirmed)
        for page in sorted(self._dirty):
            await self._write(page, confirmed)
            self._dirty.discard(page)
            await asyncio.sleep(pause_s)
        if self._has_former:
            with self._store.writing():
                await self._documents.delete_one(where(_id=_FORMER_ID))
            self._has_former = False

    async def _sort(self, confirmed: Callable[[str], Quote | None]) -> None:
        """Find each changed symbol's page, or a place on one."""
        while self._unsorted:
            for _ in range(min(_SLICE, len(self._unsorted))):
                symbol = self._unsorted.pop()
                page = self._page_of.get(symbol)
                if page is None and confirmed(symbol) is not None:
                    page = self._page_of[symbol] = self._page_with_room()
                    self._pages[page].add(symbol)
                if page is not None:
                    self._dirty.add(page)
            await asyncio.sleep(0)

    def _page_with_room(self) -> int:
        while self._first_with_room < len(self._pages):
            if len(self._pages[self._first_with_room]) < PAGE:
                return self._first_with_room
            self._first_with_room += 1
        self._pages.append(set())
        return self._first_with_room

    async def _write(self, page: int, confirmed: Callable[[str], Quote | None]) -> None:
        rows = []
        for symbol in sorted(self._pages[page]):
            quote = confirmed(symbol)
            if quote is None:
                self._pages[page].discard(symbol)
                del self._page_of[symbol]
                self._first_with_room = min(self._first_with_room, page)
            else:
                rows.append(documents.from_quote(quote))
        await self._store.put(self._documents, f"page-{page}", {"page": page, "rows": rows})
