"""The guards of a trade or a pending entry, and what a person attached to it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import Decimal
from typing import Annotated, Any

from msgspec import Meta

from vyomo_rt.domain.errors import BadRequest
from vyomo_rt.domain.guards import Guards
from vyomo_rt.wire.numbers import from_e4

_TAG = "[a-z0-9_-]{1,32}"
Tag = Annotated[str, Meta(extra_json_schema={"pattern": f"^{_TAG}$"}, examples=["breakout"])]
Tags = Annotated[list[Tag], Meta(max_length=10)]
Note = Annotated[str, Meta(max_length=2000)]


def guard_members(guards: Guards) -> dict[str, Any]:
    """The members of a message that are its guards; null where one is not set."""
    return {
        "stop_loss": optional_e4(guards.stop_loss_e4),
        "target": optional_e4(guards.target_e4),
        "trailing_stop": optional_e4(guards.trailing_stop_e4),
        "trailing_step": optional_e4(guards.trailing_step_e4),
        "trail_from": optional_e4(guards.trail_from_e4),
        "breakeven_at": optional_e4(guards.breakeven_at_e4),
    }


def optional_e4(price_e4: int | None) -> Decimal | None:
    return None if price_e4 is None else from_e4(price_e4)


def parse_tag(text: str, field: str) -> str:
    """The tag. Raises BadRequest for a text that cannot be one."""
    if not re.fullmatch(_TAG, text):
        words = "use 1 to 32 lower-case letters, digits, _ or -"
        raise BadRequest(f"{field}: {text[:40]!r} is no tag: {words}", field)
    return text


def parse_tags(texts: Iterable[str] | None) -> tuple[str, ...]:
    """The tags, each once. Raises BadRequest."""
    return tuple(dict.fromkeys(parse_tag(text, "tags") for text in texts or ()))
