"""The guards of a trade or a pending entry, and what a person attached to it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import Decimal
from typing import Annotated, Any

from msgspec import UNSET, Meta, UnsetType

from vyomo_rt.domain.errors import BadRequest
from vyomo_rt.domain.guards import GUARDS, Guards
from vyomo_rt.wire.decoding import Body
from vyomo_rt.wire.numbers import PriceE4, from_e4

_TAG = "[a-z0-9_-]{1,32}"
Tag = Annotated[str, Meta(extra_json_schema={"pattern": f"^{_TAG}$"}, examples=["breakout"])]
Tags = Annotated[list[Tag], Meta(max_length=10)]
Note = Annotated[str, Meta(max_length=2000)]


class GuardedBody(Body, kw_only=True):
    """What guards a trade from its opening on, and what a person attaches to it."""

    stop_loss: PriceE4 | None = None
    target: PriceE4 | None = None
    trailing_stop: Annotated[
        PriceE4 | None, Meta(description="The distance at which the stop follows the price")
    ] = None
    trailing_step: Annotated[
        PriceE4 | None, Meta(description="The steps in which it does; a tenth if left out")
    ] = None
    trail_from: Annotated[PriceE4 | None, Meta(description="It follows only from here on")] = None
    breakeven_at: Annotated[
        PriceE4 | None, Meta(description="Reached, the stop moves to the entry price, once")
    ] = None
    tags: Tags | None = None
    note: Note | None = None

    def guarded(self) -> dict[str, Any]:
        """These members in domain units. Raises BadRequest for what cannot be a tag."""
        guards = {name: getattr(self, name.removesuffix("_e4")) for name in GUARDS}
        return guards | {"tags": parse_tags(self.tags), "note": self.note}


class GuardedChange(Body, kw_only=True):
    """A change of guards, tags and note: what is left out stays, null takes away."""

    stop_loss: PriceE4 | UnsetType | None = UNSET
    target: PriceE4 | UnsetType | None = UNSET
    trailing_stop: PriceE4 | UnsetType | None = UNSET
    trailing_step: PriceE4 | UnsetType | None = UNSET
    trail_from: PriceE4 | UnsetType | None = UNSET
    breakeven_at: PriceE4 | UnsetType | None = UNSET
    tags: Tags | UnsetType | None = UNSET
    note: Note | UnsetType | None = UNSET

    def changes(self) -> dict[str, Any]:
        """The members that change, in domain units. Raises BadRequest for what cannot be a tag."""
        members = {name: getattr(self, name.removesuffix("_e4")) for name in (*GUARDS, "note")}
        changed = {name: value for name, value in members.items() if value is not UNSET}
        if not isinstance(self.tags, UnsetType):
            changed["tags"] = parse_tags(self.tags)
        return changed


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
