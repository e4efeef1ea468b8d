"""From JSON to values: what is no JSON, what is no value, and the form that is compared."""

from __future__ import annotations

import json
from contextlib import suppress
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vyomo_rt.domain.errors import BadJson, BadRequest, VyomoError
from vyomo_rt.wire import decoding, tick
from vyomo_rt.wire.access import SignIn
from vyomo_rt.wire.commands import SubscribeSession
from vyomo_rt.wire.trade import NewTrade


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
        decoding.convert({"sessionId": 6, "types": ["x"]}, SubscribeSession)


def test_a_fault_of_no_single_member_is_one_of_the_body() -> None:
    with pytest.raises(BadRequest, match=r"^give token or ticket$") as refused:
        decoding.convert_body({}, SignIn)
    assert refused.value.field == "body"


def test_a_type_that_is_one_of_several_is_said_in_words() -> None:
    with pytest.raises(BadRequest, match=r"^ts: expected an integer or a string, got a boolean$"):
        tick.to_tick({"symbol": "A", "price": 1, "ts": True}, "test")


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
