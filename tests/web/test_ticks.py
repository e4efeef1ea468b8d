"""Prices and ticks by REST."""

from __future__ import annotations

import json

import pytest

from tests.kit.rest import Rest
from tests.kit.server import MakeSettings, serve_here
from tests.web.calls import BEGIN, BEGIN_MS, ORDER, Clock, raw, refused, tick


async def test_ticks_come_alone_in_a_list_or_one_a_line(server: Rest) -> None:
    one, two = json.dumps(tick()), json.dumps(tick(symbol="bank nifty", price=83.4025))
    for body, kind, count in (
        (one, "application/json", 1),
        (f"[{one},{two}]", "application/json", 2),
        (f"{one}\n{two}\n", "application/x-ndjson", 2),
        (f"{one}\r\n\r\n{two}", "application/jsonl", 2),
        ("[]", "application/json", 0),
    ):
        status, _, answer = await raw(server, "POST", "/ticks", body, Content_Type=kind)
        assert (status, answer) == (200, {"accepted": count, "rejected": []}), kind
    _, listed = await server.call("GET", "/prices")
    assert {each["symbol"]: each["price"] for each in listed["prices"]} == {
        "NIFTY": 100,
        "BANK NIFTY": 83.4025,
    }


async def test_rejected_rows_are_named_and_the_others_are_taken(timed: Rest) -> None:
    rows = [
        tick(symbol="A"),
        tick(symbol="!"),
        tick(symbol="B", price=0),
        tick(symbol="C", price="1"),
        {"symbol": "D"},
        {"price": 1},
        5,
        None,
        tick(symbol="E", ts="2026-11-22T10:00:00"),
        tick(symbol="F", ts=BEGIN_MS + 5001),
        tick(symbol="Z"),
    ]
    status, answer = await timed.call("POST", "/ticks", rows)
    assert (status, answer["accepted"]) == (200, 2)
    reasons = {row["index"]: row["reason"] for row in answer["rejected"]}
    symbols = {row["index"]: row["symbol"] for row in answer["rejected"]}
    assert symbols == dict(enumerate(["!", "B", "C", "D", None, None, None, "E", "F"], start=1))
    for index, word in enumerate(
        ["symbol", "price", "price", "price", "symbol", "object", "object", "ts", "ahead"], start=1
    ):
        assert word in reasons[index], (index, reasons[index])
    _, listed = await timed.call("GET", "/prices")
    assert [each["symbol"] for each in listed["prices"]] == ["A", "Z"]


async def test_ticks_of_which_none_is_accepted_are_refused_as_a_whole(timed: Rest) -> None:
    """Who pushes and looks at nothing but the status learns of it."""
    rows = [tick(symbol="!"), tick(price=100.12345)]
    problem = await refused(timed, 422, "POST", "/ticks", rows)
    assert problem["code"] == "bad_request"
    assert problem["accepted"] == 0
    assert [(row["index"], row["symbol"]) for row in problem["rejected"]] == [
        (0, "!"),
        (1, "NIFTY"),
    ]
    reason = problem["rejected"][1]["reason"]
    assert reason == ("price: expected at most 4 decimals, got 100.12345: round it to 4 decimals")
    assert problem["rejected"][0]["reason"] in problem["detail"]
    await timed.tick("NIFTY", 100)
    status, answer = await timed.call("POST", "/ticks", tick(price=500))
    assert (status, answer["accepted"], answer["held"]) == (200, 1, ["NIFTY"])
    old = tick(ts=BEGIN_MS - 1)
    problem = await refused(timed, 422, "POST", "/ticks", old)
    assert problem["held"] == ["NIFTY"]


@pytest.mark.parametrize(
    ("ts", "unit"),
    [
        (1_795_677_225, "seconds"),
        (0, "seconds"),
        (-5, "seconds"),
        (10**11 - 1, "seconds"),
        (10**14, "microseconds"),
        (1_795_677_225_000_000, "microseconds"),
        (10**17, "nanoseconds"),
        (1_795_677_225_000_000_000, "nanoseconds"),
    ],
)
async def test_a_ts_in_another_unit_is_refused_by_its_name(timed: Rest, ts: int, unit: str) -> None:
    problem = await refused(timed, 422, "POST", "/ticks", tick(ts=ts))
    reason = f"ts: {ts} looks like {unit}: expected epoch milliseconds"
    assert problem["rejected"][0]["reason"] == reason


async def test_a_line_that_is_no_json_is_a_rejected_row(server: Rest) -> None:
    body = '{"symbol":"A","price":1}\n{oops\n{"symbol":"B","price":1e99999999999999999999}\n'
    body += '{"symbol":"C","price":1}\n'
    status, _, answer = await raw(
        server, "POST", "/ticks", body, Content_Type="application/x-ndjson"
    )
    assert (status, answer.get("accepted")) == (200, 2)
    assert [row["index"] for row in answer["rejected"]] == [1, 2]


@pytest.mark.parametrize("body", ["", "5", '"x"', "null", "{oops", "[1"])
async def test_a_body_without_ticks_is_refused(shared_server: Rest, body: str) -> None:
    status, headers, problem = await raw(shared_server, "POST", "/ticks", body)
    assert (status, headers["Content-Type"]) == (400, "application/problem+json")
    assert problem["code"] in {"bad_json", "bad_request"}


async def test_a_tick_may_be_newer_equal_or_up_to_5_s_ahead_but_never_older(
    timed: Rest, clock: Clock
) -> None:
    async def accepted(price: float, ts: int | str) -> bool:
        _, answer = await timed.call("POST", "/ticks", tick(price=price, ts=ts))
        return bool(answer["accepted"])

    assert await accepted(100, BEGIN_MS)
    assert await accepted(101, BEGIN_MS), "exchange time has one-second steps"
    assert not await accepted(102, BEGIN_MS - 1)
    assert await accepted(103, "2026-11-22T15:30:01.123+05:30")
    assert not await accepted(104, BEGIN_MS + 5001)
    assert await accepted(105, BEGIN_MS + 5000)
    assert not await accepted(106, BEGIN_MS)
    _, listed = await timed.call("GET", "/prices?symbols=nifty")
    assert listed == {
        "prices": [
            {
                "symbol": "NIFTY",
                "price": 105,
                "timestamp": BEGIN,
                "asOf": "2026-11-22T10:00:05.123Z",
                "source": "ingest",
                "stale": False,
            }
        ]
    }
    clock.now_ms += 60_000
    _, listed = await timed.call("GET", "/prices?symbols=nifty")
    assert listed["prices"][0]["stale"] is True
    assert await accepted(105, BEGIN_MS + 5000), "an identical tick renews freshness"
    _, listed = await timed.call("GET", "/prices?symbols=nifty")
    assert (listed["prices"][0]["stale"], listed["prices"][0]["price"]) == (False, 105)
    assert listed["prices"][0]["asOf"] == "2026-11-22T10:00:05.123Z"


async def test_prices_are_listed_by_symbol_and_unknown_ones_left_out(server: Rest) -> None:
    for symbol in ("A", "B", "C"):
        await server.tick(symbol, 5)
    _, listed = await server.call("GET", "/prices?symbols=c,%20a%20,nope,&symbols=b")
    assert [each["symbol"] for each in listed["prices"]] == ["C", "A", "B"]
    problem = await refused(server, 400, "GET", "/prices?symbols=A,!")
    assert "symbol" in problem["detail"]


async def test_under_simulated_prices_ticks_are_refused(make_settings: MakeSettings) -> None:
    async with serve_here(make_settings(feed=("sim",))) as rest:
        problem = await refused(rest, 409, "POST", "/ticks", tick())
        assert problem["code"] == "conflict"
        session_id = await rest.new_session()
        problem = await refused(
            rest, 400, "POST", f"/sessions/{session_id}/trades", ORDER | {"symbol": "NOSUCH"}
        )
        assert "NOSUCH" in problem["detail"]
