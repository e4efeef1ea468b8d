"""Another program is told what happens: in order, at least once, and never waited for."""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from tests.kit.rest import Rest
from tests.kit.server import MakeServer, MakeSettings, serve_here
from tests.kit.waiting import until
from tests.notices.receiving import KEY, Hook, hook
from vyomo_rt.config import Settings
from vyomo_rt.notices import notifier


@pytest.fixture
async def receiver(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Hook]:
    monkeypatch.setattr(notifier, "_PAUSES_S", (0.05,))
    async with hook() as made:
        yield made


def telling(make_settings: MakeSettings, receiver: Hook, **more: Any) -> Settings:
    return make_settings(notify_url=receiver.url, notify_key=KEY, **more)


async def epoch_of(rest: Rest, session_id: int) -> str:
    _, session = await rest.call("GET", f"/sessions/{session_id}")
    return str(session["epoch"])


async def test_each_event_is_posted_as_clients_get_it_under_its_position_and_signed(
    make_settings: MakeSettings, receiver: Hook
) -> None:
    async with serve_here(telling(make_settings, receiver)) as rest:
        session_id = await rest.new_session()
        trade = await rest.open_trade(session_id)
        await rest.close_trade(trade["tradeId"], 200)
        await until(lambda: len(receiver.of(session_id)) == 2)
        opened, closed = receiver.of(session_id)
        epoch = await epoch_of(rest, session_id)
        assert [told.key for told in (opened, closed)] == [
            f"{session_id}-1-{epoch}",
            f"{session_id}-2-{epoch}",
        ]
        assert [told.json["type"] for told in (opened, closed)] == ["trade_opened", "trade_closed"]
        _, stored = await rest.call("GET", f"/sessions/{session_id}/events")
        assert [told.json for told in (opened, closed)] == stored["events"]
    assert opened.signature is not None
    moment, _, digest = opened.signature.partition(",v1=")
    at_ms = int(moment.removeprefix("t="))
    assert abs(time.time() * 1000 - at_ms) < 60_000
    signed = f"{at_ms}.".encode() + opened.body
    assert hmac.new(KEY.encode(), signed, hashlib.sha256).hexdigest() == digest


async def test_a_dead_receiver_holds_up_nothing_and_is_told_everything_in_order_later(
    make_settings: MakeSettings, receiver: Hook, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "vyomo_rt.notices")
    receiver.status = lambda _: 503
    async with serve_here(telling(make_settings, receiver)) as rest:
        first, second = await rest.new_session(), await rest.new_session()
        for _ in range(5):
            for session_id in (first, second):
                await rest.open_trade(session_id)
        await until(lambda: receiver.refused > 2)
        assert receiver.told == []
        async with rest.http.get(f"{rest.url}/readyz") as response:
            assert (await response.json())["notices"] == "waiting"
        async with rest.http.get(f"{rest.url}/metrics") as response:
            metrics = dict(
                line.rsplit(" ", 1)
                for line in (await response.text()).splitlines()
                if line.startswith("vyomo_rt_notices")
            )
        assert float(metrics["vyomo_rt_notices_waiting_sessions"]) == 2
        assert float(metrics["vyomo_rt_notices_lag_seconds"]) > 0
        assert float(metrics["vyomo_rt_notices_failed_total"]) > 2
        receiver.status = lambda _: 200
        await until(lambda: len(receiver.told) == 10)
        for session_id in (first, second):
            assert [told.seq for told in receiver.of(session_id)] == [1, 2, 3, 4, 5]
        async with rest.http.get(f"{rest.url}/readyz") as response:
            assert (await response.json())["notices"] == "ok"
    words = [record.getMessage() for record in caplog.records]
    assert len([each for each in words if "do not get through to 127.0.0.1" in each]) == 1
    assert len([each for each in words if "get through to 127.0.0.1 again" in each]) == 1
    assert "t0ken" not in "".join(words)


async def test_one_notice_that_is_never_taken_stops_no_other_session(
    make_settings: MakeSettings, receiver: Hook
) -> None:
    async with serve_here(telling(make_settings, receiver)) as rest:
        bad, good = await rest.new_session(), await rest.new_session()
        receiver.status = lambda told: 400 if told.key.startswith(f"{bad}-") else 200
        await rest.open_trade(bad)
        for _ in range(3):
            await rest.open_trade(good)
        await until(lambda: len(receiver.of(good)) == 3)
        assert receiver.of(bad) == []


async def test_a_redirection_is_not_followed_and_counts_as_refused(
    make_settings: MakeSettings, receiver: Hook
) -> None:
    receiver.status = lambda _: 307
    async with serve_here(telling(make_settings, receiver)) as rest:
        await rest.open_trade(await rest.new_session())
        await until(lambda: receiver.refused > 2)
        assert receiver.told == []


async def test_only_chosen_kinds_are_posted_and_the_feeds_state_among_them(
    make_settings: MakeSettings, receiver: Hook
) -> None:
    settings = telling(
        make_settings, receiver, notify_types=("trade_closed", "feed_status"), stale_after_ms=300
    )
    async with serve_here(settings) as rest:
        session_id = await rest.new_session()
        trade = await rest.open_trade(session_id)
        await rest.close_trade(trade["tradeId"], 200)
        await rest.tick("NIFTY", 100)
        await until(lambda: any(told.key.startswith("feed-") for told in receiver.told))
        assert {told.json["type"] for told in receiver.told} == {"trade_closed", "feed_status"}


async def test_over_a_restart_nothing_is_left_out_and_what_was_told_is_not_repeated(
    make_settings: MakeSettings, receiver: Hook
) -> None:
    """Nor is what happened before there were notices."""
    plain = make_settings()
    settings = telling(make_settings, receiver)
    async with serve_here(plain) as rest:
        before = await rest.new_session()
        await rest.open_trade(before)
    async with serve_here(settings) as rest:
        await rest.open_trade(before)
        ended = await rest.new_session()
        await rest.call("PATCH", f"/sessions/{ended}", {"status": "STOPPED"})
        await until(lambda: len(receiver.told) == 2)
        receiver.status = lambda _: 500
        await rest.open_trade(before)
        late = await rest.new_session()
        await rest.call("PATCH", f"/sessions/{late}", {"status": "STOPPED"})
    receiver.status = lambda _: 200
    async with serve_here(settings) as rest:
        await until(lambda: len(receiver.told) == 4)
        await rest.open_trade(before)
        await until(lambda: len(receiver.told) == 5)
    assert [told.seq for told in receiver.of(before)] == [2, 3, 4]
    assert [told.seq for told in receiver.of(ended)] == [1]
    assert [told.seq for told in receiver.of(late)] == [1]
    async with serve_here(plain) as rest:
        await rest.open_trade(before)
    async with serve_here(settings) as rest:
        await rest.open_trade(before)
        await until(lambda: len(receiver.told) == 6)
    assert receiver.of(before)[-1].seq == 6


async def test_after_a_crash_every_event_is_told_at_least_once_and_in_order(
    server_process: MakeServer, receiver: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VYOMO_RT_NOTIFY_URL", receiver.url)
    server = server_process("--feed", "ingest")
    firsts: list[int] = []

    async def trade(rest: Rest, session_id: int) -> None:
        for _ in range(10):
            await rest.open_trade(session_id)

    session_id = 0
    for _ in range(2):
        url = await server.start()
        async with aiohttp.ClientSession() as http:
            rest = Rest(url, http)
            session_id = session_id or await rest.new_session()
            await trade(rest, session_id)
        await server.kill()
        server = server_process("--feed", "ingest")
    url = await server.start()
    await until(lambda: len(set(receiver.taken)) == 20)
    for told in receiver.of(session_id):
        if told.seq not in firsts:
            firsts.append(told.seq)
    assert firsts == list(range(1, 21))
    assert receiver.told[0].signature is None
