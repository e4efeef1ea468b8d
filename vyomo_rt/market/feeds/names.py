"""What each source calls our symbols: ``names.json``, with an operator's file over it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib import resources
from pathlib import Path

from msgspec import MsgspecError, json

from vyomo_rt.config.feeds import installed_feeds
from vyomo_rt.domain.errors import BadRequest, CannotStart
from vyomo_rt.domain.market import Segment
from vyomo_rt.domain.quote import parse_symbol
from vyomo_rt.exchange.instruments import segment_of

_Value = str | int | list[str]
_Rows = dict[str, dict[str, _Value]]
_TEXT = re.compile(r"[A-Za-z0-9^][A-Za-z0-9 ^&._:=-]{0,63}")
_MAX_NUMBER = 2**32 - 1

_STOCK = re.compile(r"[A-Z0-9][A-Z0-9&_-]*")

Name = str | int
"""What a source calls a symbol: a name or a number."""


class Names:
    """One source's names of symbols; what has no row follows a rule of the source's own."""

    def __init__(self, rows: Mapping[str, tuple[Name, ...]]) -> None:
        self._rows = rows

    @classmethod
    def of_source(cls, source: str, override: Path | None = None) -> Names:
        """Those of the package, with an operator's file over them. Raises CannotStart."""
        text = resources.files(__package__).joinpath("names.json").read_bytes()
        rows = json.decode(text, type=_Rows)[source]
        if override is not None:
            rows = rows | _read(override).get(source, {})
        return cls({symbol: _each(value) for symbol, value in rows.items()})

    def of(self, symbol: str) -> tuple[Name, ...]:
        """The names that the source may use for a symbol; none where no row has it."""
        return self._rows.get(symbol, ())


def is_stock(symbol: str) -> bool:
    """Whether a symbol may be a stock: it is no index, no contract, and looks like one."""
    is_listed = segment_of(symbol) in {Segment.EQ, Segment.EQ_FNO}
    return is_listed and _STOCK.fullmatch(symbol) is not None


def _read(path: Path) -> _Rows:
    try:
        tables = json.decode(path.read_bytes(), type=_Rows)
        rows = {source: _by_symbol(table) for source, table in tables.items()}
    except OSError as error:
        raise CannotStart(
            f"the names of symbols {path} cannot be read: {error.strerror}"
        ) from error
    except (MsgspecError, UnicodeDecodeError, BadRequest) as error:
        example = '{"yahoo": {"NIFTY": "^NSEI"}}'
        raise CannotStart(
            f"the names of symbols {path}: {error}; write for each feed our symbols and its "
            f"names: {example}"
        ) from error
    if unknown := rows.keys() - installed_feeds().keys():
        names = ", ".join(sorted(unknown))
        raise CannotStart(f"the names of symbols {path}: no feed is called {names}")
    return rows


def _by_symbol(table: Mapping[str, _Value]) -> dict[str, _Value]:
    rows = {parse_symbol(symbol): value for symbol, value in table.items()}
    for symbol, value in rows.items():
        if not (_each(value) and all(map(_is_usable, _each(value)))):
            raise BadRequest(f"{value!r:.80} cannot be the name of {symbol}")
    return rows


def _each(value: _Value) -> tuple[Name, ...]:
    return tuple(value) if isinstance(value, list) else (value,)


def _is_usable(name: Name) -> bool:
    if isinstance(name, int):
        return 0 < name <= _MAX_NUMBER
    return _TEXT.fullmatch(name) is not None
