"""Yahoo's answers of ``finance/spark``: the minutes of a day for each symbol."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, NamedTuple

import msgspec
from msgspec import Struct

from vyomo_rt.market.feed import FeedFailed

_PAISA = Decimal("0.01")
_SHOWN = 80


class SparkPrice(NamedTuple):
    """The last price of a symbol, and when it was true."""

    price_e4: int
    as_of_ms: int


class _Row(Struct):
    """A symbol in the flat form (v8); the nested one (v7) is brought into it."""

    timestamp: list[int] | None = None
    close: list[float | None] | None = None
    fullday_price: float | None = msgspec.field(default=None, name="fulldayPrice")


def read_spark(body: bytes) -> dict[str, SparkPrice]:
    """The prices of an answer by Yahoo's names; what Yahoo does not know is not in it.

    Raises FeedFailed for what is no such answer.
    """
    rows = _rows(_decode(body))
    found: dict[str, SparkPrice] = {}
    misshapen = 0
    for name, row in rows.items():
        try:
            price = _last_price(msgspec.convert(row, _Row))
        except (msgspec.ValidationError, ArithmeticError):
            misshapen += 1
            continue
        if price is not None:
            found[name] = price
    if misshapen and misshapen == len(rows):
        raise FeedFailed(f"Yahoo answers in another form than that of spark: {_start(body)}")
    return found


def _decode(body: bytes) -> Mapping[str, Any]:
    try:
        answer = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise FeedFailed(f"Yahoo answers no whole JSON ({error}): {_start(body)}") from error
    if not isinstance(answer, dict):
        raise FeedFailed(f"Yahoo answers no JSON object: {_start(body)}")
    return answer


def _rows(answer: Mapping[str, Any]) -> dict[str, Any]:
    for name in ("spark", "finance", "chart"):
        envelope = answer.get(name)
        if isinstance(envelope, dict) and ("result" in envelope or "error" in envelope):
            return _unwrapped(envelope)
    return dict(answer)


def _unwrapped(envelope: Mapping[str, Any]) -> dict[str, Any]:
    """The rows of the nested form, or none of an error that is only about a name."""
    results, error = envelope.get("result"), envelope.get("error")
    if isinstance(results, list):
        return dict(filter(None, map(_flattened, results)))
    code = error.get("code") if isinstance(error, dict) else error
    if code == "Not Found":
        return {}
    raise FeedFailed(f"Yahoo refuses: {str(error)[:_SHOWN]}")


def _flattened(result: Any) -> tuple[str, Any] | None:
    try:
        response = result["response"][0]
        quote = response["indicators"]["quote"][0]
        return result["symbol"], {
            "timestamp": response.get("timestamp"),
            "close": quote.get("close"),
            "fulldayPrice": response.get("meta", {}).get("regularMarketPrice"),
        }
    except (AttributeError, IndexError, KeyError, TypeError):
        return None


def _last_price(row: _Row) -> SparkPrice | None:
    """The last minute that has a price; minutes without a trade, and those to come, have none."""
    minutes = list(zip(row.timestamp or (), row.close or (), strict=False))
    for second, close in reversed(minutes):
        if close is not None:
            return SparkPrice(_to_e4(close), second * 1000)
    if row.fullday_price is not None and row.timestamp:
        # True since before the day's first minute, as nothing was traded in any of them.
        return SparkPrice(_to_e4(row.fullday_price), row.timestamp[0] * 1000)
    return None


def _to_e4(price: float) -> int:
    """A price of two decimals, which Yahoo sends as what a 32-bit float makes of it."""
    return int(Decimal(repr(price)).quantize(_PAISA, ROUND_HALF_UP).scaleb(4))


def _start(body: bytes) -> str:
    return repr(body[:_SHOWN].decode(errors="replace"))
