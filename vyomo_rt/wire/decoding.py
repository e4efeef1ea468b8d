"""From JSON text to typed values, with errors that name the field and the fix."""

from __future__ import annotations

import json
import re
from decimal import Decimal, InvalidOperation
from typing import Any, TypeVar

import msgspec

from vyomo_rt.domain.errors import BadJson, BadRequest
from vyomo_rt.wire.numbers import decode_number

T = TypeVar("T")

_PATH = re.compile(r"(?P<what>.*) - at `\$\.?(?P<field>[^`]*)`", re.DOTALL)
_WORDS = {
    "int": "an integer",
    "str": "a string",
    "bool": "a boolean",
    "float": "a number",
    "decimal": "a number with decimals",
    "array": "an array",
    "object": "an object",
}
_IN_WORDS = re.compile(rf"`?\b({'|'.join(_WORDS)})\b`?")
_MAX_DIGITS = 1000
_MISSING = re.compile(r"Object missing required field `(?P<field>[^`]+)`")


def parse_json(text: str | bytes) -> Any:
    """Any JSON value; decimals stay exact. Raises BadJson.

    NaN and Infinity, which are not JSON but which some clients write, and numbers
    beyond all measure become Decimals that no field accepts, so that the refusal
    can name the field.
    """
    try:
        if isinstance(text, bytes):
            text = text.decode(json.detect_encoding(text), "surrogatepass")
        value = _decode(text)
        # A lone surrogate is valid JSON but no Unicode text: nothing could store or send it.
        canonical(value)
    except RecursionError:
        raise BadJson("the JSON is nested too deeply") from None
    except ValueError as error:
        raise BadJson(f"not valid JSON: {error}") from None
    return value


def _decimal(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        return Decimal("Infinity")


def _integer(text: str) -> int | Decimal:
    return int(text) if len(text) <= _MAX_DIGITS else _decimal(text)


_decode = json.JSONDecoder(parse_float=_decimal, parse_int=_integer, parse_constant=Decimal).decode
_encode = json.JSONEncoder(sort_keys=True, ensure_ascii=False, default=repr).encode


def canonical(value: Any) -> bytes:
    """The same bytes for the same JSON value, whatever its spacing and order of members."""
    return _encode(value).encode()


def parse_object(text: str | bytes) -> dict[str, Any]:
    """A JSON object without its null members: null means absent. Raises BadJson."""
    value = parse_json(text)
    if not isinstance(value, dict):
        raise BadJson("expected a JSON object")
    return {name: member for name, member in value.items() if member is not None}


def convert(value: Any, type_: type[T]) -> T:
    """A parsed value as ``type_``. Raises BadRequest, naming the field."""
    try:
        return msgspec.convert(value, type_, dec_hook=decode_number)
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
    what = _IN_WORDS.sub(lambda found: _WORDS[found[1]], what.replace(" | null", ""))
    what = what.replace("`", "")
    return f"{field}: {what[0].lower()}{what[1:]}" if field else what
