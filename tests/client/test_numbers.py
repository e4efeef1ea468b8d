"""Numbers go out and come in exactly, and what is exact is what the server says is."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vyomo_rt_client import numbers


@pytest.mark.parametrize("value", [1.5, [1.5], {"price": 1.5}])
def test_a_float_is_refused_with_what_to_write(value: object) -> None:
    with pytest.raises(TypeError, match=r'price: write Decimal\("1.5"\), because a float is not'):
        numbers.encode({"price": value})


@pytest.mark.parametrize("value", [Decimal("NaN"), Decimal("-Infinity")])
def test_a_decimal_that_is_no_number_is_refused(value: Decimal) -> None:
    with pytest.raises(ValueError, match=r"price: .* is not a number"):
        numbers.encode({"price": value})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.decimals(-(10**9), 10**9, places=4),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(JSON)
def test_what_is_sent_is_json_with_the_same_values(value: object) -> None:
    assert json.loads(numbers.encode(value), parse_float=Decimal) == value
