"""Every message that the server sends: its exact members, and their values."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal

import pytest

from tests.kit.events import trade_event
from tests.wire.samples import (
    CLOSED,
    NOW,
    NOW_MS,
    QUOTE,
    SESSION,
    STATE,
    TODAY,
    TRADE,
    decoded,
    event,
    head,
    parsed,
)
from vyomo_rt.domain.errors import (
    BadJson,
    BadRequest,
    Conflict,
    Forbidden,
    KeyReused,
    LimitExceeded,
    NotFound,
    NumberTaken,
    OutcomeUnknown,
    Unavailable,
    UnknownType,
    VyomoError,
)
from vyomo_rt.domain.moment import MarketMs, WallMs, iso
from vyomo_rt.domain.quote import FeedState, FeedStatus
from vyomo_rt.domain.state import Figures, state_of
from vyomo_rt.wire.connection import Subscription, ack_text, pong, server_shutdown
from vyomo_rt.wire.event import around_events, events_text
from vyomo_rt.wire.frame import Frame, with_stamps
from vyomo_rt.wire.health import feed_status
from vyomo_rt.wire.price import price_update
from vyomo_rt.wire.refusal import error_frame
from vyomo_rt.wire.session import session_document, session_update
from vyomo_rt.wire.trade import pnl_update, trade_document


def test_price_update() -> None:
    frame = price_update(QUOTE, NOW_MS)
    assert parsed(frame) == {
        "type": "price_update",
        "data": {
            "symbol": "BANKNIFTY",
            "price": Decimal("196.3"),
            "timestamp": NOW,
            "asOf": "2026-11-22T09:59:58.623Z",
            "source": "sim",
            "stale": False,
        },
    }
    assert head(frame) == ["event: price_update"]


def test_trade_opened() -> None:
    frame = event(TRADE, 3)
    assert parsed(frame) == {
        "type": "trade_opened",
        "data": {
            "tradeId": 2,
            "sessionId": 6,
            "symbol": "BANKNIFTY",
            "side": "BUY",
            "quantity": 50,
            "entryPrice": Decimal("195.25"),
            "stopLoss": 190,
            "target": None,
            "status": "OPEN",
            "timestamp": NOW,
        },
        "seq": 3,
    }
    assert head(frame) == ["event: trade_opened", "id: 6-3-k3vq"]


def test_trade_closed() -> None:
    frame = event(CLOSED, 4)
    assert parsed(frame) == {
        "type": "trade_closed",
        "data": {
            "tradeId": 2,
            "sessionId": 6,
            "symbol": "BANKNIFTY",
            "side": "BUY",
            "quantity": 50,
            "entryPrice": Decimal("195.25"),
            "exitPrice": Decimal("196.3"),
            "pnl": Decimal("52.5"),
            "pnlPercent": Decimal("0.54"),
            "exitReason": "TARGET",
            "status": "CLOSED",
            "timestamp": "2026-11-22T10:00:01.123Z",
        },
        "seq": 4,
    }
    assert head(frame) == ["event: trade_closed", "id: 6-4-k3vq"]


@pytest.mark.parametrize("recovered", [None, True, False])
def test_session_update(recovered: bool | None) -> None:
    frame = session_update(STATE, 52_50, NOW_MS, recovered)
    assert parsed(frame) == {
        "type": "session_update",
        "data": {
            "sessionId": 6,
            "currentCapital": Decimal("51245.75"),
            "totalPnL": Decimal("1245.75"),
            "todayPnL": Decimal("1245.75"),
            "totalTrades": 2,
            "winRate": 100,
            "status": "ACTIVE",
            "statusReason": None,
            "timestamp": NOW,
            "winningTrades": 1,
            "losingTrades": 0,
            "openTrades": 1,
            "unrealizedPnL": Decimal("52.5"),
        },
        "seq": 3,
    } | ({} if recovered is None else {"recovered": recovered})
    assert head(frame) == ["event: session_update", "id: 6-3-k3vq"]


def test_the_first_session_update_has_seq_0() -> None:
    state = state_of(SESSION, Figures(), TODAY)
    message = parsed(session_update(state, 0, NOW_MS))
    assert message["seq"] == 0
    assert (message["data"]["winRate"], message["data"]["unrealizedPnL"]) == (0, 0)


def test_pnl_update_but_for_its_timestamp_which_is_put_in_when_it_is_sent() -> None:
    kept = pnl_update(TRADE, QUOTE)
    ws, sse = (with_stamps(data, iso(NOW_MS)) for data in kept.data)
    frame = Frame(kept.event, (ws, sse))
    assert [len(data) for data in kept.data] == [len(ws), len(sse)]
    assert parsed(frame) == {
        "type": "pnl_update",
        "data": {
            "sessionId": 6,
            "tradeId": 2,
            "symbol": "BANKNIFTY",
            "side": "BUY",
            "quantity": 50,
            "currentPrice": Decimal("196.3"),
            "entryPrice": Decimal("195.25"),
            "stopLoss": 190,
            "target": None,
            "unrealizedPnL": Decimal("52.5"),
            "pnlPercent": Decimal("0.54"),
            "stale": False,
            "timestamp": NOW,
            "riskAmount": Decimal("262.5"),
        },
    }
    assert head(frame) == ["event: pnl_update"]


def test_feed_status() -> None:
    status = FeedStatus("sim", FeedState.DEGRADED, "no tick", since_ms=NOW_MS)
    assert parsed(feed_status(status)) == {
        "type": "feed_status",
        "data": {"source": "sim", "state": "DEGRADED", "message": "no tick", "timestamp": NOW},
    }


def test_server_shutdown() -> None:
    frame = server_shutdown(1234)
    assert parsed(frame) == {"type": "server_shutdown", "data": {"reconnectAfterMs": 1234}}


IDS = ["a", "", "5", 5, 0, -1, 2**63, 10**30]


@pytest.mark.parametrize("id_", IDS)
def test_an_id_is_echoed_as_it_came(id_: str | int) -> None:
    assert parsed(pong(NOW_MS, id_)) == {"type": "pong", "timestamp": NOW, "id": id_}
    error = parsed(error_frame(BadRequest("no"), id_))
    assert error == {"type": "error", "message": "no", "code": "bad_request", "id": id_}
    ack = json.loads(ack_text(subscription(), "c0ffee", None, id_))
    assert ack["id"] == id_
    assert type(ack["id"]) is type(id_)


def test_without_an_id_there_is_no_id_member() -> None:
    assert parsed(pong(NOW_MS, None)) == {"type": "pong", "timestamp": NOW}
    assert "id" not in parsed(error_frame(BadRequest("no"), None))
    assert "id" not in json.loads(ack_text(subscription(), "c0ffee", None, None))


def subscription() -> Subscription:
    return Subscription(
        6, 3, "k3vq", ["pnl_update"], 2000, ["NIFTY"], 1000, False, ["X"], True, 500
    )


def test_an_ack_holds_the_whole_subscription() -> None:
    result = {
        "sessionId": 6,
        "seq": 3,
        "epoch": "k3vq",
        "types": ["pnl_update"],
        "updateInterval": 2000,
        "symbols": ["NIFTY"],
        "priceInterval": 1000,
        "onlyChanges": False,
        "unknown": ["X"],
        "watching": True,
        "watchInterval": 500,
    }
    assert json.loads(ack_text(subscription(), "c0ffee", None, 1)) == {
        "type": "ack",
        "result": result,
        "connectionId": "c0ffee",
        "id": 1,
    }
    for recovered in (True, False):
        resumed = subscription()
        resumed.recovered = recovered
        answer = json.loads(ack_text(resumed, "c0ffee", None, 1))
        assert answer["result"] == result | {"recovered": recovered}


def test_an_ack_without_a_session_says_so() -> None:
    nothing = Subscription(None, None, None, [], 2000, [], 1000, False, [], False, 2000)
    result = json.loads(ack_text(nothing, "c0ffee", None, 1))["result"]
    assert (result["sessionId"], result["seq"], result["epoch"]) == (None, None, None)


def test_text_that_is_no_json_object_is_an_invalid_message_format() -> None:
    frame = error_frame(BadJson("expected a JSON object"), None)
    assert parsed(frame) == {
        "type": "error",
        "message": "Invalid message format",
        "code": "bad_json",
        "detail": "expected a JSON object",
    }


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (BadJson("x"), "bad_json"),
        (BadRequest("x"), "bad_request"),
        (UnknownType("x"), "unknown_type"),
        (NotFound("x"), "not_found"),
        (Conflict("x"), "conflict"),
        (KeyReused("x", trade=None), "conflict"),
        (LimitExceeded("x"), "limit_exceeded"),
        (Forbidden("x"), "forbidden"),
        (Unavailable("x"), "unavailable"),
        (OutcomeUnknown("x"), "unavailable"),
        (NumberTaken("x"), "unavailable"),
    ],
)
def test_every_error_has_its_code_and_on_sse_a_name_that_is_not_error(
    error: VyomoError, code: str
) -> None:
    frame = error_frame(error, None)
    assert parsed(frame)["code"] == code
    assert head(frame) == ["event: server_error"]


# --- documents of the REST calls


SET_LATER = {
    "trailingStop": None,
    "trailingStep": None,
    "trailFrom": None,
    "breakevenAt": None,
    "exitDetail": None,
    "stale": None,
    "closedQuantity": None,
    "parts": None,
    "charges": None,
    "netPnl": None,
    "chargeItems": None,
    "reason": None,
    "tags": None,
    "note": None,
    "orderId": None,
}
"""What a trade need not have, and this one has not."""


def test_a_trade_is_the_union_of_its_events() -> None:
    opened = parsed(event(replace(CLOSED, exit=None), 3))["data"]
    closed = parsed(event(CLOSED, 4))["data"]
    document = decoded(trade_document(CLOSED))
    times = {"openedAt": NOW, "closedAt": "2026-11-22T10:00:01.123Z"}
    sums = {"openedQuantity": 50, "realizedPnL": Decimal("52.5")}
    assert document == opened | closed | times | sums | SET_LATER


def test_an_open_trade_has_the_same_members_and_null_for_what_only_a_close_knows() -> None:
    document = decoded(trade_document(TRADE))
    assert document.keys() == decoded(trade_document(CLOSED)).keys()
    unknown = {name for name, value in document.items() if value is None} - SET_LATER.keys()
    assert unknown == {"target", "exitPrice", "pnl", "pnlPercent", "exitReason", "closedAt"}
    assert (document["status"], document["openedAt"]) == ("OPEN", NOW)
    assert (document["openedQuantity"], document["realizedPnL"]) == (50, 0)


def test_a_session_is_its_update_and_what_was_fixed_at_its_making() -> None:
    data = parsed(session_update(STATE, 52_50, NOW_MS))["data"]
    document = decoded(session_document(STATE, 52_50, WallMs(NOW_MS), MarketMs(NOW_MS)))
    today = {"trades": 0, "losingStreak": 0, "cooldownUntil": None, "lossLeft": None}
    fixed = {"name": "Six", "startingCapital": 50000, "epoch": "k3vq", "seq": 3, "createdAt": NOW}
    terms = dict.fromkeys(("charges", "lock", "waivedOn", "owner"))
    assert document == data | fixed | terms | {"rules": {}, "waived": []} | {"today": today}


def test_events_over_rest_are_the_stored_texts() -> None:
    stored = trade_event(TRADE, 3)
    head, tail = around_events(3, "k3vq")
    encoded = (head + events_text([stored]) + tail).decode()
    assert encoded == f'{{"events":[{stored.message}],"seq":3,"epoch":"k3vq"}}'
