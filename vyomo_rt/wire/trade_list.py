"""Lists of trades: which are asked for, a page as JSON, all of them as CSV."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from io import StringIO
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta

from vyomo_rt.domain.money import Side
from vyomo_rt.domain.quote import parse_symbol
from vyomo_rt.domain.trade import Trade, TradeStatus
from vyomo_rt.domain.trade_filter import TradeFilter
from vyomo_rt.wire.decoding import Body
from vyomo_rt.wire.encoding import Data
from vyomo_rt.wire.guards import Tag, parse_tag
from vyomo_rt.wire.moment import ClientDay, read_day
from vyomo_rt.wire.query import choice
from vyomo_rt.wire.trade import TradeDocument, trade_document
from vyomo_rt.wire.values import MAX_INT, Id, SpelledSymbol

_Day = Annotated[
    ClientDay,
    Meta(description="A date in Asia/Kolkata, included: of the exit, or while open of the opening"),
]
_FORMULA = ("=", "+", "-", "@")
"""A spreadsheet would compute a text that begins with one of these."""


class TradeFilterQuery(Body):
    status: Annotated[str, Meta(extra_json_schema={"enum": [*TradeStatus]})] | None = None
    symbol: SpelledSymbol | None = None
    side: Annotated[str, Meta(extra_json_schema={"enum": [*Side]})] | None = None
    tag: Tag | None = None
    from_: _Day | None = msgspec.field(default=None, name="from")
    to: _Day | None = None

    def filter(self) -> TradeFilter:
        """What is asked for; status and side may be lower case. Raises BadRequest."""
        return TradeFilter(
            status=choice("status", self.status, TradeStatus),
            symbol=None if self.symbol is None else parse_symbol(self.symbol),
            side=choice("side", self.side, Side),
            tag=None if self.tag is None else parse_tag(self.tag, "tag"),
            first_day=read_day("from", self.from_),
            last_day=read_day("to", self.to),
        )


class TradesQuery(TradeFilterQuery):
    limit: Annotated[int, Meta(ge=1, le=500)] = 50
    after: (
        Annotated[int, Meta(ge=1, le=MAX_INT, description="``next`` of the previous page")] | None
    ) = None


class TradePage(Data):
    """Trades, newest first; ``next`` is the next page's ``after``, null on the last page."""

    trades: list[TradeDocument]
    next: Id | None


_NO_COLUMN = "charge_items"
"""An object does not fit into a cell; ``charges`` is their sum while nothing is open."""
_COLUMNS = {
    field.name: field.encode_name
    for field in msgspec.structs.fields(TradeDocument)
    if field.name != _NO_COLUMN
}


def csv_header() -> bytes:
    """The first line: the names of a trade's members."""
    return _lines([_COLUMNS.values()])


def csv_rows(trades: Iterable[Trade]) -> bytes:
    """A line for each trade, as RFC 4180 has them."""
    documents = map(trade_document, trades)
    return _lines([_cell(getattr(each, name)) for name in _COLUMNS] for each in documents)


def _lines(rows: Iterable[Iterable[Any]]) -> bytes:
    text = StringIO()
    csv.writer(text, lineterminator="\r\n").writerows(rows)
    return text.getvalue().encode()


def _cell(value: Any) -> object:
    """A member's value; what is null or absent is empty."""
    if value is None or value is UNSET:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        value = " ".join(value)
    if isinstance(value, str) and value.startswith(_FORMULA):
        return f"'{value}"
    return value
