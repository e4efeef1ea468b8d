"""How long an answer takes does not say whether somebody else's session exists."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from time import perf_counter

import pytest

from tests.kit.rest import API
from tests.kit.server import MakeSettings, serve_here
from tests.kit.streams import event_stream
from tests.kit.waiting import until
from tests.web.calls import Clock
from tests.web.guarded import KEY, Caller, caller
from vyomo_rt.app import jobs
from vyomo_rt.config import Settings
from vyomo_rt.store.client import connect, database_of
from vyomo_rt.store.journal import MongoStore

ROUNDS = 150
NEAR = 0.15
"""Of 150 pairs a fair coin gives a share that is further from a half once in 5000 tries; a share
that is gets a second try, in which a real difference shows again."""

Ask = Callable[[str], Awaitable[None]]


async def share_of_slower(ask: Ask, foreign: list[str], unknown: list[str]) -> float:
    """What `one_share` finds, or finds again."""
    share = await one_share(ask, foreign, unknown)
    return share if is_fair(share) else await one_share(ask, foreign, unknown)


def is_fair(share: float) -> bool:
    return abs(share - 0.5) <= NEAR


async def one_share(ask: Ask, foreign: list[str], unknown: list[str]) -> float:
    """How often something foreign took longer than something unknown that was asked beside it.

    Each pair is asked in one breath, in random order, so whatever disturbs the machine disturbs
    both; only ranks are compared, so that no outlier counts more than once.
    """
    chance, slower = random.Random(foreign[0]), 0
    for number in range(ROUNDS + 5):
        names = [foreign[number % len(foreign)], unknown[number % len(unknown)]]
        first = chance.randrange(2)
        times_s = [0.0, 0.0]
        for which in (first, 1 - first):
            began_s = perf_counter()
            await ask(names[which])
            times_s[which] = perf_counter() - began_s
        if number >= 5:  # what is asked for the first time fills caches
            slower += times_s[0] > times_s[1]
    return slower / ROUNDS


@pytest.mark.quiet(6)
@pytest.mark.timeout(300)
async def test_what_is_foreign_is_answered_as_fast_as_what_is_not_there(
    make_settings: MakeSettings, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "_PUT_AWAY_EVERY_MS", 100)
    settings, shares = make_settings(auth_key=KEY, call_burst=100_000), {}
    async with serve_here(settings, now=clock) as rest:
        ravi, asha = caller(rest, sub="ravi", role="trader"), caller(rest, role="trader")
        live, resting = [[str(await ravi.new_session()) for _ in range(3)] for _ in range(2)]
        trades = [str((await ravi.open_trade(int(live[0])))["tradeId"]) for _ in range(6)]
        for trade in trades[3:]:
            await ravi.close_trade(int(trade), 200)
        for session in resting:
            await ravi.call("PATCH", f"/sessions/{session}", {"status": "STOPPED"})
        await until_at_rest(settings, live)
        nobody = ["900001", "900002", "900003"]
        for name, foreign in (("a session", live), ("a session at rest", resting)):
            shares[name] = await share_of_slower(get(asha, "/sessions/{}"), foreign, nobody)
        # Together: nearly all of the time they wait for the next step of the clock.
        ask = get(asha, "/trades/{}")
        shares["an open trade"], shares["a closed trade"] = await asyncio.gather(
            share_of_slower(ask, trades[:3], nobody), share_of_slower(ask, trades[3:], nobody)
        )
        async with event_stream(rest.url, "/sse/prices?symbols=A", **ravi.headers) as stream:
            connection = (await stream.next("ack"))["connectionId"]
            ask = get(asha, "/connections/{}")
            shares["a connection"] = await share_of_slower(ask, [connection], ["0" * 12])
    assert all(map(is_fair, shares.values())), shares


async def until_at_rest(settings: Settings, others: list[str]) -> None:
    """Until only the others are loaded by a start."""
    client = connect(settings.mongo_uri or "")
    store = MongoStore(client, database_of(client) or "")

    async def are_at_rest() -> bool:
        return len(await store.load_sessions()) == len(others)

    await until(are_at_rest)
    await store.close()


def get(who: Caller, path: str) -> Ask:
    async def ask(name: str) -> None:
        url = f"{who.url}{API}{path.format(name)}"
        async with who.http.get(url, headers=who.headers) as response:
            assert response.status == 404
            await response.read()

    return ask
