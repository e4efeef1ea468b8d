"""Kite's numbers of instruments, out of the list that it publishes each day."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from vyomo_rt.domain.errors import CannotStart

_EXCHANGES = ("NSE", "NFO", "BSE", "BFO", "CDS", "BCD", "MCX")
"""Where a name stands for several instruments, the first of these has it."""


def read_instruments(path: Path) -> dict[str, int]:
    """The tokens of a list, CSV or JSON, by ``NSE:RELIANCE`` and by ``RELIANCE``.

    Raises CannotStart.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        return _tokens(_rows(text))
    except OSError as error:
        raise CannotStart(
            f"Kite's list of instruments {path} cannot be read: {error.strerror}"
        ) from error
    except (AttributeError, KeyError, TypeError, ValueError, csv.Error) as error:
        raise CannotStart(
            f"Kite's list of instruments {path} is of another form ({error!r}): get it from "
            "https://api.kite.trade/instruments"
        ) from error


def _rows(text: str) -> Iterable[Mapping[str, Any]]:
    if text.lstrip().startswith("["):
        rows: list[Mapping[str, Any]] = msgspec.json.decode(text)
        return rows
    return csv.DictReader(io.StringIO(text))


def _tokens(rows: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    tokens: dict[str, int] = {}
    ranks: dict[str, int] = {}
    for row in rows:
        name, exchange = row["tradingsymbol"].upper(), row["exchange"].upper()
        token = int(row["instrument_token"])
        tokens[f"{exchange}:{name}"] = token
        rank = _EXCHANGES.index(exchange) if exchange in _EXCHANGES else len(_EXCHANGES)
        if rank < ranks.get(name, rank + 1):
            ranks[name], tokens[name] = rank, token
    if not tokens:
        raise ValueError("it has no rows")
    return tokens
