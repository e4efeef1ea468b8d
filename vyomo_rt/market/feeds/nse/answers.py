"""NSE's answers as prices; its moments are Indian time and do not say so."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta, timezone
from functools import lru_cache
from typing import Any

from vyomo_rt.domain.moment import IST_AHEAD_MS
from vyomo_rt.market.feed import FeedFailed
from vyomo_rt.market.feeds.reading import Price, json_object, price_e4, start

_IST = timezone(timedelta(milliseconds=IST_AHEAD_MS))
_FORMS = ("%d-%b-%Y %H:%M:%S", "%Y-%m-%d %H:%M:%S", "%d-%b-%Y %H:%M", "%d-%b-%Y %I:%M:%S %p")


def read_indices(body: bytes) -> dict[str, Price]:
    """The prices of ``allIndices`` by each name that an index has there. Raises FeedFailed."""
    answer, rows = _rows(body, "data")
    found = {}
    for row in rows:
        if (price := _price(row, "last", "lastPrice", moment=answer.get("timestamp"))) is not None:
            found.update(dict.fromkeys(_texts(row, "index", "indexSymbol"), price))
    return found


def read_constituents(body: bytes) -> dict[str, Price]:
    """The prices of ``equity-stock-indices``: an index and its stocks. Raises FeedFailed."""
    answer, rows = _rows(body, "data")
    found = {}
    for row in rows:
        if (price := _price(row, "lastPrice", "last", moment=answer.get("timestamp"))) is not None:
            found.update(dict.fromkeys(_texts(row, "symbol"), price))
    return found


def read_quote(symbol: str, body: bytes) -> Price | None:
    """The price of ``getSymbolData``; None of a symbol that NSE does not know."""
    answer = json_object("NSE", body)
    rows = answer.get("equityResponse")
    for row in _objects(rows if isinstance(rows, list) else ()):
        named = _texts(_object(row, "metaData"), "symbol")
        if symbol in named or not named:
            book = _object(row, "orderBook")
            moment = row.get("lastUpdateTime") or _object(row, "metaData").get("lastUpdateTime")
            close = price_e4(_object(row, "metaData").get("previousClose"))
            price = _price(book, "lastPrice", moment=moment)
            return None if price is None else price._replace(previous_close_e4=close)
    return None


def _rows(body: bytes, member: str) -> tuple[Mapping[str, Any], list[Mapping[str, Any]]]:
    answer = json_object("NSE", body)
    rows = answer.get(member)
    if not isinstance(rows, list):
        raise FeedFailed(f"NSE answers in another form, without {member!r}: {start(body)}")
    return answer, list(_objects(rows))


def _objects(rows: Iterable[object]) -> Iterator[Mapping[str, Any]]:
    return (row for row in rows if isinstance(row, dict))


def _object(row: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    inner = row.get(name)
    return inner if isinstance(inner, dict) else {}


def _texts(row: Mapping[str, Any], *names: str) -> list[str]:
    texts = (row.get(name) for name in names)
    return [text.strip().upper() for text in texts if isinstance(text, str) and text.strip()]


def _price(row: Mapping[str, Any], *names: str, moment: object) -> Price | None:
    """A row's price; None without a moment, as it must not look like one of now."""
    prices = (price_e4(row.get(name)) for name in names)
    price = next((each for each in prices if each is not None), None)
    own = _moment_ms(row.get("lastUpdateTime"))
    as_of_ms = _moment_ms(moment) if own is None else own
    if price is None or as_of_ms is None:
        return None
    return Price(price, as_of_ms, price_e4(row.get("previousClose")))


def _moment_ms(value: object) -> int | None:
    return _read_moment(value.strip()) if isinstance(value, str) else None


@lru_cache(maxsize=1000)
def _read_moment(text: str) -> int | None:
    for form in _FORMS:
        try:
            moment = datetime.strptime(text, form).replace(tzinfo=_IST)
        except ValueError:
            continue
        return round(moment.timestamp() * 1000)
    return None
