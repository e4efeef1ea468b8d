"""Reads what a source sends: JSON, prices, and the beginning of what is neither."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Any, NamedTuple

import msgspec

from vyomo_rt.market.feed import FeedFailed

_SHOWN = 80
_MAX_DECIMALS = 4


class Price(NamedTuple):
    """A price of a symbol, and when it was true; None where the source does not say."""

    price_e4: int
    as_of_ms: int | None
    previous_close_e4: int | None = None
    """The close of the session before that of the price."""


def json_object(service: str, text: bytes | str) -> Mapping[str, Any]:
    """The members of a JSON object. Raises FeedFailed for what is none."""
    try:
        answer = _decoded(text)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise FeedFailed(f"{service} sends no whole JSON ({error}): {start(text)}") from error
    if not isinstance(answer, dict):
        raise FeedFailed(f"{service} sends no JSON object: {start(text)}")
    return answer


def _decoded(text: bytes | str) -> Any:
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        # Python writes NaN for what it does not know, which JSON has not.
        with suppress(ValueError, RecursionError):
            return json.loads(text)
        raise


def price_e4(value: object, decimals: int = _MAX_DECIMALS) -> int | None:
    """A price in units of ₹0.0001; None for what stands where there is none yet: null, 0, "-".

    Texts may have commas, as in ``1,301.80``. ``decimals`` are as many as the source means.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        # A float's repr is the decimal that the source wrote.
        exact = Decimal(repr(value) if isinstance(value, float) else str(value).replace(",", ""))
        rounded = exact.quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_UP)
    except InvalidOperation:
        return None
    return int(rounded.scaleb(_MAX_DECIMALS)) or None if rounded.is_finite() else None


def start(body: bytes | str) -> str:
    """The beginning of an answer, for a person."""
    text = body[:_SHOWN]
    return repr(text if isinstance(text, str) else text.decode(errors="replace"))
