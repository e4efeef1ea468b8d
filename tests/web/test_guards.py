"""Guards, and parts of a trade, by REST."""

from __future__ import annotations

from typing import Any

import pytest

from tests.kit.rest import Rest
from tests.kit.waiting import until
from tests.web.calls import Clock, refused

ORDER = {"symbol": "NIFTY", "quantity": 10, "entryPrice": 100}


async def opened(rest: Rest, **more: Any) -> dict[str, Any]:
    session_id = await rest.new_session()
    status, trade = await rest.call("POST", f"/sessions/{session_id}/trades", ORDER | more)
    assert status == 201, trade
    return trade


async def patched(rest: Rest, trade: dict[str, Any], **body: Any) -> dict[str, Any]:
    status, now = await rest.call("PATCH", f"/trades/{trade['tradeId']}", body)
    assert status == 200, now
    return now


async def events(rest: Rest, trade: dict[str, Any]) -> list[dict[str, Any]]:
    _, listed = await rest.call("GET", f"/sessions/{trade['sessionId']}/events")
    found: list[dict[str, Any]] = listed["events"]
    return found


async def test_an_opening_takes_guards_and_says_the_stop_that_follows(timed: Rest) -> None:
    trade = await opened(timed, trailingStop=5, breakevenAt=110)
    wanted = {"stopLoss": 95, "trailingStop": 5, "trailingStep": 0.5, "breakevenAt": 110}
    assert trade.items() >= wanted.items()
    [event] = await events(timed, trade)
    assert event["data"].items() >= wanted.items()
    assert "trailFrom" not in event["data"]


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"trailingStop": 100}, "trailingStop"),
        ({"trailingStop": 5, "trailingStep": 5.05}, "trailingStep"),
        ({"trailingStep": 1}, "trailingStep"),
        ({"trailFrom": 101}, "trailFrom"),
        ({"breakevenAt": 100}, "breakevenAt"),
        ({"side": "SELL", "breakevenAt": 101}, "breakevenAt"),
        ({"trailingStop": 0}, "trailingStop"),
        ({"trailing_stop": 5}, "trailing_stop"),
    ],
)
async def test_guards_that_could_not_work_are_refused_by_name(
    timed: Rest, more: dict[str, Any], field: str
) -> None:
    session_id = await timed.new_session()
    problem = await refused(timed, 400, "POST", f"/sessions/{session_id}/trades", ORDER | more)
    assert problem["field"] == field


async def test_a_patch_changes_what_it_names_and_null_takes_a_guard_away(timed: Rest) -> None:
    trade = await opened(timed, stopLoss=90, target=120, tags=["a"], note="n")
    now = await patched(timed, trade, stopLoss=92, target=None, trailingStop=20, tags=["b", "c"])
    wanted = {"stopLoss": 92, "target": None, "trailingStop": 20, "trailingStep": 2}
    assert now == trade | wanted | {"tags": ["b", "c"], "reason": "MANUAL"} | {
        "timestamp": now["timestamp"]
    }
    bare = await patched(timed, trade, stopLoss=None, trailingStop=None, tags=None, note=None)
    gone = ("stopLoss", "trailingStop", "trailingStep", "tags", "note")
    assert [bare[name] for name in gone] == [None] * 5
    told = await events(timed, trade)
    assert [event["type"] for event in told] == ["trade_opened", "trade_changed", "trade_changed"]
    assert now.items() >= told[1]["data"].items()
    assert await timed.call("GET", f"/trades/{trade['tradeId']}") == (200, bare)


async def test_a_patch_that_changes_nothing_makes_no_event(timed: Rest) -> None:
    trade = await opened(timed, stopLoss=90, trailingStop=20, tags=["a"])
    assert await patched(timed, trade) == trade
    assert await patched(timed, trade, stopLoss=90, trailingStop=20, tags=["a"]) == trade
    assert len(await events(timed, trade)) == 1


async def test_an_unknown_member_of_a_patch_is_refused_with_what_was_meant(timed: Rest) -> None:
    trade = await opened(timed)
    path = f"/trades/{trade['tradeId']}"
    problem = await refused(timed, 400, "PATCH", path, {"stop_loss": 90})
    assert (problem["field"], "stopLoss" in problem["detail"]) == ("stop_loss", True)


@pytest.mark.parametrize(
    ("side", "body", "words"),
    [
        ("BUY", {"stopLoss": 101.5}, "stopLoss: 101.5 is not below the last price 101"),
        ("BUY", {"stopLoss": 101}, "stopLoss: 101 is not below the last price 101"),
        ("BUY", {"target": 101}, "target: 101 is not above the last price 101"),
        ("SELL", {"stopLoss": 101}, "stopLoss: 101 is not above the last price 101"),
        ("SELL", {"target": 102}, "target: 102 is not below the last price 101"),
    ],
)
async def test_a_level_on_the_wrong_side_of_the_last_fresh_price_is_409_naming_both(
    timed: Rest, clock: Clock, side: str, body: dict[str, Any], words: str
) -> None:
    trade = await opened(timed, side=side)
    path = f"/trades/{trade['tradeId']}"
    await timed.tick("NIFTY", 101)
    problem = await refused(timed, 409, "PATCH", path, body)
    assert (problem["detail"], problem["field"]) == (words, next(iter(body)))
    clock.now_ms += 3_600_000
    assert (await patched(timed, trade, **body)).items() >= body.items(), "no price is fresh now"


async def test_a_halted_session_forbids_loosening_a_stop_and_allows_tightening(
    timed: Rest,
) -> None:
    trade = await opened(timed, stopLoss=90)
    await timed.call("PATCH", f"/sessions/{trade['sessionId']}", {"status": "HALTED"})
    path = f"/trades/{trade['tradeId']}"
    for stop in (89, None):
        problem = await refused(timed, 409, "PATCH", path, {"stopLoss": stop})
        assert "HALTED" in problem["detail"]
    assert (await patched(timed, trade, stopLoss=91, target=150))["stopLoss"] == 91


async def test_a_patch_of_a_closed_trade_is_409_with_the_trade(timed: Rest) -> None:
    trade = await opened(timed)
    closed = await timed.close_trade(trade["tradeId"], 101)
    problem = await refused(timed, 409, "PATCH", f"/trades/{trade['tradeId']}", {"note": "x"})
    assert problem["trade"] == closed


async def test_a_stop_that_followed_the_price_closes_the_trade_and_says_so(timed: Rest) -> None:
    trade = await opened(timed, trailingStop=5, trailingStep=1)
    await timed.tick("NIFTY", 104)
    await timed.tick("NIFTY", 98.5)

    async def is_closed() -> bool:
        _, now = await timed.call("GET", f"/trades/{trade['tradeId']}")
        return bool(now["status"] == "CLOSED")

    await until(is_closed)
    told = [event["data"] for event in await events(timed, trade)]
    assert [data.get("stopLoss") for data in told] == [95, 99, None]
    assert told[1]["reason"] == "TRAILING"
    assert (told[2]["exitReason"], told[2]["exitDetail"]) == ("SL", "TRAILING")


async def test_a_part_is_closed_and_what_is_left_keeps_its_guards(timed: Rest) -> None:
    trade = await opened(timed, stopLoss=90, trailingStop=20)
    path = f"/trades/{trade['tradeId']}/close"
    status, left = await timed.call("POST", path, {"quantity": 4, "price": 101.005})
    assert status == 200
    wanted = {"status": "OPEN", "quantity": 6, "openedQuantity": 10, "closedQuantity": 4}
    assert left.items() >= (wanted | {"stopLoss": 90, "trailingStop": 20}).items()
    assert (left["pnl"], left["realizedPnL"], left["exitReason"]) == (4.02, 4.02, "MANUAL")
    _, session = await timed.call("GET", f"/sessions/{trade['sessionId']}")
    sums = {"totalPnL": 4.02, "todayPnL": 4.02, "openTrades": 1, "winRate": 0, "winningTrades": 0}
    assert session.items() >= sums.items()
    await timed.tick("NIFTY", 102)
    _, session = await timed.call("GET", f"/sessions/{trade['sessionId']}")
    assert session["unrealizedPnL"] == 12

    _, closed = await timed.call("POST", path, {"quantity": 6, "price": 99.995})
    wanted = {"status": "CLOSED", "quantity": 10, "closedQuantity": 6, "parts": 2}
    assert closed.items() >= wanted.items()
    assert (closed["pnl"], closed["realizedPnL"], closed["pnlPercent"]) == (3.99, 3.99, 0.4)
    _, session = await timed.call("GET", f"/sessions/{trade['sessionId']}")
    sums = {"totalPnL": 3.99, "openTrades": 0, "winRate": 100, "winningTrades": 1}
    assert session.items() >= sums.items()
    told = await events(timed, trade)
    kinds = ["trade_opened", "trade_reduced", "trade_closed"]
    assert [event["type"] for event in told] == kinds
    assert left.items() >= told[1]["data"].items()
    assert closed.items() >= told[2]["data"].items()


async def test_more_than_is_open_cannot_be_closed(timed: Rest) -> None:
    trade = await opened(timed)
    path = f"/trades/{trade['tradeId']}/close"
    await timed.call("POST", path, {"quantity": 4, "price": 101})
    problem = await refused(timed, 409, "POST", path, {"quantity": 7, "price": 101})
    assert (problem["field"], "only 6" in problem["detail"]) == ("quantity", True)


async def test_a_partial_close_under_a_key_happens_once(timed: Rest) -> None:
    trade = await opened(timed)
    path, body = f"/trades/{trade['tradeId']}/close", {"quantity": 4, "price": 101}
    first = await timed.call("POST", path, body, Idempotency_Key="part")
    assert await timed.call("POST", path, body, Idempotency_Key="part") == first
    assert first[1]["quantity"] == 6
    assert len(await events(timed, trade)) == 2


async def test_a_close_at_a_stale_price_says_so(timed: Rest, clock: Clock) -> None:
    trade = await opened(timed)
    await timed.tick("NIFTY", 101)
    clock.now_ms += 3_600_000
    _, left = await timed.call("POST", f"/trades/{trade['tradeId']}/close", {"quantity": 1})
    assert left["stale"] is True
    closed = await timed.close_trade(trade["tradeId"], 102)
    assert closed["stale"] is None
    assert "stale" not in (await events(timed, trade))[-1]["data"]
