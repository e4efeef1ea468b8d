"""What the documents and messages of the server are made of, and their JSON text."""

from __future__ import annotations

from typing import TypeVar

import msgspec
from msgspec import UNSET, Struct, UnsetType

T = TypeVar("T")

encode = msgspec.json.Encoder(decimal_format="number").encode
"""JSON of what is made of this package's structs; decimals are exact numbers."""


def _json_name(name: str) -> str:
    """camelCase as the original protocol spells it: ``total_pnl`` is ``totalPnL``."""
    first, *rest = name.split("_")
    return first + "".join("PnL" if word == "pnl" else word.capitalize() for word in rest)


class Data(Struct, rename=_json_name):
    """What has its members in the spelling of the protocol."""


class Message(Struct, rename=_json_name, tag_field="type", omit_defaults=True):
    """What the server sends on a stream."""


def unless_none(value: T | None) -> T | UnsetType:
    """A member that is left out if there is nothing to say."""
    return UNSET if value is None else value
