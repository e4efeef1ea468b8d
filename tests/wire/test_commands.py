"""What clients ask of a stream."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from vyomo_rt.domain.errors import BadRequest, UnknownType, VyomoError
from vyomo_rt.wire import decoding
from vyomo_rt.wire.commands import (
    ALL_TYPES,
    Command,
    Ping,
    SubscribePrices,
    SubscribeSession,
    UnsubscribePrices,
    UnsubscribeSession,
    clamp_interval_ms,
    message_id,
    to_command,
)

SESSION = {"type": "subscribe_session", "sessionId": 6}
PRICES = {"type": "subscribe_prices", "symbols": ["NIFTY"]}


def command(fields: dict[str, Any]) -> Command:
    return to_command(decoding.parse_object(json.dumps(fields)))


def session(**fields: Any) -> SubscribeSession:
    made = command(SESSION | fields)
    assert isinstance(made, SubscribeSession)
    return made


def prices(**fields: Any) -> SubscribePrices:
    made = command(PRICES | fields)
    assert isinstance(made, SubscribePrices)
    return made


def refusal(fields: dict[str, Any], kind: type[VyomoError] = BadRequest) -> str:
    with pytest.raises(kind) as refused:
        command(fields)
    assert type(refused.value) is kind
    return str(refused.value)


def test_the_messages_of_the_original_protocol_are_taken() -> None:
    assert command(SESSION) == SubscribeSession(session_id=6)
    assert command(PRICES) == SubscribePrices(symbols=["NIFTY"])
    assert command({"type": "unsubscribe_session"}) == UnsubscribeSession()
    assert command({"type": "unsubscribe_prices"}) == UnsubscribePrices(symbols=UNSET)
    assert command({"type": "ping"}) == Ping()


def test_every_field_of_a_command_is_read() -> None:
    made = session(since=3, epoch="k3vq", updateInterval=500, types=["pnl_update"], id="a")
    assert (made.since, made.epoch, made.update_interval) == (3, "k3vq", 500)
    assert (made.types, made.id) == (["pnl_update"], "a")
    priced = prices(priceInterval=300, onlyChanges=True, id=7)
    assert (priced.price_interval, priced.only_changes, priced.id) == (300, True, 7)


@given(st.integers())
def test_an_interval_is_clamped_and_rounded_down_to_a_multiple_of_100(interval_ms: int) -> None:
    clamped = clamp_interval_ms(interval_ms)
    assert 100 <= clamped <= 60_000
    assert clamped % 100 == 0
    if 100 <= interval_ms <= 60_000:
        assert 0 <= interval_ms - clamped < 100
    else:
        assert clamped == (100 if interval_ms < 100 else 60_000)


@pytest.mark.parametrize(
    ("given_ms", "taken_ms"),
    [
        *((1, 100), (0, 100), (-5, 100), (199, 100), (1999, 1900)),
        *((60_001, 60_000), (10**30, 60_000), ("250", 200), ("-1", 100)),
    ],
)
def test_intervals_are_clamped_in_both_commands(given_ms: int | str, taken_ms: int) -> None:
    assert session(updateInterval=given_ms).update_interval == taken_ms
    assert prices(priceInterval=given_ms).price_interval == taken_ms


@pytest.mark.parametrize("wrong", [True, 150.5, "fast", "", [], {}])
def test_what_is_no_interval_is_refused_by_name(wrong: object) -> None:
    assert refusal(SESSION | {"updateInterval": wrong}).startswith("updateInterval: ")
    assert refusal(PRICES | {"priceInterval": wrong}).startswith("priceInterval: ")


@given(st.integers(1, 2**63))
def test_integers_may_come_as_digit_strings(number: int) -> None:
    assert session(sessionId=str(number)) == session(sessionId=number)
    assert session(since=str(number)) == session(since=number)


@pytest.mark.parametrize("wrong", [0, -1, "0", True, 1.5, "x", "", "6 ", "٦", "+6", [6], {}])
def test_what_is_no_session_id_is_refused_by_name(wrong: object) -> None:
    assert refusal({"type": "subscribe_session", "sessionId": wrong}).startswith("sessionId: ")


@pytest.mark.parametrize("wrong", [-1, "-1", True, 1.5, "x", []])
def test_what_is_no_position_is_refused_by_name(wrong: object) -> None:
    assert refusal(SESSION | {"since": wrong}).startswith("since: ")


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        (SESSION | {"epoch": 5}, "epoch: "),
        (SESSION | {"types": "pnl_update"}, "types: "),
        (SESSION | {"types": ["pnl_update", "prices"]}, "types[1]: "),
        (PRICES | {"symbols": "NIFTY"}, "symbols: "),
        (PRICES | {"symbols": ["NIFTY", 5]}, "symbols[1]: "),
        (PRICES | {"symbols": [None]}, "symbols[0]: "),
        (PRICES | {"onlyChanges": "perhaps"}, "onlyChanges: "),
        (PRICES | {"onlyChanges": 2}, "onlyChanges: "),
        ({"type": "unsubscribe_prices", "symbols": 5}, "symbols: "),
        (SESSION | {"id": "x" * 65}, "id: "),
        (SESSION | {"id": True}, "id: "),
        (SESSION | {"id": 1.5}, "id: "),
        (SESSION | {"id": ["a"]}, "id: "),
    ],
)
def test_a_wrong_field_is_refused_by_name(fields: dict[str, Any], name: str) -> None:
    assert refusal(fields).startswith(name)


def test_a_missing_field_is_named() -> None:
    assert refusal({"type": "subscribe_session"}) == "sessionId is required"
    assert refusal({"type": "subscribe_prices"}) == "symbols is required"
    assert refusal({}) == "type is required"


def test_null_means_absent() -> None:
    optional = ("since", "epoch", "updateInterval", "types", "id")
    assert session(**dict.fromkeys(optional)) == session()
    assert prices(priceInterval=None, onlyChanges=None, id=None) == prices()
    assert command({"type": "unsubscribe_prices", "symbols": None}) == UnsubscribePrices()
    assert refusal(SESSION | {"sessionId": None}) == "sessionId is required"
    assert refusal({"type": None}) == "type is required"


def test_omitted_symbols_are_all_and_an_empty_list_is_none() -> None:
    all_of_them, none_of_them = (
        command({"type": "unsubscribe_prices"}),
        command({"type": "unsubscribe_prices", "symbols": []}),
    )
    assert isinstance(all_of_them, UnsubscribePrices)
    assert isinstance(none_of_them, UnsubscribePrices)
    assert all_of_them.symbols is UNSET
    assert none_of_them.symbols == []


NAMES = st.text(min_size=1).filter(lambda name: not name.isascii() or name.startswith("_"))


@given(st.dictionaries(NAMES, st.none() | st.booleans() | st.integers() | st.text() | st.just([])))
def test_unknown_fields_are_ignored(unknown: dict[str, object]) -> None:
    for known in (SESSION, PRICES, {"type": "ping"}, {"type": "unsubscribe_session"}):
        assert to_command(unknown | known) == to_command(dict(known))


@given(st.text(max_size=64) | st.integers())
def test_an_id_is_kept_with_its_type(id_: str | int) -> None:
    fields = {"type": "ping", "id": id_}
    made = to_command(fields)
    assert made.id == id_
    assert type(made.id) is type(id_)
    assert message_id(fields) == id_


@pytest.mark.parametrize("wrong", [True, False, 1.5, Decimal(1), "x" * 65, [], {}, None])
def test_an_id_that_the_protocol_does_not_allow_is_not_echoed(wrong: object) -> None:
    assert message_id({"id": wrong}) is None


def test_the_longest_id_is_taken() -> None:
    assert command({"type": "ping", "id": "x" * 64}).id == "x" * 64


@pytest.mark.parametrize("kind", ["", "PING", "subscribe", "auth ", "x" * 500])
def test_another_type_is_unknown_and_named(kind: str) -> None:
    assert refusal({"type": kind}, UnknownType) == f"Unknown message type: {kind[:80]}"


@pytest.mark.parametrize("kind", [5, True, [], {}])
def test_a_type_that_is_no_string_is_refused(kind: object) -> None:
    assert refusal({"type": kind}).startswith("type: ")


def test_the_types_of_a_session_stream_are_its_five_messages() -> None:
    made = session(types=sorted(ALL_TYPES))
    assert made.types is not None
    assert frozenset(made.types) == ALL_TYPES
    assert len(ALL_TYPES) == 9
