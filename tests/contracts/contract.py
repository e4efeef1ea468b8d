"""A contract, and whether a JSON text keeps it."""

from __future__ import annotations

import copy
import json
from decimal import Decimal
from functools import reduce
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

NAMES = ("openapi", "asyncapi")


class Contract:
    """OpenAPI or AsyncAPI, read by somebody who holds the server to the letter.

    Numbers are compared in decimals. A member that is not described is a fault
    here, although clients pass over it.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.document: dict[str, Any] = parse(text)
        self._schemas = copy.deepcopy(self.document["components"]["schemas"])
        for schema in self._schemas.values():
            if "properties" in schema:
                schema["additionalProperties"] = False

    def operation(self, method: str, path: str) -> tuple[str, dict[str, Any]]:
        """The path's template, and what OpenAPI says of the call."""
        given = path.split("/")
        for template, operations in self.document["paths"].items():
            known = template.split("/")
            if len(known) == len(given) and all(
                k == g or k.startswith("{") for k, g in zip(known, given, strict=True)
            ):
                return template, operations[method.lower()]
        raise AssertionError(f"{method} {path} is not described")

    def resolve(self, node: dict[str, Any]) -> dict[str, Any]:
        """A node, or the one that it refers to."""
        reference: str | None = node.get("$ref")
        if reference is None:
            return node
        found: dict[str, Any] = reduce(
            lambda at, name: at[name], reference.split("/")[1:], self.document
        )
        return found

    def check(self, schema: dict[str, Any], text: str | bytes) -> None:
        """Fail if the text breaks a schema of this document."""
        validator = Draft202012Validator(
            {**schema, "components": {"schemas": self._schemas}},
            format_checker=Draft202012Validator.FORMAT_CHECKER,
        )
        error = best_match(validator.iter_errors(parse(text)))
        assert error is None, f"{error.json_path}: {error.message}\n{text!r}"


Contracts = dict[str, Contract]


def parse(text: str | bytes) -> Any:
    """JSON with exact numbers."""
    return json.loads(text, parse_float=Decimal)
