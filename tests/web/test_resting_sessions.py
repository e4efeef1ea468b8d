"""A session that was stopped and has left memory, as clients see it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.kit.rest import Rest
from tests.kit.server import MakeSettings, serve_here
from tests.kit.streams import watching, web_socket
from tests.kit.waiting import until
from tests.web.calls import As
from vyomo_rt.app import jobs
from vyomo_rt.domain.grant import Grant, Role
from vyomo_rt.store.client import connect, database_of
from vyomo_rt.store.journal import MongoStore

Stopped = tuple[Rest, dict[str, Any]]


@pytest.fixture
async def resting(
    make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Stopped]:
    """A server, and the document of a session that rests in its store."""
    monkeypatch.setattr(jobs, "_PUT_AWAY_EVERY_MS", 100)
    settings = make_settings()
    async with serve_here(settings) as rest:
        path = f"/sessions/{await rest.new_session()}"
        trade = await rest.open_trade(int(path.rpartition("/")[2]))
        await rest.close_trade(trade["tradeId"], 196.3)
        _, session = await rest.call("PATCH", path, {"status": "STOPPED"})
        client = connect(settings.mongo_uri or "")
        store = MongoStore(client, database_of(client) or "")
        await until(lambda: rests(store))
        await store.close()
        yield rest, session


async def rests(store: MongoStore) -> bool:
    return not await store.load_sessions()


def lasting(document: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in document.items() if name != "timestamp"}


async def test_it_is_shown_and_listed_with_exact_figures(resting: Stopped) -> None:
    rest, session = resting
    path = f"/sessions/{session['sessionId']}"
    status, shown = await rest.call("GET", path)
    assert (status, lasting(shown)) == (200, lasting(session))
    assert (shown["totalPnL"], shown["winRate"], shown["seq"]) == (52.5, 100, 3)
    for query in ("", "?status=STOPPED"):
        _, listed = await rest.call("GET", f"/sessions{query}")
        assert list(map(lasting, listed["sessions"])) == [lasting(session)]
    assert (await rest.call("GET", "/sessions?status=ACTIVE"))[1]["sessions"] == []
    _, trades = await rest.call("GET", f"{path}/trades")
    assert len(trades["trades"]) == 1
    _, events = await rest.call("GET", f"{path}/events?since=1")
    assert [event["seq"] for event in events["events"]] == [2, 3]
    status, refused = await rest.call("POST", f"{path}/trades", {"symbol": "NIFTY", "quantity": 1})
    assert (status, refused["code"]) == (409, "conflict")


@pytest.mark.parametrize("transport", ["ws", "sse"])
async def test_it_is_watched_from_any_place_in_its_history(
    resting: Stopped, transport: str
) -> None:
    rest, session = resting
    session_id = session["sessionId"]
    async with watching(transport, rest.url, sessionId=session_id, since=0) as stream:
        told = [(await stream.next())["type"] for _ in range(4)]
        assert told == ["trade_opened", "trade_closed", "session_changed", "session_update"]
        await rest.call("PATCH", f"/sessions/{session_id}", {"name": "Last year"})
        changed = await stream.next("session_changed")
        assert (changed["seq"], changed["data"]["name"]) == (4, "Last year")
        update = await stream.next("session_update")
        assert (update["seq"], update["data"]["status"]) == (4, "STOPPED")


async def test_out_of_reach_it_is_not_found_and_not_listed(resting: Stopped, act_as: As) -> None:
    rest, session = resting
    session_id = session["sessionId"]
    paths = [f"/sessions/{session_id}", f"/sessions/{session_id}/events"]
    for reach in (frozenset({77}), frozenset({session_id})):
        act_as(Grant("asha", Role.VIEWER, reach, None))
        is_found = session_id in reach
        async with web_socket(rest.url) as socket:
            answer = await socket.ask("subscribe_session", sessionId=session_id)
            assert (answer["type"] == "ack") == is_found, answer
        for path in paths:
            assert (await rest.call("GET", path))[0] == (200 if is_found else 404)
        _, listed = await rest.call("GET", "/sessions")
        assert [found["sessionId"] for found in listed["sessions"]] == [session_id] * is_found


async def test_a_session_that_never_was_is_not_found_on_any_way(resting: Stopped) -> None:
    rest, _ = resting
    for path in ("/sessions/77", "/sessions/77/events", "/sessions/77/trades"):
        assert (await rest.call("GET", path))[0] == 404
    async with rest.http.get(f"{rest.url}/sse/sessions/77") as response:
        assert response.status == 404
