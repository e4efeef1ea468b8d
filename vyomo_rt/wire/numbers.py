"""Scaled ints to JSON numbers and back: exact, shortest, never through a float."""

from __future__ import annotations

import decimal
from decimal import Decimal
from typing import Any, ClassVar

from vyomo_rt.domain.money import MAX_CAPITAL_PAISE, MAX_PRICE_E4

_LARGEST_PRICE = MAX_PRICE_E4 // 10_000
_shift = decimal.Context(
    prec=decimal.MAX_PREC, Emax=decimal.MAX_EMAX, Emin=decimal.MIN_EMIN, traps=[]
).scaleb


def unscaled(value: int, places: int) -> Decimal:
    """``value`` ÷ 10**places as JSON shows it: ``5250, 2`` is 52.5 and ``10000, 2`` is 100."""
    exact = Decimal(value).scaleb(-places)
    whole = exact.to_integral_value()
    return whole if exact == whole else exact.normalize()


def from_paise(paise: int) -> Decimal:
    return unscaled(paise, 2)


def from_e4(price_e4: int) -> Decimal:
    return unscaled(price_e4, 4)


def from_e2(percent_e2: int) -> Decimal:
    return unscaled(percent_e2, 2)


class ScaledNumber(int):
    """A JSON number that becomes an int of ``10**-places``; use one of the subclasses."""

    places: ClassVar[int]
    maximum: ClassVar[int]
    zero_allowed: ClassVar[bool] = False


class PriceE4(ScaledNumber):
    """A price in a request: > 0, up to 10⁷, at most 4 decimals."""

    places = 4
    maximum = MAX_PRICE_E4


class ClosePriceE4(PriceE4):
    """A close price in a request: an option may expire at 0."""

    zero_allowed = True


class AmountPaise(ScaledNumber):
    """An amount of money in a request: > 0, up to 10¹¹, at most 2 decimals."""

    places = 2
    maximum = MAX_CAPITAL_PAISE


def decode_number(type_: type[Any], value: object) -> Any:
    """A msgspec ``dec_hook``: makes a ScaledNumber of an int or a Decimal.

    Raises ValueError with what was expected; msgspec adds the field.
    """
    if not issubclass(type_, ScaledNumber):
        raise NotImplementedError(type_)
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise ValueError(f"expected a number, got {json_kind(value)}")
    number = Decimal(value)
    if not number.is_finite():
        raise ValueError(f"expected a finite number, got {value}")
    largest = unscaled(type_.maximum, type_.places)
    if number < 0 or (number == 0 and not type_.zero_allowed) or number > largest:
        lowest = "at least 0" if type_.zero_allowed else "greater than 0"
        raise ValueError(f"expected a number {lowest} and at most {largest}")
    step = Decimal(1).scaleb(-type_.places)
    # A modulus of something tiny underflows to 0.
    if number % step or 0 < number < step:
        raise ValueError(
            f"expected at most {type_.places} decimals, got {str(value)[:40]}:"
            f" round it to {type_.places} decimals"
        )
    return type_(number.scaleb(type_.places))


def price_e4(price: Decimal) -> int | None:
    """A price as `decode_number` makes a PriceE4 of it, in a tenth of the time; None if it
    would refuse it. The price must be a number."""
    if not 0 < price <= _LARGEST_PRICE:
        return None
    shifted = _shift(price, 4)
    whole = int(shifted)
    return whole if whole == shifted else None


def json_kind(value: object) -> str:
    """What JSON calls a value, for an error message."""
    kinds: dict[type, str] = {
        bool: "a boolean",
        int: "a number",
        float: "a number",
        Decimal: "a number",
        str: "a string",
        list: "an array",
        dict: "an object",
    }
    return "null" if value is None else kinds.get(type(value), type(value).__name__)
