"""Prices that change their owner, over a bus that loses what it is told to."""

from __future__ import annotations

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.market.relaying import Side, World, tick
from vyomo_rt.domain.quote import Quote

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("ticks"), st.integers(1, 3)),
        st.tuples(st.sampled_from(["tell", "lose", "double", "turn"]), st.integers(0, 2)),
        st.tuples(st.sampled_from(["hand over", "take over"]), st.integers(0, 2)),
        st.tuples(st.just("settle"), st.just(0)),
    ),
    max_size=25,
)


class Three:
    """Three nodes, of which any may own the prices; each hears by itself, or does not."""

    def __init__(self) -> None:
        self.world = World()
        self.sides = [self.world.here, self.world.there, Side(self.world, -700)]
        self.term, self.number = 1, 0
        self.on_the_way: list[list[bytes]] = [[], [], []]
        self.book: list[tuple[int, int]] = []
        """What owners have taken: price and moment."""

    def tick(self) -> None:
        self.number += 1
        self.world.now_s += 0.05
        before = len(self.world.owner.acted)
        self.world.owner.board.accept(tick(self.number))
        self.book += [said(quote) for quote in self.world.owner.acted[before:]]

    def hear(self, index: int, fate: str) -> None:
        """What was said since, as it comes to one node."""
        self.world.owner.relay.beat()
        for side in self.sides:
            for number, other in enumerate(self.sides):
                self.on_the_way[number] += side.said if other is not side else []
            side.said.clear()
        messages, self.on_the_way[index] = self.on_the_way[index], []
        if fate == "lose":
            return
        for message in messages * 2 if fate == "double" else messages:
            self.sides[index].relay.hear(message)

    async def change_owner(self, index: int, *, is_alive: bool) -> None:
        """A former owner hands over, or hangs and is missed after two seconds."""
        new, former = self.sides[index], self.world.owner
        if new is former:
            return

        async def ask(message: bytes, _within_s: float) -> bytes:
            return former.relay.answer(message)

        if is_alive:
            former.relay.end()
            await new.relay.catch_up(ask)
        else:
            self.world.now_s += 2.5
        self.term += 1
        self.world.owner = new
        new.relay.begin(self.term)
        former.relay.end()

    async def settle(self) -> None:
        for index, side in enumerate(self.sides):
            self.hear(index, "tell")
            await self.world.settle_side(side)


def said(quote: Quote) -> tuple[int, int]:
    return quote.price_e4, quote.as_of_ms


@settings(deadline=None, max_examples=80)
@given(STEPS)
def test_whoever_owns_the_prices_all_come_to_the_same_and_act_on_nothing_twice(
    steps: list[tuple[str, int]],
) -> None:
    async def story() -> None:
        three = Three()
        await three.settle()
        for what, number in steps:
            match what:
                case "ticks":
                    for _ in range(number):
                        three.tick()
                case "turn":
                    three.on_the_way[number].reverse()
                    three.hear(number, "tell")
                case "hand over" | "take over":
                    await three.change_owner(number, is_alive=what == "hand over")
                case "settle":
                    await three.settle()
                case _:
                    three.hear(number, what)
        three.tick()
        await three.settle()
        await three.settle()
        final = three.world.owner.board.confirmed("NIFTY")
        assert final is not None
        for side in three.sides:
            quote = side.board.confirmed("NIFTY")
            assert quote is not None
            assert (said(quote), quote.stale) == (said(final), False)
            moments = [each.as_of_ms for each in side.acted]
            assert moments == sorted(moments)
            prices = [each.price_e4 for each in side.acted]
            assert len(prices) == len(set(prices))
            assert set(prices) <= {price for price, _ in three.book}

    asyncio.run(story())
