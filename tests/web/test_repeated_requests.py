"""Requests that are repeated under an Idempotency-Key."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from tests.kit.rest import Rest
from tests.kit.waiting import until
from tests.web.calls import ORDER, raw
from vyomo_rt.domain.errors import OutcomeUnknown
from vyomo_rt.store.journal import MongoStore
from vyomo_rt.wire.decoding import exact_form


async def test_a_repeated_request_gets_the_first_status_and_the_present_document(
    server: Rest,
) -> None:
    body = json.dumps({"startingCapital": 50000})
    status, headers, session = await raw(server, "POST", "/sessions", body, Idempotency_Key="k")
    assert (status, headers.get("Idempotency-Replayed")) == (201, None)
    path = f"/sessions/{session['sessionId']}/trades"
    order = json.dumps(ORDER)
    status, headers, trade = await raw(server, "POST", path, order, Idempotency_Key="k")
    assert (status, headers.get("Idempotency-Replayed")) == (201, None)
    close = f"/trades/{trade['tradeId']}/close"
    status, headers, closed = await raw(server, "POST", close, '{"price":1}', Idempotency_Key="c")
    assert (status, headers.get("Idempotency-Replayed")) == (200, None)

    spaced = json.dumps(dict(reversed(ORDER.items())), indent=2)
    for repeated in (order, spaced):
        status, headers, again = await raw(server, "POST", path, repeated, Idempotency_Key="k")
        assert (status, headers["Idempotency-Replayed"], again) == (201, "true", closed)
    status, headers, again = await raw(server, "POST", close, '{"price":1}', Idempotency_Key="c")
    assert (status, headers["Idempotency-Replayed"], again) == (200, "true", closed)
    status, headers, again = await raw(server, "POST", "/sessions", body, Idempotency_Key="k")
    assert (status, headers["Idempotency-Replayed"]) == (201, "true")
    assert (again["sessionId"], again["totalTrades"]) == (session["sessionId"], 1)


async def test_a_key_with_another_body_is_refused(server: Rest) -> None:
    session_id = await server.new_session()
    trades = f"/sessions/{session_id}/trades"
    _, trade = await server.call("POST", trades, ORDER, Idempotency_Key="k")
    close = f"/trades/{trade['tradeId']}/close"
    await server.call("POST", "/sessions", {"startingCapital": 1}, Idempotency_Key="k")
    for path, body in (
        (trades, ORDER | {"quantity": 11}),
        (trades, "nonsense"),
        (close, {"price": 1}),
        ("/sessions", {"startingCapital": 2}),
    ):
        status, problem = await server.call("POST", path, body, Idempotency_Key="k")
        assert (status, problem["code"]) == (422, "conflict"), path
        assert problem["field"] == "Idempotency-Key"
        if path == "/sessions":
            assert "which made session 2" in problem["detail"]
            assert problem["session"]["sessionId"] == 2
        else:
            assert f"which made trade {trade['tradeId']}" in problem["detail"]
            assert problem["trade"] == trade
    assert (await server.call("GET", f"/trades/{trade['tradeId']}"))[1] == trade


async def test_a_key_is_looked_up_before_any_other_check(server: Rest) -> None:
    session_id = await server.new_session()
    path = f"/sessions/{session_id}/trades"
    _, trade = await server.call("POST", path, ORDER, Idempotency_Key="k")
    await server.call("PATCH", f"/sessions/{session_id}", {"status": "HALTED"})
    assert await server.call("POST", path, ORDER, Idempotency_Key="k") == (201, trade)
    assert (await server.call("POST", path, ORDER, Idempotency_Key="new"))[0] == 409


SAME = [
    ("195.25", ["195.250", "1.9525e2", "19525E-2"]),
    ("100", ["100.0", "1e2", "1.00E+2"]),
    ("195.250", ["195.25", "1.9525e2"]),
    ("1e2", ["100", "100.000"]),
]


@pytest.mark.parametrize(("first", "others"), SAME, ids=str)
async def test_a_number_that_is_spelled_otherwise_is_the_same_number(
    server: Rest, first: str, others: list[str]
) -> None:
    """A client that writes its numbers in another way does not open a second trade."""
    path = f"/sessions/{await server.new_session()}/trades"
    order = '{"symbol":"NIFTY","quantity":10,"entryPrice":%s,"side":"SELL"}'
    _, _, trade = await raw(server, "POST", path, order % first, Idempotency_Key="k")
    for other in others:
        status, headers, again = await raw(server, "POST", path, order % other, Idempotency_Key="k")
        assert (status, headers["Idempotency-Replayed"], again) == (201, "true", trade), other
    for other in ("195.26", "100.01", '"100"', "1"):
        status, _, problem = await raw(server, "POST", path, order % other, Idempotency_Key="k")
        assert (status, problem["trade"]) == (422, trade), other


async def test_a_key_of_an_earlier_version_still_knows_its_request(
    server: Rest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which hashed a number as it was spelled."""
    path, body = "/sessions", '{"startingCapital":50000.50}'
    with monkeypatch.context() as earlier:
        earlier.setattr("vyomo_rt.wire.decoding.canonical", exact_form)
        _, _, session = await raw(server, "POST", path, body, Idempotency_Key="old")
    status, headers, again = await raw(server, "POST", path, body, Idempotency_Key="old")
    assert (status, headers["Idempotency-Replayed"]) == (201, "true")
    assert again["sessionId"] == session["sessionId"]
    status, _, problem = await raw(
        server, "POST", path, '{"startingCapital":50000.51}', Idempotency_Key="old"
    )
    assert (status, problem["session"]["sessionId"]) == (422, session["sessionId"])


async def test_one_request_sent_many_times_at_once_makes_one_trade(server: Rest) -> None:
    session_id = await server.new_session()
    path = f"/sessions/{session_id}/trades"
    answers = await asyncio.gather(
        *(server.call("POST", path, ORDER, Idempotency_Key="k") for _ in range(6))
    )
    assert {status for status, _ in answers} == {201}
    assert len({trade["tradeId"] for _, trade in answers}) == 1
    _, listed = await server.call("GET", path)
    assert len(listed["trades"]) == 1


@pytest.mark.parametrize("key", ["", "k" * 129])
async def test_a_key_has_1_to_128_characters(server: Rest, key: str) -> None:
    status, problem = await server.call(
        "POST", "/sessions", {"startingCapital": 1}, Idempotency_Key=key
    )
    assert (status, problem["detail"].split(":")[0]) == (400, "Idempotency-Key")
    status, _ = await server.call(
        "POST", "/sessions", {"startingCapital": 1}, Idempotency_Key="k" * 128
    )
    assert status == 201


async def test_a_key_that_is_no_text_is_refused(server: Rest) -> None:
    body = b'{"startingCapital":1}'
    reader, writer = await asyncio.open_connection(*server.url.removeprefix("http://").split(":"))
    writer.write(
        b"POST /api/auto-trader/sessions HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        b"Idempotency-Key: \xff\xfe\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    )
    answer = await reader.read()
    writer.close()
    assert answer.startswith(b"HTTP/1.1 400 "), answer
    assert b"Idempotency-Key" in answer


@pytest.mark.parametrize("key", ["a key of its own", None])
async def test_a_lost_answer_names_the_key_under_which_a_repetition_finds_out(
    server: Rest, monkeypatch: pytest.MonkeyPatch, key: str | None
) -> None:
    session_id = await server.new_session()
    losing = {"append", "create_session"}
    for name in set(losing):
        monkeypatch.setattr(MongoStore, name, losing_answers(name, losing))
    trades, given = f"/sessions/{session_id}/trades", {"Idempotency-Key": key} if key else {}
    capital = {"startingCapital": 7}
    for path, body, id_ in ((trades, ORDER, "tradeId"), ("/sessions", capital, "sessionId")):
        status, problem = await server.call("POST", path, body, **given)
        made = problem["idempotencyKey"]
        assert (status, problem["field"]) == (503, None)
        assert made == key or key is None
        again = {"Idempotency-Key": made}
        losing.clear()
        status, done = await until(lambda: answered(server, path, body, again))  # noqa: B023
        assert status == 201
        assert done[id_]
        losing.update(("append", "create_session"))
    losing.clear()
    _, listed = await server.call("GET", trades)
    assert len(listed["trades"]) == 1
    _, found = await server.call("GET", "/sessions")
    assert [one["startingCapital"] for one in found["sessions"]] == [50_000, 7]


async def answered(
    server: Rest, path: str, body: Any, headers: dict[str, str]
) -> tuple[int, dict[str, Any]] | None:
    """The answer, unless it is that the outcome is still open under this key."""
    status, document = await server.call("POST", path, body, **headers)
    if status == 503:
        assert document["idempotencyKey"] == headers["Idempotency-Key"]
        return None
    return status, document


def losing_answers(name: str, losing: set[str]) -> Any:
    method = getattr(MongoStore, name)

    async def call(*arguments: Any) -> Any:
        result = await method(*arguments)
        if name in losing:
            raise OutcomeUnknown("the answer was lost")
        return result

    return call
