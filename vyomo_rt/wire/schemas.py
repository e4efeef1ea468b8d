"""JSON Schema (2020-12) of this package's types, made by msgspec from the types themselves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from vyomo_rt.wire.numbers import ScaledNumber, unscaled

Document = dict[str, Any]
"""A JSON object: a schema, or something made of schemas."""


class Schemas:
    """The schemas of types, and under ``components`` the named ones they refer to."""

    def __init__(self) -> None:
        self.components: dict[str, Document] = {}

    def of(self, type_: Any, *, from_client: bool = False) -> Document:
        """The schema of a type; a client may also send null for an optional member."""
        (schema,), found = msgspec.json.schema_components(
            [type_], schema_hook=_scaled_number, ref_template="#/components/schemas/{name}"
        )
        for node in _nodes([schema, found]):
            _correct(node)
            if from_client:
                _allow_null(node)
        for name, component in found.items():
            assert self.components.setdefault(name, component) == component, name
        return schema


def without_null(schema: Document) -> Document:
    """The schema of a query's field, which is never null: it is left out instead."""
    options = [option for option in schema.get("anyOf", ()) if option != {"type": "null"}]
    return options[0] if len(options) == 1 else schema


def _scaled_number(type_: type[Any]) -> Document:
    if not issubclass(type_, ScaledNumber):
        raise NotImplementedError(type_)
    lowest = "minimum" if type_.zero_allowed else "exclusiveMinimum"
    return {
        "type": "number",
        "description": type_.__doc__,
        lowest: 0,
        "maximum": unscaled(type_.maximum, type_.places),
        "multipleOf": unscaled(1, type_.places),
    }


def _correct(node: Document) -> None:
    """What msgspec cannot know: decimals are numbers here, words are strings, `true` is not."""
    if node.get("format") == "decimal":
        node["type"] = "number"
    if "enum" in node and node["enum"] != [True]:
        node["type"] = "string"


def _allow_null(node: Document) -> None:
    required = node.get("required", ())
    for name, member in node.get("properties", {}).items():
        if name not in required and {"type": "null"} not in member.get("anyOf", ()):
            default = {"default": member.pop("default")} if "default" in member else {}
            node["properties"][name] = {"anyOf": [member, {"type": "null"}]} | default


def _nodes(value: Any) -> Iterator[Document]:
    """Every object within a schema."""
    if isinstance(value, dict):
        yield value
    for child in value.values() if isinstance(value, dict) else value:
        if isinstance(child, dict | list):
            yield from _nodes(child)
