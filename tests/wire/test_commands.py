"""What clients send: commands, JSON, and the rows of a feed."""

from __future__ import annotations

import json
from contextlib import suppress
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from vyomo_rt.domain.errors import BadJson, BadRequest, UnknownType, VyomoError
from vyomo_rt.domain.quote import Tick
from vyomo_rt.wire import decoding, tick
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
from vyomo_rt.wire.trade import NewTrade

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
    assert len(ALL_TYPES) == 5


# --- members of members


class Inner(decoding.Body):
    stop_loss: int | None = None
    within: Inner | None = None


class Outer(decoding.Body):
    inner: Inner | None = None
    rows: list[Inner] | None = None
    by_name: dict[str, Inner] | None = None


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        ({"iner": {}}, "iner: unknown; did you mean inner?"),
        ({"inner": {"stop_loss": 1}}, "inner.stop_loss: unknown; did you mean stopLoss?"),
        ({"inner": {"within": {"a": 1}}}, "inner.within.a: unknown; known are stopLoss, within"),
        ({"rows": [{}, {"a": 1}]}, "rows[1].a: unknown; known are stopLoss, within"),
        ({"byName": {"x": {"a": 1}}}, "byName[...].a: unknown; known are stopLoss, within"),
        ({"inner": {"stopLoss": "1"}}, "inner.stopLoss: expected an integer, got a string"),
        ({"inner": {"": 1}}, "inner.'': unknown; known are stopLoss, within"),
        ({"inner": 5}, "inner: expected an object, got an integer"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_fault_inside_an_object_is_named_with_its_path(body: dict[str, Any], detail: str) -> None:
    with pytest.raises(BadRequest) as refused:
        decoding.convert(body, Outer)
    assert str(refused.value) == detail


def test_a_value_that_is_none_of_a_few_is_refused_with_those_there_are() -> None:
    with pytest.raises(BadRequest, match=r"^side: expected BUY or SELL, got 'buy'$"):
        decoding.convert({"symbol": "A", "quantity": 1, "side": "buy"}, NewTrade)
    with pytest.raises(BadRequest, match=r"^types\[0\]: expected .*trade_opened.*, got 'x'$"):
        session(types=["x"])


def test_a_type_that_is_one_of_several_is_said_in_words() -> None:
    with pytest.raises(BadRequest, match=r"^ts: expected an integer or a string, got a boolean$"):
        tick.to_tick({"symbol": "A", "price": 1, "ts": True}, "test")


# --- JSON


@pytest.mark.parametrize("text", ['{"a":1,"a":1}', '{"b":[{"a":1,"c":2,"a":null}]}'])
def test_a_member_that_comes_twice_is_refused_where_it_must_be_unique(text: str) -> None:
    with pytest.raises(BadRequest, match=r"^a: given twice") as refused:
        decoding.parse_object(text, unique=True)
    assert refused.value.field == "a"
    assert decoding.parse_object(text), "a command takes the last one, as JavaScript does"


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "{", "nul", "{'a':1}", '{"a":1,}', "{}{}", "\ufeff{}"),
        *('{"a":"\\ud800"}', "[" * 100_000, '{"a":' * 100_000),
    ],
    ids=lambda text: text[:12] or "empty",
)
def test_what_is_no_json_is_refused(text: str) -> None:
    with pytest.raises(BadJson):
        decoding.parse_object(text)


@pytest.mark.parametrize("body", [b"\xff\xfe", b'{"a":"\xc3"}', b"\x00"])
def test_bytes_that_are_no_text_are_refused(body: bytes) -> None:
    with pytest.raises(BadJson):
        decoding.parse_json(body)


@pytest.mark.parametrize("text", ["[]", "5", '"x"', "null", "true", "NaN"])
def test_json_that_is_no_object_is_refused(text: str) -> None:
    with pytest.raises(BadJson, match="expected a JSON object"):
        decoding.parse_object(text)


@pytest.mark.parametrize(
    "text",
    ['{"a":1e99999999999999999999}', '{"a":-1e-99999999999999999999}', '{"a":%s}' % ("9" * 5000)],
)
def test_a_number_beyond_all_computing_does_not_fail_the_server(text: str) -> None:
    """It is refused, or it stands in a field that nobody reads; nothing else may happen."""
    with suppress(VyomoError):
        assert decoding.parse_object(text).keys() == {"a"}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(JSON)
def test_the_same_json_has_one_canonical_form_however_it_is_written(value: Any) -> None:
    def turned(inner: Any) -> Any:
        if isinstance(inner, dict):
            return {name: turned(inner[name]) for name in reversed(inner)}
        return [turned(each) for each in inner] if isinstance(inner, list) else inner

    texts = (json.dumps(value), json.dumps(turned(value), indent=1, ensure_ascii=False))
    one, other = (decoding.canonical(decoding.parse_json(text)) for text in texts)
    assert one == other


@given(JSON, JSON)
def test_different_json_has_different_forms(one: Any, other: Any) -> None:
    same = json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    assert (decoding.canonical(one) == decoding.canonical(other)) == same


def test_a_number_and_the_same_digits_in_a_string_are_different_requests() -> None:
    one, other = (decoding.parse_json(text) for text in ('{"a":1.5}', '{"a":"1.5"}'))
    assert decoding.canonical(one) != decoding.canonical(other)


def test_the_form_that_earlier_versions_stored_stays_as_it_was() -> None:
    """Their keys are kept for ever."""
    value = decoding.parse_json('{"b":[100.0,7,"é"],"a":195.250}')
    stored = '{"a": "Decimal(\'195.250\')", "b": ["Decimal(\'100.0\')", 7, "é"]}'
    assert decoding.exact_form(value) == stored.encode()
    shortest = '{"a": "Decimal(\'195.25\')", "b": [100, 7, "é"]}'
    assert decoding.canonical(value) == shortest.encode(), "so most of them need no second form"


@given(st.decimals(-(10**12), 10**12, places=4), st.integers(0, 12))
def test_numbers_are_compared_by_value_at_any_depth(number: Decimal, zeros: int) -> None:
    spelled = (f"{number:f}", f"{number:f}{'0' * zeros}", f"{number:E}", f"{number * 10:f}e-1")
    forms = {decoding.canonical(decoding.parse_json(f'{{"a":[{text}]}}')) for text in spelled}
    assert len(forms) == 1
    assert decoding.canonical(decoding.parse_json(f'{{"a":[{number + 1:f}]}}')) not in forms


# --- ticks


def row(**fields: Any) -> Any:
    return decoding.parse_json(json.dumps({"symbol": "NIFTY", "price": 100.05} | fields))


def to_tick(row_: Any) -> Tick:
    return tick.to_tick(row_, "test")


def test_a_tick_is_a_symbol_and_an_exact_price() -> None:
    assert to_tick(row()) == Tick("NIFTY", 100_0500, None, "test")
    assert to_tick(row(symbol=" bank nifty ")) == Tick("BANK NIFTY", 100_0500, None, "test")
    assert to_tick(row(ts=None)) == Tick("NIFTY", 100_0500, None, "test")


@pytest.mark.parametrize(
    ("ts", "as_of_ms"),
    [
        (1_795_341_600_123, 1_795_341_600_123),
        ("2026-11-22T10:00:00.123Z", 1_795_341_600_123),
        ("2026-11-22T15:30:00.123456+05:30", 1_795_341_600_123),
        ("2026-11-22 10:00:00+00:00", 1_795_341_600_000),
    ],
)
def test_a_tick_is_dated_by_milliseconds_or_iso_with_a_zone(ts: int | str, as_of_ms: int) -> None:
    assert to_tick(row(ts=ts)).as_of_ms == as_of_ms


@pytest.mark.parametrize("ts", ["2026-11-22T10:00:00", "2026-11-22", "now", "", True, 1.5, [], {}])
def test_a_date_without_a_zone_or_of_another_kind_is_refused_by_name(ts: object) -> None:
    with pytest.raises(BadRequest, match=r"^ts: "):
        to_tick(row(ts=ts))


@pytest.mark.parametrize("symbol", ["", " ", "!", "-X", "A" * 65, "A\nB", "é", "NIFTY\x00"])
def test_what_is_no_symbol_is_refused(symbol: str) -> None:
    with pytest.raises(BadRequest, match=r"^symbol "):
        to_tick(row(symbol=symbol))


@pytest.mark.parametrize(
    "symbol", ["^NSEI", "M&M", "BAJAJ-AUTO", "NSE:NIFTY 50", "0", "A" * 64, "A_B.C=D"]
)
def test_every_symbol_of_the_protocol_is_taken(symbol: str) -> None:
    assert to_tick(row(symbol=symbol.lower())).symbol == symbol


def test_ticks_come_alone_in_a_list_or_one_a_line() -> None:
    one = b'{"symbol":"A","price":1}'
    for body in (one, b"[" + one + b"]"):
        assert [
            to_tick(tick.read_row(row_)) for row_ in tick.parse_ticks(body, newline_delimited=False)
        ] == [Tick("A", 1_0000, None, "test")]
    rows = tick.parse_ticks(one + b"\r\n\n" + one + b"\n", newline_delimited=True)
    assert [to_tick(tick.read_row(row_)) for row_ in rows] == [Tick("A", 1_0000, None, "test")] * 2


def test_a_line_that_is_no_json_is_only_a_rejected_row() -> None:
    body = b'{"symbol":"A","price":1}\n{oops\n[]\n'
    rows = list(map(tick.read_row, tick.parse_ticks(body, newline_delimited=True)))
    assert to_tick(rows[0]) == Tick("A", 1_0000, None, "test")
    with pytest.raises(BadJson):
        to_tick(rows[1])
    with pytest.raises(BadRequest, match="expected an object, got an array"):
        to_tick(rows[2])


@pytest.mark.parametrize("body", [b"5", b'"x"', b"null", b"true"])
def test_a_body_that_is_neither_a_tick_nor_a_list_is_refused(body: bytes) -> None:
    with pytest.raises(BadRequest, match="expected a tick or a list of ticks"):
        tick.parse_ticks(body, newline_delimited=False)


def test_too_many_ticks_at_once_are_refused() -> None:
    rows = [{"symbol": "A", "price": 1}] * (tick.MAX_TICKS + 1)
    with pytest.raises(BadRequest, match="at most 1000 ticks"):
        tick.parse_ticks(json.dumps(rows).encode(), newline_delimited=False)
    lines = b'{"symbol":"A","price":1}\n\r\n' * tick.MAX_TICKS
    for newline_delimited in (True, False):
        taken = tick.parse_ticks(lines, newline_delimited=newline_delimited)
        assert len(taken) == tick.MAX_TICKS, "blank lines do not count"
        with pytest.raises(BadRequest, match="at most 1000 ticks"):
            tick.parse_ticks(lines + b"x", newline_delimited=newline_delimited)
    assert len(tick.parse_ticks(json.dumps(rows[1:]).encode(), newline_delimited=False)) == 1000


def test_a_rejected_row_is_named_as_its_sender_spelled_it() -> None:
    assert tick.row_symbol({"symbol": " nifty"}) == " nifty"
    assert tick.row_symbol({"symbol": "x" * 100}) == "x" * 80
    assert [tick.row_symbol(odd) for odd in (5, None, {}, {"symbol": 5})] == [None] * 4
