"""A WebSocket may say by a message who it is, and again before its token ends."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.kit.rest import Rest
from tests.kit.server import MakeSettings, serve_here
from tests.kit.streams import event_stream, web_socket
from tests.kit.waiting import PATIENCE_S
from tests.web.calls import Clock
from tests.web.guarded import KEY, NOW_S, bearer, caller, token
from vyomo_rt.access.tokens import Tokens
from vyomo_rt.domain.errors import Unavailable
from vyomo_rt.domain.grant import Grant
from vyomo_rt.domain.moment import iso

COMMANDS: list[dict[str, Any]] = [
    {"type_": "ping"},
    {"type_": "subscribe_session", "sessionId": 1},
    {"type_": "subscribe_prices", "symbols": ["A"]},
    {"type_": "unsubscribe_session"},
    {"type_": "no_such_command"},
]


async def test_before_it_says_who_it_is_every_message_is_unauthorized_and_it_stays_open(
    guarded: Rest,
) -> None:
    async with web_socket(guarded.url) as socket:
        for command in COMMANDS:
            answer = await socket.ask(**command)
            assert (answer["type"], answer["code"]) == ("error", "unauthorized"), command
        for text in ("no json", "[]", '{"id":5}'):
            await socket.ws.send_str(text)
            assert (await socket.next())["code"] == "unauthorized"
        assert (await socket.ask("auth", token=token()))["type"] == "ack"
        assert (await socket.ask("ping"))["type"] == "pong"


@pytest.mark.parametrize(
    "bad", ["x", None, 5, {"a": 1}, token("another key that is long enough!!")]
)
async def test_a_bad_first_auth_closes_with_4500(guarded: Rest, bad: Any) -> None:
    async with web_socket(guarded.url) as socket:
        await socket.send("auth", token=bad, id="a")
        error = await socket.next("error")
        assert (error["code"], error["id"]) == ("unauthorized", "a")
        assert await socket.closed() == 4500


async def test_a_token_within_the_leeway_is_good_for_a_call_and_for_no_handshake(
    guarded: Rest, clock: Clock
) -> None:
    clock.now_ms += 3_610_000
    assert (await caller(guarded, role="viewer").call("GET", "/me"))[0] == 200
    async with event_stream(guarded.url, "/sse/prices?symbols=A", **bearer()) as stream:
        assert stream.status == 401
    async with web_socket(guarded.url) as socket:
        await socket.send("auth", token=token())
        assert await socket.closed() == 4500


async def test_who_says_nothing_in_time_is_closed_with_4502(
    make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vyomo_rt.stream.rights.AUTH_WITHIN_S", 0.3)
    async with serve_here(make_settings(auth_key=KEY)) as rest:
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        async with web_socket(rest.url) as silent, web_socket(rest.url) as chatty:
            await chatty.ask("ping")
            assert await silent.closed() == 4502
            assert await chatty.closed() == 4502
            assert loop.time() - began_s >= 0.3


async def test_a_token_without_the_right_to_the_stream_closes_with_4507(guarded: Rest) -> None:
    async with web_socket(guarded.url) as socket:
        await socket.send("auth", token=token(role="feed"))
        assert await socket.closed() == 4507


async def test_a_connection_stays_its_subject_s(guarded: Rest) -> None:
    async with web_socket(guarded.url, **bearer()) as socket:
        await socket.send("auth", token=token(sub="ravi"))
        assert await socket.closed() == 4500


async def test_a_failed_refresh_changes_nothing_and_the_token_still_ends(
    guarded: Rest, clock: Clock
) -> None:
    async with web_socket(guarded.url, **bearer()) as socket:
        assert (await socket.ask("subscribe_prices", symbols=["A"]))["type"] == "ack"
        for bad in ("x", token(exp=NOW_S - 60), token(role="root"), None):
            assert (await socket.ask("auth", token=bad))["code"] == "unauthorized"
        assert (await socket.ask("ping"))["type"] == "pong"
        clock.now_ms += 3_570_000
        expiring = await socket.next("token_expiring")
        assert expiring == {"type": "token_expiring", "data": {"expiresAt": iso_end()}}
        assert (await socket.ask("auth", token="x"))["code"] == "unauthorized"
        clock.now_ms += 30_000
        assert await socket.closed() == 4005


def iso_end() -> str:
    return iso((NOW_S + 3600) * 1000)


async def test_a_refresh_extends_the_connection(guarded: Rest, clock: Clock) -> None:
    async with web_socket(guarded.url, **bearer()) as socket:
        longer = token(exp=NOW_S + 7200)
        assert (await socket.ask("auth", token=longer))["type"] == "ack"
        clock.now_ms += 3_600_000
        async with asyncio.timeout(PATIENCE_S):
            await until_swept()
        assert (await socket.ask("ping"))["type"] == "pong"
        clock.now_ms += 3_570_000
        await socket.next("token_expiring")
        clock.now_ms += 30_000
        assert await socket.closed() == 4005


async def until_swept() -> None:
    """The clock's row comes round every 100 ms; three of its turns are enough for one."""
    await asyncio.sleep(0.3)


async def test_an_event_stream_ends_with_one_error_when_its_token_does(
    guarded: Rest, clock: Clock
) -> None:
    async with event_stream(guarded.url, "/sse/prices?symbols=A", **bearer()) as stream:
        await stream.next("ack")
        clock.now_ms += 3_580_000
        await stream.next("token_expiring")
        clock.now_ms += 20_000
        await stream.ended()
        (error,) = stream.messages("error")
        assert error["code"] == "unauthorized"
        assert stream.complete


async def test_fewer_rights_act_at_once_and_the_prices_stay(guarded: Rest) -> None:
    admin = caller(guarded)
    kept, lost = await admin.new_session(), await admin.new_session()
    async with web_socket(guarded.url, **bearer(sessions=[kept, lost])) as socket:
        await socket.ask("subscribe_prices", symbols=["A"])
        await socket.ask("subscribe_session", sessionId=kept)
        await socket.ask("auth", token=token(sessions=[kept]))
        assert (await socket.ask("ping"))["type"] == "pong"
        assert socket.messages("error") == []
        await socket.ask("auth", token=token(sessions=[kept, lost]))
        await socket.ask("subscribe_session", sessionId=lost)
        ack = await socket.ask("auth", token=token(sessions=[kept]))
        assert ack["result"]["sessionId"] is None
        error = await socket.next("error")
        assert (error["code"], error["message"]) == ("not_found", f"session {lost} not found")
        assert "id" not in error
        ack = await socket.ask("subscribe_prices", symbols=["B"])
        assert (ack["result"]["sessionId"], ack["result"]["symbols"]) == (None, ["A", "B"])
        await admin.open_trade(lost)
        assert (await socket.ask("ping"))["type"] == "pong"
        assert socket.messages("trade_opened") == []
        assert len(socket.messages("error")) == 1
        await socket.send("auth", token=token(role="feed"))
        assert await socket.closed() == 4507


async def test_without_a_key_auth_is_taken_and_ignored(server: Rest) -> None:
    async with web_socket(server.url) as socket:
        for value in ("x", None, 5, token(role="feed")):
            assert (await socket.ask("auth", token=value))["type"] == "ack"
        await socket.send("auth", token="x")
        assert (await socket.ask("ping"))["type"] == "pong"
        assert socket.messages("error") == []


async def test_a_token_comes_as_a_subprotocol_which_is_not_the_one_that_is_answered(
    guarded: Rest,
) -> None:
    offered = ["vyomo-rt.v1", f"vyomo-rt.token.{token(sub='asha')}"]
    async with guarded.http.ws_connect(f"{guarded.url}/ws/auto-trader", protocols=offered) as ws:
        assert ws.protocol == "vyomo-rt.v1"
        await ws.send_str('{"type":"ping"}')
        assert '"pong"' in await ws.receive_str()


async def test_whose_key_cannot_be_fetched_in_time_stays_open_and_may_try_again(
    guarded: Rest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What passes is no reason to send a client away for good."""
    fetch = asyncio.Event()

    async def grant(self: Tokens, text: str) -> Grant:
        if not fetch.is_set():
            raise Unavailable("the keys cannot be fetched now")
        return await take(self, text)

    take = Tokens.grant
    monkeypatch.setattr(Tokens, "grant", grant)
    async with web_socket(guarded.url) as socket:
        answer = await socket.ask("auth", token=token())
        assert (answer["code"], answer["retryAfterMs"] > 0) == ("unavailable", True)
        fetch.set()
        assert (await socket.ask("auth", token=token()))["type"] == "ack"
