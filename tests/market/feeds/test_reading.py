"""Whatever stands in an answer: it is a price, or none, or a failure in words."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from tests.market.feeds.kite import MockKite, message, packet
from tests.market.feeds.openalgo import MockOpenAlgo
from tests.market.feeds.serving import recorded
from vyomo_rt.domain.moment import MarketMs
from vyomo_rt.exchange.calendar import Calendar
from vyomo_rt.market.feed import FeedFailed, FeedRefused
from vyomo_rt.market.feeds.nse.answers import read_constituents, read_indices, read_quote
from vyomo_rt.market.feeds.reading import price_e4
from vyomo_rt.market.feeds.yahoo.spark import read_spark

STRANGE: tuple[Any, ...] = (
    *(None, True, 0, -1, 0.1, math.nan, math.inf, 1e308, -1e308, 10**30, 2**63, -(2**63)),
    *("", "x", "-", "NaN", "Infinity", "1e400", "12,3.4", "24-Sep-2026 11:05:40", "\x00", "error"),
    *([], {}, [1], [None], {"a": 1}),
)


def midnight() -> MarketMs:
    return MarketMs(0)


OPENALGO = MockOpenAlgo(0).feed(Calendar.shipped(), midnight)

READERS: dict[str, Callable[[bytes], object]] = {
    "yahoo/spark_v8.json": read_spark,
    "yahoo/spark_v7.json": read_spark,
    "yahoo/not_found.json": read_spark,
    "nse/all_indices.json": read_indices,
    "nse/nifty_50.json": read_constituents,
    "nse/symbol_data.json": lambda body: read_quote("OLAELEC", body),
    **{
        f"openalgo/{name}.json": lambda body: list(OPENALGO.read(body))
        for name in ("market_data", "subscribed", "subscribe_refused", "auth_refused")
    },
}


def changed(value: Any, chance: random.Random) -> Any:
    """A JSON value with strange parts, or without some."""
    if chance.random() < 0.06:
        return chance.choice(STRANGE)
    if isinstance(value, dict):
        kept = {name: each for name, each in value.items() if chance.random() > 0.04}
        return {name: changed(each, chance) for name, each in kept.items()}
    return [changed(each, chance) for each in value] if isinstance(value, list) else value


@pytest.mark.parametrize("name", READERS)
def test_a_strange_answer_is_read_or_a_failure(name: str) -> None:
    chance, answer = random.Random(name), json.loads(recorded(name))
    for _ in range(300):
        body = json.dumps(changed(answer, chance)).encode()
        if chance.random() < 0.1:
            body = body[: chance.randrange(len(body) + 1)]
        with suppress(FeedFailed, FeedRefused):
            READERS[name](body)


def test_a_strange_message_of_packets_is_read_or_a_failure() -> None:
    chance, feed = random.Random("kite"), MockKite(0).feed(Calendar.shipped(), midnight)
    modes = ("full", "ltp", "index_full", "quote", "index_quote")
    whole = message(*(bytes(packet(mode)) for mode in modes))
    for _ in range(1000):
        body = bytearray(whole[: chance.randrange(len(whole) + 1)])
        for _ in range(chance.randrange(4)):
            if body:
                body[chance.randrange(len(body))] = chance.randrange(256)
        with suppress(FeedFailed):
            list(feed.read(bytes(body)))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (24190.05, 241_900_500),
        (83.4025, 834_025),
        (22150, 221_500_000),
        ("12,801.35", 128_013_500),
        (0.1 + 0.2, 3_000),
        (None, None),
        (0, None),
        ("-", None),
        ("NaN", None),
        (True, None),
        ([1], None),
        (1e308, None),
    ],
)
def test_prices_are_exact_and_what_is_none_is_none(value: object, expected: int | None) -> None:
    assert price_e4(value) == expected
