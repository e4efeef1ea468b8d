"""All sessions at once, over real sockets."""

from __future__ import annotations

from typing import Any

import pytest

from tests.kit.rest import Rest
from tests.kit.streams import Stream, event_stream, web_socket
from tests.web.guarded import bearer, caller, token


async def figures(stream: Stream, count: int) -> dict[int, dict[str, Any]]:
    """The next figures, by session."""
    found = [await stream.next("session_update") for _ in range(count)]
    assert not any("seq" in message for message in found)
    return {message["data"]["sessionId"]: message["data"] for message in found}


@pytest.mark.parametrize("transport", ["ws", "sse"])
async def test_a_watcher_sees_all_sessions_then_what_changes_and_those_that_are_made(
    server: Rest, transport: str
) -> None:
    first, second = await server.new_session(), await server.new_session()
    context = (
        web_socket(server.url)
        if transport == "ws"
        else event_stream(server.url, "/sse/sessions?updateInterval=100")
    )
    async with context as stream:
        if transport == "ws":
            await stream.send("watch_sessions", updateInterval=100, id=1)  # type: ignore[union-attr]
        ack = await stream.next()
        assert (ack["type"], ack["result"]["watching"]) == ("ack", True)
        assert ack["result"]["watchInterval"] == 100
        await figures(stream, len(await listed(server)))
        await server.open_trade(first)
        assert (await figures(stream, 1))[first]["openTrades"] == 1
        third = await server.new_session()
        assert (await figures(stream, 1)).keys() == {third}
        await server.call("PATCH", f"/sessions/{second}", {"status": "STOPPED"})
        assert (await figures(stream, 1))[second]["status"] == "STOPPED"
        await server.open_trade(third)
        assert (await figures(stream, 1)).keys() == {third}


async def listed(server: Rest) -> list[int]:
    _, document = await server.call("GET", "/sessions")
    return [each["sessionId"] for each in document["sessions"] if each["status"] != "STOPPED"]


async def test_an_event_stream_of_all_sessions_has_no_ids_and_resumes_from_nothing(
    server: Rest,
) -> None:
    await server.new_session()
    headers = {"Last-Event-ID": "1-5-abc"}
    async with event_stream(server.url, "/sse/sessions", **headers) as stream:
        ack = await stream.next("ack")
        await stream.next("session_update")
        assert ack["result"]["sessionId"] is None
        assert {block.id for block in stream.blocks} == {None}
    async with event_stream(server.url, "/sse/sessions?symbols=A") as stream:
        assert stream.status == 400


async def test_a_watcher_sees_what_its_token_reaches_and_loses_what_a_new_one_does_not(
    guarded: Rest,
) -> None:
    admin, asha = caller(guarded), caller(guarded, role="trader")
    own, named, foreign = await asha.new_session(), await admin.new_session(), 0
    foreign = await admin.new_session()
    headers = bearer(sub="asha", role="trader", sessions=[named])
    async with web_socket(guarded.url, **headers) as socket:
        await socket.ask("watch_sessions", updateInterval=100)
        assert (await figures(socket, 2)).keys() == {own, named}
        await admin.open_trade(foreign)
        await admin.open_trade(named)
        assert (await figures(socket, 1)).keys() == {named}
        fewer = token(sub="asha", role="trader")
        await socket.ask("auth", token=fewer)
        assert (await figures(socket, 1)).keys() == {own}
        await admin.open_trade(named)
        await asha.open_trade(own)
        assert (await figures(socket, 1)).keys() == {own}


async def test_a_revoked_watcher_is_told_no_more(guarded: Rest) -> None:
    admin = caller(guarded)
    await admin.new_session()
    async with web_socket(guarded.url, **bearer(sub="asha", sessions="*")) as socket:
        await socket.ask("watch_sessions", updateInterval=100)
        await figures(socket, 1)
        status, _ = await admin.call("POST", "/revocations", {"sub": "asha"})
        assert status in (200, 201, 204)
        assert await socket.closed() == 4500
