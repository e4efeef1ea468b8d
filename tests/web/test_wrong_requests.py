"""Requests that no handler can carry out: unknown, unreadable, or left behind by their clients."""

from __future__ import annotations

import json
import logging
import socket
from functools import partial
from io import BytesIO
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.kit.rest import API, Rest
from tests.kit.waiting import until
from tests.web.calls import ORDER, raw, refused, tick

# --- what is unknown


@pytest.mark.parametrize(
    ("path", "body", "field", "hint"),
    [
        ("/sessions", {"startingCapital": 1, "owner": 2}, "owner", "known are starting"),
        ("/sessions", {"starting_capital": 1}, "starting_capital", "mean startingCapital?"),
        ("/sessions/1/trades", ORDER | {"stop_loss": 99}, "stop_loss", "mean stopLoss?"),
        ("/sessions/1/trades", ORDER | {"stoploss": 99}, "stoploss", "mean stopLoss?"),
        ("/sessions/1/trades", ORDER | {"sid": "SELL"}, "sid", "mean side?"),
        ("/sessions/1/trades", ORDER | {"Target": 1}, "Target", "mean target?"),
        ("/sessions/1/trades", ORDER | {"x" * 500: 1}, "x" * 40, "known are symbol, quantity"),
        ("/trades/1/close", {"exitPrice": 5}, "exitPrice", "mean price?"),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_an_unknown_member_is_refused_with_what_was_probably_meant(
    server: Rest, path: str, body: Any, field: str, hint: str
) -> None:
    await server.new_session()
    await server.open_trade(1)
    problem = await refused(server, 400, "POST", path, body)
    assert (problem["code"], problem["field"]) == ("bad_request", field)
    assert problem["detail"].startswith(f"{field}: unknown; ")
    assert hint in problem["detail"]
    _, session = await server.call("GET", "/sessions/1")
    assert session["seq"] == 1, "nothing was done"


async def test_an_unknown_member_of_a_change_or_of_a_tick_is_refused_too(server: Rest) -> None:
    session_id = await server.new_session()
    body = {"status": "PAUSED", "state": "HALTED"}
    problem = await refused(server, 400, "PATCH", f"/sessions/{session_id}", body)
    assert problem["detail"] == "state: unknown; did you mean status?"
    problem = await refused(server, 400, "POST", "/halt", {"closeall": None})
    assert problem["detail"] == "closeall: unknown; did you mean closeAll?"
    status, answer = await server.call("POST", "/ticks", [tick(), tick(timestamp=1), tick(Price=1)])
    assert (status, answer["accepted"]) == (200, 1)
    assert [row["reason"] for row in answer["rejected"]] == [
        "timestamp: unknown; known are symbol, price, ts",
        "Price: unknown; did you mean price?",
    ]


@pytest.mark.parametrize(
    ("path", "field", "hint"),
    [
        ("/sessions?page=1", "page", "known are status, limit, after"),
        ("/sessions/1?x=", "x", "none is allowed here"),
        (
            "/sessions/1/trades?ticker=NIFTY",
            "ticker",
            "known are status, symbol, side, tag, from, to, limit, after",
        ),
        ("/sessions/1/trades?Limit=5", "Limit", "did you mean limit?"),
        ("/sessions/1/events?limit=1", "limit", "known are since"),
        ("/trades/1?full=1", "full", "none is allowed here"),
        ("/prices?symbol=NIFTY", "symbol", "did you mean symbols?"),
        ("/connections/x?a=1", "a", "none is allowed here"),
    ],
)
async def test_an_unknown_parameter_is_refused(
    shared_server: Rest, path: str, field: str, hint: str
) -> None:
    await shared_server.new_session()
    problem = await refused(shared_server, 400, "GET", path)
    assert (problem["code"], problem["field"]) == ("bad_request", field)
    assert problem["detail"] == f"{field}: unknown; {hint}"


@pytest.mark.parametrize(
    ("method", "path", "body", "field"),
    [
        ("POST", "/sessions", '{"startingCapital":1,"startingCapital":2}', "startingCapital"),
        ("POST", "/sessions/1/trades", '{"side":"BUY","symbol":"A","side":"SELL"}', "side"),
        ("PATCH", "/sessions/1", '{"status":"PAUSED","status":"PAUSED"}', "status"),
        ("GET", "/sessions?limit=1&limit=2", None, "limit"),
        ("GET", "/sessions/1/events?since=1&since=1", None, "since"),
    ],
)
async def test_what_is_given_twice_is_refused(
    shared_server: Rest, method: str, path: str, body: str | None, field: str
) -> None:
    """One of the two is a mistake, and nobody knows which."""
    await shared_server.new_session()
    async with shared_server.http.request(
        method, f"{shared_server.url}{API}{path}", data=body
    ) as response:
        problem = await response.json(content_type=None)
        assert (response.status, problem["field"]) == (400, field)
        assert problem["detail"] == f"{field}: given twice; give it once"


async def test_two_keys_are_refused_and_a_line_that_repeats_a_member_is_one_rejected_row(
    server: Rest,
) -> None:
    keys = [("Idempotency-Key", "a"), ("Idempotency-Key", "b")]
    url = f"{server.url}{API}"
    async with server.http.post(
        f"{url}/sessions", json={"startingCapital": 1}, headers=keys
    ) as response:
        problem = await response.json(content_type=None)
        assert (response.status, problem["field"]) == (400, "Idempotency-Key")
    lines = '{"symbol":"A","price":1}\n{"symbol":"A","symbol":"B","price":1}'
    ndjson = {"Content-Type": "application/x-ndjson"}
    async with server.http.post(f"{url}/ticks", data=lines, headers=ndjson) as response:
        answer = await response.json()
        assert (answer["accepted"], len(answer["rejected"])) == (1, 1)
        assert answer["rejected"][0]["reason"].startswith("symbol: given twice")


@pytest.mark.parametrize(
    ("path", "detail"),
    [
        ("/api/auto-trader/sessions?limit=ten", "limit: expected an integer, got 'ten'"),
        ("/api/auto-trader/sessions?limit=0", "limit: expected an integer >= 1"),
        ("/sse/auto-trader?sessionId=1.5", "sessionId: expected an integer, got '1.5'"),
        ("/sse/prices?symbols=A&onlyChanges=2", "onlyChanges: expected a boolean, got '2'"),
    ],
)
async def test_a_parameter_that_is_wrong_is_told_as_it_was_written(
    shared_server: Rest, path: str, detail: str
) -> None:
    async with shared_server.http.get(f"{shared_server.url}{path}") as response:
        problem = await response.json(content_type=None)
        assert (response.status, problem["detail"]) == (400, detail)


async def test_a_command_and_ticks_take_no_parameters(server: Rest) -> None:
    await server.new_session()
    for method, path in (("POST", "/sessions"), ("POST", "/ticks"), ("PATCH", "/sessions/1")):
        problem = await refused(server, 400, method, f"{path}?dryRun=true", {})
        assert problem["field"] == "dryRun"
    for path in ("/livez", "/readyz", "/metrics", "/api/openapi.json"):
        async with server.http.get(f"{server.url}{path}?name[]=x") as response:
            assert response.status == 200, "who probes may add what it likes"


async def test_an_address_of_many_parameters_is_refused(server: Rest) -> None:
    problem = await refused(server, 400, "GET", "/prices?" + "&".join(["symbols=A"] * 1001))
    assert problem["code"] == "limit_exceeded"
    status, _ = await server.call("GET", "/prices?" + "&".join(["symbols=A"] * 1000))
    assert status == 200


# --- who has left


def logged(caplog: pytest.LogCaptureFixture, words: str) -> bool:
    return words in caplog.messages


async def test_a_command_whose_client_has_left_is_not_carried_out(
    server: Rest, caplog: pytest.LogCaptureFixture
) -> None:
    """It gave up while the server stood still, and may have acted otherwise since."""
    caplog.set_level(logging.INFO, logger="vyomo_rt.web")
    session_id = await server.new_session()
    trade = await server.open_trade(session_id)
    for method, path, body in (
        ("POST", "/sessions", {"startingCapital": 1}),
        ("PATCH", f"/sessions/{session_id}", {"status": "HALTED"}),
        ("POST", f"/sessions/{session_id}/trades", ORDER),
        ("POST", f"/trades/{trade['tradeId']}/close", {"price": 1}),
    ):
        # Nothing turns the loop in between: so the server stands still.
        with socket.create_connection(("127.0.0.1", urlsplit(server.url).port)) as gone:
            data = json.dumps(body).encode()
            head = f"{method} {API}{path} HTTP/1.1\r\nHost: localhost\r\n"
            gone.sendall(f"{head}Content-Length: {len(data)}\r\n\r\n".encode() + data)
        words = f"{method} {API}{path} is not carried out: its client has left"
        await until(partial(logged, caplog, words))
    _, listed = await server.call("GET", "/sessions")
    (session,) = listed["sessions"]
    assert (session["status"], session["seq"]) == ("ACTIVE", 1)
    assert len(caplog.messages) == 4


async def test_ticks_of_a_client_that_has_left_are_taken(server: Rest) -> None:
    with socket.create_connection(("127.0.0.1", urlsplit(server.url).port)) as gone:
        body = b'{"symbol":"NIFTY","price":5}'
        head = f"POST {API}/ticks HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}"
        gone.sendall(f"{head}\r\n\r\n".encode() + body)

    async def taken() -> bool:
        return bool((await server.call("GET", "/prices"))[1]["prices"])

    await until(taken)


# --- what is not there, and what is no request


@pytest.mark.parametrize(
    ("method", "path"),
    [
        *(("GET", f"/sessions/{id_}") for id_ in ("77", "0", "-1", "x", "9" * 30, "1.0")),
        *(("GET", f"/trades/{id_}") for id_ in ("77", "0", "x", "9" * 30)),
        ("GET", "/sessions/77/trades"),
        ("GET", "/sessions/77/events"),
        ("POST", "/sessions/77/trades"),
        ("POST", "/trades/77/close"),
        ("GET", "/nothing"),
        ("GET", "/"),
        ("POST", "/prices/x"),
    ],
)
async def test_what_is_not_there_is_not_found(server: Rest, method: str, path: str) -> None:
    body = ORDER if path.endswith("trades") and method == "POST" else None
    problem = await refused(server, 404, method, path, body)
    assert (problem["code"], problem["title"]) == ("not_found", "Not Found")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("DELETE", "/sessions", {"GET", "HEAD", "POST"}),
        ("PUT", "/sessions/1", {"GET", "HEAD", "PATCH"}),
        ("GET", "/ticks", {"POST"}),
        ("GET", "/trades/1/close", {"POST"}),
    ],
)
async def test_another_method_is_refused_and_the_right_ones_are_named(
    shared_server: Rest, method: str, path: str, allowed: set[str]
) -> None:
    status, headers, problem = await raw(shared_server, method, path)
    assert (status, problem["status"]) == (405, 405)
    assert headers["Content-Type"] == "application/problem+json"
    assert {name.strip() for name in headers["Allow"].split(",")} == allowed


@pytest.mark.parametrize("body", ["", "{", "[]", "5", "nonsense", "\ufeff", '{"a":"\\ud800"}'])
async def test_a_body_that_is_no_json_object_is_bad_json(shared_server: Rest, body: str) -> None:
    session_id = await shared_server.new_session()
    for path in ("/sessions", f"/sessions/{session_id}/trades"):
        status, headers, problem = await raw(shared_server, "POST", path, body)
        assert (status, problem["code"]) == (400, "bad_json")
        assert headers["Content-Type"] == "application/problem+json"


async def test_a_body_that_is_too_large_is_refused(server: Rest) -> None:
    status, _, problem = await raw(server, "POST", "/ticks", BytesIO(b" " * (3 << 20)))
    assert (status, problem["code"]) == (413, "limit_exceeded")


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
async def test_a_body_that_is_not_encoded_as_it_says_is_refused(
    server: Rest, encoding: str
) -> None:
    headers = {"Content-Encoding": encoding}
    url = f"{server.url}{API}/ticks"
    async with server.http.post(url, data=b"hello", headers=headers) as response:
        problem = await response.json(content_type="application/problem+json")
        assert (response.status, problem["code"]) == (400, "bad_request")
        assert encoding in problem["detail"]
