"""The last prices are kept in pages, of which only changed ones are written."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from tests.kit.waiting import until
from vyomo_rt.domain.errors import Unavailable
from vyomo_rt.domain.quote import Quote
from vyomo_rt.store import documents
from vyomo_rt.store.journal import MongoStore
from vyomo_rt.store.prices import PAGE, SavedPrices

AS_OF_MS = 1_785_200_000_001


def quoted(*symbols: str, later_ms: int = 0, price_e4: int = 221_505_000) -> dict[str, Quote]:
    return {
        symbol: Quote(symbol, price_e4, AS_OF_MS + later_ms, "ingest", stale=False)
        for symbol in symbols
    }


async def loaded(store: MongoStore) -> dict[str, Quote]:
    return {quote.symbol: quote for quote in await SavedPrices(store).load()}


def stale(quotes: dict[str, Quote]) -> dict[str, Quote]:
    return {symbol: replace(quote, stale=True) for symbol, quote in quotes.items()}


async def test_saved_prices_come_back_stale_and_only_changed_pages_are_written(
    store: MongoStore,
) -> None:
    prices = SavedPrices(store)
    quotes = quoted("^BSE.X$", *(f"S{number}" for number in range(2 * PAGE)), price_e4=10**11)
    await prices.save(quotes, quotes.get)
    assert await loaded(store) == stale(quotes)
    pages = store.database["prices"]
    assert await pages.count_documents({}) == 3
    await pages.update_many({}, {"$set": {"seen": 1}})
    quotes |= quoted("S7", later_ms=1)
    await prices.save(["S7"], quotes.get)
    assert await pages.count_documents({"seen": 1}) == 2
    assert await loaded(store) == stale(quotes)


async def test_a_forgotten_symbol_leaves_its_place_to_the_next(store: MongoStore) -> None:
    prices = SavedPrices(store)
    quotes = quoted(*(f"S{number}" for number in range(PAGE)))
    await prices.save(quotes, quotes.get)
    del quotes["S5"]
    await prices.save(["S5"], quotes.get)
    quotes |= quoted("NEW")
    restarted = SavedPrices(store)
    assert len(await restarted.load()) == PAGE - 1
    await restarted.save(["NEW", "NEVER HELD"], quotes.get)
    assert await loaded(store) == stale(quotes)
    assert await store.database["prices"].count_documents({}) == 1


async def test_who_has_lost_the_database_overwrites_no_price_of_the_next_owner(
    store: MongoStore,
) -> None:
    """Not even with what it did not get written before."""
    former, latter = SavedPrices(store), SavedPrices(store)
    old, new = quoted("NIFTY"), quoted("NIFTY", later_ms=1)
    store.fence.term = 7
    await former.save(old, old.get)
    await latter.load()
    store.fence.term = 8
    await latter.save(new, new.get)
    store.fence.term = 7
    for _ in range(2):
        with pytest.raises(Unavailable):
            await former.save(old, old.get)
    assert await loaded(store) == stale(new)


async def test_prices_of_a_former_version_are_taken_over(store: MongoStore) -> None:
    rows = [documents.from_quote(quote) for quote in quoted("NIFTY", "GONE").values()]
    await store.database["prices"].insert_one({"_id": "latest", "rows": rows})
    prices = SavedPrices(store)
    assert {quote.symbol for quote in await prices.load()} == {"NIFTY", "GONE"}
    quotes = quoted("NIFTY")
    await prices.save([], quotes.get)
    assert await loaded(store) == stale(quotes)
    assert await store.database["prices"].count_documents({}) == 1


async def test_between_two_pages_of_a_save_the_store_is_left_to_the_writes_of_trades(
    store: MongoStore,
) -> None:
    """However many symbols are busy, a trade waits for one page at most."""
    prices, pages = SavedPrices(store), store.database["prices"]
    quotes = quoted(*(f"S{number}" for number in range(3 * PAGE)))
    saving = asyncio.create_task(prices.save(quotes, quotes.get, pause_s=3600))

    async def has_begun() -> bool:
        return bool(await pages.count_documents({}))

    await until(has_begun)
    saving.cancel()
    await asyncio.wait([saving])
    assert await pages.count_documents({}) == 1
    await prices.save([], quotes.get)
    assert await loaded(store) == stale(quotes), "the next save does what is left"
