"""What Yahoo calls our symbols; the indices are in ``names.json``, stocks follow a rule."""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path
from typing import Annotated

from msgspec import Meta, MsgspecError, json

from vyomo_rt.domain.errors import BadRequest, CannotStart
from vyomo_rt.domain.market import Segment
from vyomo_rt.domain.quote import parse_symbol
from vyomo_rt.exchange.instruments import segment_of

_Rows = dict[str, Annotated[str, Meta(pattern=r"^[A-Za-z0-9^&._=-]{1,64}$")]]

_IS_YAHOOS = re.compile(r"\^.+|.+\.(NS|BO)")
"""A symbol that is Yahoo's own name already."""

_IS_STOCK = re.compile(r"[A-Z0-9][A-Z0-9&_-]*")


class Names:
    """Yahoo's name of each symbol."""

    def __init__(self, rows: dict[str, str]) -> None:
        self._rows = rows

    @classmethod
    def shipped(cls, override: Path | None = None) -> Names:
        """Those of the package, with an operator's file over them. Raises CannotStart."""
        text = resources.files(__package__).joinpath("names.json").read_bytes()
        rows = json.decode(text, type=_Rows)
        return cls(rows if override is None else rows | _read(override))

    def of(self, symbol: str) -> str | None:
        """What Yahoo calls a symbol; None for what it has no prices of: futures and options."""
        if (name := self._rows.get(symbol)) is not None or _IS_YAHOOS.fullmatch(symbol):
            return name or symbol
        if segment_of(symbol) is Segment.FNO or not _IS_STOCK.fullmatch(symbol):
            return None
        return f"{symbol}.NS"


def _read(path: Path) -> dict[str, str]:
    try:
        rows = json.decode(path.read_bytes(), type=_Rows)
        return {parse_symbol(symbol): name for symbol, name in rows.items()}
    except OSError as error:
        raise CannotStart(f"the names for Yahoo {path} cannot be read: {error.strerror}") from error
    except (MsgspecError, UnicodeDecodeError, BadRequest) as error:
        example = '{"NIFTY": "^NSEI", …}'
        raise CannotStart(
            f"the names for Yahoo {path}: {error}; write our symbols and Yahoo's names: {example}"
        ) from error
