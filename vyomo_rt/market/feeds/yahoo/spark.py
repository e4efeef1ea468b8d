"""Yahoo's answers of ``finance/spark``: the minutes of a day for each symbol."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from vyomo_rt.market.feed import FeedFailed
from vyomo_rt.market.feeds.reading import Price, json_object, price_e4, start

_DECIMALS = 2
"""Of Yahoo's prices; it sends what a 32-bit float makes of them."""

_SHOWN = 80


class _Row(Struct):
    """A symbol in the flat form (v8); the nested one (v7) is brought into it."""

    timestamp: list[int] | None = None
    close: list[float | None] | None = None
    fullday_price: float | None = msgspec.field(default=None, name="fulldayPrice")
    previous_close: float | None = msgspec.field(default=None, name="previousClose")
    before_chart: float | None = msgspec.field(default=None, name="chartPreviousClose")
    """The close before the minutes that were asked for, which are those of a day."""


def read_spark(body: bytes) -> dict[str, Price]:
    """The prices of an answer by Yahoo's names; what Yahoo does not know is not in it.

    Raises FeedFailed for what is no such answer.
    """
    rows = _rows(json_object("Yahoo", body))
    found: dict[str, Price] = {}
    misshapen = 0
    for name, row in rows.items():
        try:
            price = _last_price(msgspec.convert(row, _Row))
        except msgspec.ValidationError:
            misshapen += 1
            continue
        if price is not None:
            found[name] = price
    if misshapen and misshapen == len(rows):
        raise FeedFailed(f"Yahoo answers in another form than that of spark: {start(body)}")
    return found


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
        quote, meta = response["indicators"]["quote"][0], response.get("meta", {})
        return str(result["symbol"]), {
            "timestamp": response.get("timestamp"),
            "close": quote.get("close"),
            "fulldayPrice": meta.get("regularMarketPrice"),
            "previousClose": meta.get("previousClose"),
            "chartPreviousClose": meta.get("chartPreviousClose"),
        }
    except (AttributeError, IndexError, KeyError, TypeError):
        return None


def _last_price(row: _Row) -> Price | None:
    """The last minute that has a price; minutes without a trade, and those to come, have none."""
    closes = (price_e4(close, _DECIMALS) for close in (row.previous_close, row.before_chart))
    before = next((close for close in closes if close is not None), None)
    minutes = list(zip(row.timestamp or (), row.close or (), strict=False))
    for second, close in reversed(minutes):
        if (price := price_e4(close, _DECIMALS)) is not None:
            return Price(price, second * 1000, before)
    if row.timestamp and (price := price_e4(row.fullday_price, _DECIMALS)) is not None:
        # True since before the day's first minute, as nothing was traded in any of them.
        return Price(price, row.timestamp[0] * 1000, before)
    return None
