"""Which prices are kept over a restart."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from tests.market.market import START_MS, Market
from tests.market.rivals import Rivals
from vyomo_rt.domain.quote import Quote
from vyomo_rt.market.keeping import PriceKeeper


class Kept:
    """What a store would hold."""

    def __init__(self) -> None:
        self.prices: dict[str, Quote] = {}

    async def load(self) -> Iterable[Quote]:
        return self.prices.values()

    async def save(
        self, changed: Iterable[str], last: Callable[[str], Quote | None], /, *, pause_s: float
    ) -> None:
        del pause_s
        for symbol in changed:
            quote = last(symbol)
            assert quote is not None
            self.prices[symbol] = quote


async def test_what_was_posted_is_there_after_a_restart_and_stale() -> None:
    before, after, kept = Market(), Market(), Kept()
    before.tick(100)
    await PriceKeeper(before.board, before.book, kept).keep()
    await PriceKeeper(after.board, after.book, kept).restore()
    assert (after.confirmed().price_e4, after.confirmed().as_of_ms) == (100, START_MS)
    assert after.confirmed().stale


async def test_what_was_posted_is_kept_while_another_source_speaks() -> None:
    rivals, kept = Rivals(), Kept()
    rivals.says("second", 1010)
    rivals.says("first", 1000)
    await PriceKeeper(rivals.board, rivals.books["second"], kept).keep()
    assert [(quote.source, quote.price_e4) for quote in kept.prices.values()] == [("second", 1010)]


async def test_the_prices_of_a_feed_that_ticks_by_itself_are_not_kept() -> None:
    market, kept = Market(source="yahoo"), Kept()
    keeper = PriceKeeper(market.board, None, kept)
    market.tick(100)
    await keeper.keep()
    assert not kept.prices
    await keeper.restore()
