"""From JSON text to typed values, with errors that name the field and the fix."""

from __future__ import annotations

import decimal
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal, InvalidOperation
from difflib import get_close_matches
from functools import cache, partial
from typing import Any, TypeVar

import msgspec
from msgspec import Struct, inspect

from vyomo_rt.domain.errors import BadJson, BadRequest, LimitExceeded
from vyomo_rt.wire.numbers import decode_number

T = TypeVar("T")
S = TypeVar("S", bound=Struct)

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
_MISSING = re.compile(r"Object missing required field `(?P<field>[^`]+)`")
_UNKNOWN = re.compile(r"Object contains unknown field `(?P<field>.*)`", re.DOTALL)
_STEP = re.compile(r"\[[^\]]*\]|[^.\[]+")
_NO_CHOICE = re.compile(r"Invalid enum value (?P<value>.*)", re.DOTALL)
_SHOWN_CHARACTERS = 40
_LONGEST_ERROR = 1000
_SPACE = " \t\r\n"
MAX_VALUES = 1000
"""Commas in a body: a wider one would take long to read, and no call needs it."""
_MAX_DIGITS = 300
"""A longer number is out of any range; reading an integer takes the square of its length."""

_EXACT = decimal.Context(
    prec=decimal.MAX_PREC, Emax=decimal.MAX_EMAX, Emin=decimal.MIN_EMIN, traps=[]
)


class Body(Struct, rename="camel", forbid_unknown_fields=True):
    """What a client sends; null members count as absent, unknown ones are refused."""


class Nothing(Body):
    """The body of a call that needs none."""


def parse_json(text: str | bytes, *, unique: bool = False) -> Any:
    """Any JSON value; decimals stay exact. Raises BadJson, and BadRequest as `parse_first`.

    NaN and Infinity, which are not JSON but which some clients write, and numbers out of
    any range become Decimals that no field accepts, so that the refusal can name the field.
    """
    value, rest = parse_first(text, unique=unique)
    if rest:
        raise trailing(rest)
    return value


def trailing(rest: str) -> BadJson:
    """The refusal of a text that continues after its JSON value."""
    return BadJson(f"not valid JSON: more text follows its end: {rest[:_SHOWN_CHARACTERS]!r}")


def parse_first(text: str | bytes, *, unique: bool = False) -> tuple[Any, str]:
    """The JSON value at the beginning of a text, and what follows it. Raises BadJson.

    ``unique`` refuses a member that comes twice, by BadRequest: one of the two is a mistake.
    Otherwise the last one counts, as in JavaScript.
    """
    try:
        if isinstance(text, bytes):
            text = text.decode(json.detect_encoding(text))
        text = text.strip(_SPACE)
        value, end = (_decode_unique if unique else _decode)(text)
        if "\\ud" in text or "\\uD" in text:
            # A lone surrogate is valid JSON but not Unicode text: nothing could store or send it.
            exact_form(value)
    except RecursionError:
        raise BadJson("the JSON is nested too deeply") from None
    except ValueError as error:
        raise BadJson(f"not valid JSON: {error}") from None
    return value, text[end:]


def _decimal(text: str) -> Decimal:
    try:
        return Decimal(text if len(text) <= _MAX_DIGITS else "Infinity")
    except InvalidOperation:
        return Decimal("Infinity")


def _integer(text: str) -> int | Decimal:
    return int(text) if len(text) <= _MAX_DIGITS else _decimal(text)


def _unique(members: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of these members. Raises BadRequest."""
    found = dict(members)
    if len(found) < len(members):
        names = [name for name, _ in members]
        raise given_twice(next(name for name in names if names.count(name) > 1))
    return found


def given_twice(name: str) -> BadRequest:
    """The refusal of a member, parameter or header that must come once."""
    return BadRequest(f"{_shown(name)}: given twice; give it once", name[:_SHOWN_CHARACTERS])


_decoder = partial(
    json.JSONDecoder, parse_float=_decimal, parse_int=_integer, parse_constant=Decimal
)
_decode = _decoder().raw_decode
_decode_unique = _decoder(object_pairs_hook=_unique).raw_decode


def _by_value(number: Decimal) -> int | str:
    """One spelling for all those of a number: 195.250 is 195.25, and 1e2 is 100."""
    shortest = _EXACT.normalize(number)
    if not shortest:
        return 0
    is_whole = shortest.is_finite() and shortest == shortest.to_integral_value(context=_EXACT)
    # Longer integers are Decimals, too.
    return int(shortest) if is_whole and shortest.adjusted() < _MAX_DIGITS else repr(shortest)


_encode = json.JSONEncoder(sort_keys=True, ensure_ascii=False, default=_by_value).encode
_encode_exactly = json.JSONEncoder(sort_keys=True, ensure_ascii=False, default=repr).encode


def canonical(value: Any) -> bytes:
    """The same bytes for the same JSON value, whatever its spacing and order of members.

    Numbers are compared by value. Raises BadJson.
    """
    try:
        return _encode(value).encode()
    except RecursionError:
        raise BadJson("the JSON is nested too deeply") from None


def exact_form(value: Any) -> bytes:
    """As ``canonical``, but a decimal with another spelling is another value."""
    return _encode_exactly(value).encode()


def parse_object(text: str | bytes, *, unique: bool = False) -> dict[str, Any]:
    """A JSON object without its null members: null means absent. Raises as `parse_json`."""
    return without_null(_object(text, unique=unique))


def _object(text: str | bytes, *, unique: bool) -> dict[str, Any]:
    value = parse_json(text, unique=unique)
    if not isinstance(value, dict):
        raise BadJson("expected a JSON object")
    return value


def without_null(members: dict[str, Any]) -> dict[str, Any]:
    """The members that count: null means absent."""
    return {name: member for name, member in members.items() if member is not None}


def parse_body(body: bytes) -> dict[str, Any]:
    """A body that is one JSON object.

    Raises BadJson, BadRequest or LimitExceeded.
    """
    if body.count(b",") > MAX_VALUES:
        raise LimitExceeded(f"the body has more than {MAX_VALUES} values", "body")
    return _object(body, unique=True)


def convert_body(members: dict[str, Any], type_: type[S]) -> S:
    """A body as ``type_``, in which null means absent. Raises BadRequest, naming the field."""
    known = type_.__struct_encode_fields__
    given = {name: it for name, it in members.items() if it is not None or name not in known}
    try:
        return convert(given, type_)
    except BadRequest as error:
        error.field = error.field or "body"
        raise


def convert(value: Any, type_: type[T]) -> T:
    """A parsed value as ``type_``. Raises BadRequest, naming the field."""
    try:
        return msgspec.convert(value, type_, dec_hook=decode_number)
    except msgspec.ValidationError as error:
        raise _in_words(str(error), type_) from None


def _in_words(what: str, type_: Any) -> BadRequest:
    """A validation error in words that begin with the field."""
    if len(what) > _LONGEST_ERROR:
        # It contains a client's name, which may fill the body: patterns would take long.
        what = what[: _LONGEST_ERROR // 2] + what[-_LONGEST_ERROR // 2 :]
    field = ""
    if match := _PATH.fullmatch(what):
        what, field = match["what"], match["field"]
    above, path = f"{field}." if field else "", _STEP.findall(field)
    if match := _MISSING.fullmatch(what):
        name = above + match["field"]
        return BadRequest(f"{name} is required", name)
    if match := _UNKNOWN.fullmatch(what):
        return unknown(match["field"], _choices(type_, path), above)
    if match := _NO_CHOICE.fullmatch(what):
        *choices, last = _choices(type_, path)
        what = (
            f"expected {', '.join(choices)}{' or ' if choices else ''}{last}, got {match['value']}"
        )
    what = what.replace(" | null", "").replace(" | ", " or ")
    what = _IN_WORDS.sub(lambda found: _WORDS[found[1]], what).replace("`", "")
    if not field:
        return BadRequest(what)
    return BadRequest(f"{field}: {what[0].lower()}{what[1:]}", field.partition("[")[0])


_described = cache(inspect.type_info)


def _choices(type_: Any, path: Sequence[str]) -> list[str]:
    """What there is to choose from at a path of a type: names of members, or values.

    A number or an array beside them is a choice, too.
    """
    names: list[str] = []
    for found in _at(_described(type_), path):
        match found:
            case inspect.StructType():
                names += [field.encode_name for field in found.fields]
            case inspect.EnumType():
                names += [str(member.value) for member in found.cls]
            case inspect.LiteralType():
                names += map(str, found.values)
            case inspect.FloatType():
                names.append("a number")
            case inspect.ListType():
                names.append("array")
    return names


def _at(type_: inspect.Type, path: Sequence[str]) -> Iterator[inspect.Type]:
    """The types of what may stand at a path of a type."""
    match type_:
        case inspect.Metadata():
            yield from _at(type_.type, path)
        case inspect.UnionType():
            for each in type_.types:
                yield from _at(each, path)
        case inspect.ListType(item_type=below) | inspect.DictType(value_type=below) if path:
            yield from _at(below, path[1:])
        case inspect.StructType() if path:
            for field in type_.fields:
                if field.encode_name == path[0]:
                    yield from _at(field.type, path[1:])
        case _:
            yield type_


def kinds_of(type_: inspect.Type) -> set[type[inspect.Type]]:
    """What a value of a type may be: an `inspect.IntType`, an `inspect.ListType`, and so on."""
    match type_:
        case inspect.Metadata():
            return kinds_of(type_.type)
        case inspect.UnionType():
            return {kind for each in type_.types for kind in kinds_of(each)}
    return {type(type_)}


@cache
def members_of(type_: type[Struct], kind: type[inspect.Type]) -> frozenset[str]:
    """The JSON names of the members that may be of a kind, and no text instead."""
    described = _described(type_)
    assert isinstance(described, inspect.StructType)
    kinds = {field.encode_name: kinds_of(field.type) for field in described.fields}
    return frozenset(
        name for name, each in kinds.items() if kind in each and inspect.StrType not in each
    )


def unknown(name: str, known: Iterable[str], above: str = "") -> BadRequest:
    """The refusal of an unknown member or parameter, with what was probably meant.

    ``above`` is the path to it, if it is not at the top level.
    """
    name = name[:_SHOWN_CHARACTERS]
    spelled = {_plain(each): each for each in known}
    close = get_close_matches(_plain(name), spelled, n=1)
    if close:
        hint = f"did you mean {spelled[close[0]]}?"
    else:
        hint = f"known are {', '.join(spelled.values())}" if spelled else "none is allowed here"
    return BadRequest(f"{above}{_shown(name)}: unknown; {hint}", above + name)


def _shown(name: str) -> str:
    """A name in a text, quoted if nothing of it would be visible."""
    return name[:_SHOWN_CHARACTERS] if name.strip() else repr(name[:_SHOWN_CHARACTERS])


def _plain(name: str) -> str:
    """A name without what spellings differ in: stop_loss and stopLoss are the same."""
    return name.replace("_", "").replace("-", "").casefold()
