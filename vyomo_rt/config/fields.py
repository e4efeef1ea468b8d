"""The settings as a person sees them: names, flags, and what a value looks like."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import msgspec
from msgspec import Meta

from vyomo_rt.config.values import hide_password

PREFIX = "VYOMO_RT_"


@dataclass(frozen=True, slots=True)
class Field:
    """One setting, as a person sees it."""

    name: str
    called: str
    """As flags and variables spell it."""
    type: Any
    default: object
    description: str
    expected: str
    secret: bool
    is_key: bool
    """Whether it is a secret as a whole, and taken exactly as it is written."""
    has_file: bool
    """Whether a file may hold it, as it may any secret."""
    flag_of: Literal["serve", "store"] | None
    """The commands that take it as a flag: `serve`, or all that open the store; None: none."""

    @property
    def flag(self) -> str:
        """Its name on the command line, if it is there."""
        return "--" + self.called.replace("_", "-")

    @property
    def variable(self) -> str:
        """Its name in the environment."""
        return PREFIX + self.called.upper()

    @property
    def holds_path(self) -> bool:
        """Whether it is a file or a folder."""
        kind = get_args(self.type)[0]
        return Path in (kind, *get_args(kind))

    def text(self, value: object) -> str:
        """A value as the environment would hold it."""
        match value:
            case None:
                return ""
            case bool():
                return str(int(value))
            case float():
                return str(value).removesuffix(".0")
            case tuple():
                return ",".join(value)
        return str(value)

    @property
    def file_variable(self) -> str | None:
        """The variable that names a file with its value, if it may be in one."""
        return f"{self.variable}_FILE" if self.secret or self.has_file else None

    def without_secret(self, value: object) -> object:
        """A value that may be shown: a key is hidden, and the password of a URI."""
        if not self.secret or not isinstance(value, str):
            return value
        return hide_password(value) if "://" in value and not self.is_key else "***"


def _field(info: msgspec.structs.FieldInfo) -> Field:
    meta: Meta = get_args(info.type)[1]
    extra = meta.extra or {}
    return Field(
        name=info.name,
        called=extra.get("called", info.name),
        type=info.type,
        default=info.default,
        description=meta.description or "",
        expected=extra.get("expected") or _expected(info.type),
        secret=extra.get("secret", False),
        is_key=extra.get("key", False),
        has_file=extra.get("file", False),
        flag_of=extra.get("flag"),
    )


def _expected(type_: object) -> str:
    """What a value of this type looks like, in words."""
    info = msgspec.inspect.type_info(type_)
    while isinstance(info, msgspec.inspect.Metadata):
        info = info.type
    match info:
        case msgspec.inspect.IntType(ge=low, le=high):
            return f"an integer from {low} to {high}"
        case msgspec.inspect.FloatType(ge=low, le=high):
            return f"a number from {low:g} to {high:g}"
        case msgspec.inspect.LiteralType():
            return "one of " + ", ".join(get_args(get_args(type_)[0]))
        case msgspec.inspect.BoolType():
            return "1 or 0"
    raise TypeError(f"no words for {type_}")


def fields_of(
    group: type[msgspec.Struct], *, but: type[msgspec.Struct] | None = None
) -> tuple[Field, ...]:
    """The settings of a group, in their order, without those of another."""
    left_out = but.__struct_fields__ if but else ()
    infos = msgspec.structs.fields(group)
    return tuple(_field(info) for info in infos if info.name not in left_out)
