"""The building blocks of the server's documents and messages, and their JSON text."""

from __future__ import annotations

from typing import TypeVar

import msgspec
from msgspec import UNSET, Struct, UnsetType

T = TypeVar("T")

encode = msgspec.json.Encoder(decimal_format="number").encode
"""Encodes this package's structs as JSON; decimals are exact numbers."""


def _json_name(name: str) -> str:
    """camelCase as the original protocol spells it: ``total_pnl`` is ``totalPnL``."""
    first, *rest = name.split("_")
    return first + "".join("PnL" if word == "pnl" else word.capitalize() for word in rest)


class Data(Struct, rename=_json_name):
    """A struct whose members have the protocol's spelling."""


class Message(Struct, rename=_json_name, tag_field="type", omit_defaults=True):
    """A message that the server sends on a stream."""


def around_list(document: Struct) -> tuple[bytes, bytes]:
    """The JSON of a document before and behind the items of its list, which is empty and first."""
    head, hole, tail = encode(document).partition(b"[]")
    return head + hole[:1], hole[1:] + tail


def unless_none(value: T | None) -> T | UnsetType:
    """A member that is left out if it is None."""
    return UNSET if value is None else value
