"""From JSON text to typed values, with errors that name the field and the fix."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import Any, TypeVar

import msgspec

from vyomo_rt.domain.errors import BadJson, BadRequest
from vyomo_rt.wire.numbers import decode_number

T = TypeVar("T")

_PATH = re.compile(r"(?P<what>.*) - at `\$\.?(?P<field>[^`]*)`", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(?P<field>[^`]+)`")


def parse_json(text: str | bytes) -> Any:
    """Any JSON value; decimals stay exact. Raises BadJson.

    NaN and Infinity, which are not JSON but which some clients write, become
    Decimals that no field accepts, so that the refusal can name the field.
    """
    try:
        value = json.loads(text, parse_float=Decimal, parse_constant=Decimal)
        # A lone surrogate is valid JSON but no Unicode text: nothing could store or send it.
        canonical(value)
    except RecursionError:
        raise BadJson("the JSON is nested too deeply") from None
    except ValueError as error:
        raise BadJson(f"not valid JSON: {error}") from None
    return value


def canonical(value: Any) -> bytes:
    """The same bytes for the same JSON value, whatever its spacing and order of members."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, default=str).encode()


def parse_object(text: str | bytes) -> dict[str, Any]:
    """A JSON object without its null members: null means absent. Raises BadJson."""
    value = parse_json(text)
    if not isinstance(value, dict):
        raise BadJson("expected a JSON object")
    return {name: member for name, member in value.items() if member is not None}


def convert(value: Any, type_: type[T], *, lenient: bool = False) -> T:
    """A parsed value as ``type_``; ``lenient`` takes digit strings for ints. Raises BadRequest."""
    try:
        return msgspec.convert(value, type_, strict=not lenient, dec_hook=decode_number)
    except msgspec.ValidationError as error:
        raise BadRequest(explain(error)) from None


def explain(error: msgspec.ValidationError) -> str:
    """A validation error in words that begin with the field."""
    text = str(error)
    what, field = text, ""
    if match := _PATH.fullmatch(text):
        what, field = match["what"], match["field"]
    if match := _MISSING.fullmatch(what):
        return f"{match['field']} is required"
    what = what.replace("`", "")
    return f"{field}: {what[0].lower()}{what[1:]}" if field else what
