"""Numbers on the wire: exact, shortest, and refused by the name of their field."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vyomo_rt.domain.errors import VyomoError
from vyomo_rt.domain.money import MAX_CAPITAL_PAISE, MAX_PRICE_E4
from vyomo_rt.wire import decoding
from vyomo_rt.wire.encoding import encode
from vyomo_rt.wire.numbers import from_e2, from_e4, from_paise, unscaled
from vyomo_rt.wire.session import NewSession
from vyomo_rt.wire.tick import to_tick
from vyomo_rt.wire.trade import NewTrade, TradeClosing

SHORTEST = re.compile(r"-?(0|[1-9]\d*)(\.\d*[1-9])?")


def shown(number: Decimal) -> str:
    return encode(number).decode()


@given(st.integers(-(10**24), 10**24), st.integers(0, 6))
def test_a_number_is_exact_and_shortest(value: int, places: int) -> None:
    text = shown(unscaled(value, places))
    assert SHORTEST.fullmatch(text), text
    assert text != "-0"
    assert Decimal(text) * 10**places == value
    assert len(text.partition(".")[2]) <= places


@given(st.integers(-(10**15), 10**15))
def test_a_number_parses_back_to_the_very_same_value(value: int) -> None:
    for scale, places in ((from_paise, 2), (from_e4, 4), (from_e2, 2)):
        parsed = json.loads(shown(scale(value)), parse_float=Decimal, parse_int=Decimal)
        assert parsed.scaleb(places) == value


@given(st.integers(-(10**10), 10**10))
def test_a_number_is_no_float_noise_to_a_javascript_client(paise: int) -> None:
    """JavaScript prints the shortest text that gives the same double; it is ours."""
    text = shown(from_paise(paise))
    assert repr(float(text)).removesuffix(".0") == text


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (from_paise(52_50), "52.5"),
        (from_paise(100_00), "100"),
        (from_e4(83_4025), "83.4025"),
        (from_e4(1), "0.0001"),
        (from_e4(-1), "-0.0001"),
        (from_e4(MAX_PRICE_E4), "10000000"),
        (from_paise(0), "0"),
        (from_paise(-0), "0"),
        (from_paise(-5), "-0.05"),
        (from_paise(MAX_CAPITAL_PAISE), "100000000000"),
        (from_paise(-(10**16) - 1), "-100000000000000.01"),
        (from_e2(54), "0.54"),
        (from_e2(-100_00), "-100"),
    ],
)
def test_numbers_look_as_the_protocol_shows_them(number: Decimal, text: str) -> None:
    assert shown(number) == text


# --- numbers in requests

FIELDS: dict[str, tuple[type[Any], str, int, int]] = {
    "entryPrice": (NewTrade, '{"symbol":"A","quantity":1,"entryPrice":%s}', 4, 10**7),
    "stopLoss": (NewTrade, '{"symbol":"A","quantity":1,"stopLoss":%s}', 4, 10**7),
    "target": (NewTrade, '{"symbol":"A","quantity":1,"target":%s}', 4, 10**7),
    "startingCapital": (NewSession, '{"startingCapital":%s}', 2, 10**11),
    "price": (TradeClosing, '{"price":%s}', 4, 10**7),
}
ATTRIBUTES = {
    "entryPrice": "entry_price",
    "stopLoss": "stop_loss",
    "startingCapital": "starting_capital",
}


def read(field: str, number: str) -> int:
    """The scaled int that a field's number becomes."""
    type_, body, _, _ = FIELDS[field]
    value = decoding.convert(decoding.parse_object(body % number), type_)
    read_as = getattr(value, ATTRIBUTES.get(field, field))
    assert isinstance(read_as, int)
    return read_as


def refusal(field: str, number: str) -> str:
    with pytest.raises(VyomoError) as refused:
        read(field, number)
    return str(refused.value)


@pytest.mark.parametrize("field", FIELDS)
@given(data=st.data())
def test_a_number_in_a_request_is_taken_exactly(field: str, data: st.DataObject) -> None:
    _, _, places, largest = FIELDS[field]
    scaled = data.draw(st.integers(1, largest * 10**places))
    assert read(field, shown(unscaled(scaled, places))) == scaled


@pytest.mark.parametrize("field", FIELDS)
@given(data=st.data())
def test_more_decimals_are_refused_by_name(field: str, data: st.DataObject) -> None:
    _, _, places, largest = FIELDS[field]
    whole = data.draw(st.integers(0, largest - 1))
    decimals = "0" * places + data.draw(st.from_regex(r"[0-9]{0,40}[1-9]", fullmatch=True))
    assert refusal(field, f"{whole}.{decimals}").startswith(f"{field}: ")


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize(
    "number",
    [
        *("true", "false", '"1"', '""', "[1]", "{}"),
        *("NaN", "Infinity", "-Infinity", "1e400", "-1e400", "9" * 4000),
        *("-1", "-0.01", "1e12", "1e-400", "0." + "0" * 400 + "1"),
    ],
    ids=lambda number: number[:12],
)
def test_what_is_no_number_in_range_is_refused_by_name(field: str, number: str) -> None:
    assert refusal(field, number).startswith(f"{field}: ")


@pytest.mark.parametrize(
    "number",
    ["1e-2000000", "1e-99999999999999999999", "1e99999999999999999999", "9" * 5000],
    ids=lambda number: number[:12],
)
def test_a_number_beyond_all_computing_is_refused_by_name_as_well(number: str) -> None:
    """Decimal underflows to 0 or fails on its exponent; int stops at 4300 digits."""
    for field in FIELDS:
        assert field in refusal(field, number)


@pytest.mark.parametrize("field", FIELDS)
def test_the_limits_themselves_are_in_range_and_what_lies_beyond_is_not(field: str) -> None:
    _, _, places, largest = FIELDS[field]
    step = shown(unscaled(1, places))
    assert read(field, str(largest)) == largest * 10**places
    assert read(field, step) == 1
    assert refusal(field, f"{largest}.{step[2:]}").startswith(f"{field}: ")
    assert refusal(field, f"-{step}").startswith(f"{field}: ")


def test_only_a_close_price_may_be_zero() -> None:
    """An option may expire at 0."""
    assert [read("price", zero) for zero in ("0", "0.0", "-0", "-0.0")] == [0, 0, 0, 0]
    for field in FIELDS.keys() - {"price"}:
        for zero in ("0", "0.000", "-0"):
            assert refusal(field, zero).startswith(f"{field}: ")


@pytest.mark.parametrize(
    ("text", "scaled"), [("1.0", 1_0000), ("1e2", 100_0000), ("150e-2", 1_5000)]
)
def test_a_number_may_be_written_in_any_way_json_has(text: str, scaled: int) -> None:
    assert read("entryPrice", text) == scaled


@pytest.mark.parametrize("quantity", ["0", "-1", "10000001", "1.5", "true", '"5"', "NaN", "1e400"])
def test_a_quantity_that_is_no_count_is_refused_by_name(quantity: str) -> None:
    body = decoding.parse_object(f'{{"symbol":"A","quantity":{quantity}}}')
    with pytest.raises(VyomoError, match=r"^quantity: "):
        decoding.convert(body, NewTrade)


@pytest.mark.parametrize("price", ["0", "true", '"1"', "NaN", "1e400", "1.00001", "10000000.5"])
def test_the_price_of_a_tick_is_refused_by_name(price: str) -> None:
    row = decoding.parse_json(f'{{"symbol":"A","price":{price}}}')
    with pytest.raises(VyomoError, match=r"^price: "):
        to_tick(row, "test")


def test_a_number_of_another_kind_is_a_mistake_of_the_program() -> None:
    class Odd(msgspec.Struct):
        value: complex

    with pytest.raises(NotImplementedError):
        decoding.convert({"value": 1}, Odd)
