"""The settings: what they are called, what they may be, where a value came from.

This is the only reader of the environment. A flag beats the environment, the environment
beats the default; a value that is empty in the environment counts as not set.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from ipaddress import ip_address
from pathlib import Path
from textwrap import wrap
from typing import Annotated, Any, Literal, get_args

import msgspec
from msgspec import Meta
from yarl import URL

PREFIX = "VYOMO_RT_"
_FOR_TESTS = f"{PREFIX}TEST_"


class ConfigError(Exception):
    """The settings cannot be used; the message is one line and names the flag or variable."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """All that an operator may choose; made by `load`, which checks it.

    Each description is help text, and a part of what `default_env` prints.
    """

    host: Annotated[
        str | None,
        Meta(
            description="Address to listen on; not set: 127.0.0.1 and ::1, whichever exist.",
            extra={"expected": "a host name or an IP address"},
        ),
    ] = None
    port: Annotated[
        int, Meta(ge=0, le=65535, description="TCP port to listen on; 0 takes any free one.")
    ] = 4025
    data_dir: Annotated[
        Path,
        Meta(
            description="Folder of the embedded store; made when it is missing.",
            extra={"expected": "a folder"},
        ),
    ] = Path("vyomo-data")
    mongo_uri: Annotated[
        str | None,
        Meta(
            description=(
                "MongoDB to keep everything in; not set: a store embedded in this server. "
                "Other users of the machine can read a command line: "
                "a password belongs in the environment."
            ),
            extra={"expected": "mongodb://host[:port] or mongodb+srv://host", "secret": True},
        ),
    ] = None
    take_over: Annotated[
        bool,
        Meta(
            description=(
                "Take the MongoDB over from the server that writes to it, which then stops; "
                "otherwise a second server is refused."
            )
        ),
    ] = False
    feed: Annotated[
        Literal["ingest", "sim"],
        Meta(description="Where prices come from: pushed by a client (ingest) or simulated (sim)."),
    ] = "ingest"
    demo: Annotated[
        bool,
        Meta(description="Simulated prices and a session that trades by itself; implies feed sim."),
    ] = False
    seed: Annotated[
        str,
        Meta(
            description="Simulated prices are the same for the same seed.",
            extra={"expected": "any text"},
        ),
    ] = "vyomo"
    allow_open: Annotated[
        bool,
        Meta(
            description=(
                "Listen on an address other than loopback without access control: "
                "everybody who can reach it may watch and trade."
            )
        ),
    ] = False
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"],
        Meta(description="How much is logged to standard error."),
    ] = "info"
    allowed_origins: Annotated[
        tuple[str, ...],
        Meta(
            description="Web origins, besides the server's own, whose pages may use this server.",
            extra={"expected": "scheme://host[:port] or null (several separated by commas)"},
        ),
    ] = ()
    allowed_hosts: Annotated[
        tuple[str, ...],
        Meta(
            description="Names, besides localhost, under which this server may be addressed.",
            extra={"expected": "a host name without a port (several separated by commas)"},
        ),
    ] = ()
    stale_after_ms: Annotated[
        int,
        Meta(ge=1, le=86_400_000, description="How long a pushed price counts as fresh."),
    ] = 15_000
    max_connections: Annotated[
        int,
        Meta(ge=1, le=1_000_000, description="Streams open at one time, over all clients."),
    ] = 10_000
    max_symbols: Annotated[
        int, Meta(ge=1, le=100_000, description="Symbols that one connection may watch.")
    ] = 500
    max_message_bytes: Annotated[
        int,
        Meta(ge=1024, le=16_777_216, description="Longest message that a client may send."),
    ] = 65_536
    ping_interval_s: Annotated[
        float, Meta(ge=0.01, le=3600, description="Time between two pings to a WebSocket client.")
    ] = 25.0
    pong_timeout_s: Annotated[
        float,
        Meta(ge=0.01, le=3600, description="Time a WebSocket client has to answer a ping."),
    ] = 8.0
    sse_keep_alive_s: Annotated[
        float,
        Meta(ge=0.01, le=3600, description="Time between two keep-alive lines to an SSE client."),
    ] = 15.0
    slow_timeout_s: Annotated[
        float,
        Meta(ge=0.01, le=3600, description="Time a client may leave its messages unread."),
    ] = 10.0
    max_events_behind: Annotated[
        int,
        Meta(ge=1, le=1_000_000, description="Trade events that a client may be behind."),
    ] = 10_000

    def __repr__(self) -> str:
        """All values, without the password of the store: a repr ends up in logs."""
        values = ((field, getattr(self, field.name)) for field in FIELDS)
        return f"Settings({', '.join(f'{f.name}={f.without_secret(v)!r}' for f, v in values)})"


@dataclass(frozen=True, slots=True)
class Field:
    """One setting, as a person meets it."""

    name: str
    type: Any
    default: object
    description: str
    expected: str
    secret: bool

    @property
    def flag(self) -> str:
        """Its name on the command line (only some settings are there)."""
        return "--" + self.name.replace("_", "-")

    @property
    def variable(self) -> str:
        """Its name in the environment."""
        return PREFIX + self.name.upper()

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

    def without_secret(self, value: object) -> object:
        """A value that may be shown: the password of a URI is hidden."""
        return hide_password(value) if self.secret and isinstance(value, str) else value


@dataclass(frozen=True, slots=True)
class _Given:
    """A value that somebody set, and the flag or variable that says so."""

    source: str
    value: object


def load(flags: Mapping[str, object], environ: Mapping[str, str]) -> tuple[Settings, list[str]]:
    """Make the settings of `flags` (by field name; None is not given) and `environ`.

    Returns them with warnings for the operator, one line each. Raises ConfigError.
    """
    given = _given(flags, environ)
    values: dict[str, Any] = {
        field.name: _read(field, given[field.name]) for field in FIELDS if field.name in given
    }
    _let_demo_imply_sim(values, given)
    settings = Settings(**values)
    if settings.pong_timeout_s >= settings.ping_interval_s:
        name = "pong_timeout_s" if "pong_timeout_s" in given else "ping_interval_s"
        raise ConfigError(
            f"{given[name].source}: the time for a pong must be shorter than the time between "
            f"pings, got {settings.pong_timeout_s:g} and {settings.ping_interval_s:g} seconds"
        )
    if settings.take_over and settings.mongo_uri is None:
        raise ConfigError(
            f"{given['take_over'].source}: only a MongoDB (--mongo-uri, VYOMO_RT_MONGO_URI) can be "
            "taken over; the embedded store ends with its server: stop that one"
        )
    if not is_loopback(settings.host) and not settings.allow_open:
        raise ConfigError(
            f"{given['host'].source}: refusing to listen on {settings.host} without access "
            "control: add --allow-open (VYOMO_RT_ALLOW_OPEN=1) if everybody who can reach this "
            "address may watch and trade"
        )
    return settings, [*_warn_of_unknown(environ), *_warn_of_open(settings)]


def describe(settings: Settings, flags: Mapping[str, object], environ: Mapping[str, str]) -> str:
    """What `load` made of `flags` and `environ`: a table of name, value and where it is from.

    The password of the store is hidden.
    """
    given = _given(flags, environ)
    origins = {name: one.source for name, one in given.items()}
    if settings.demo and "feed" not in given:
        origins["feed"] = origins["demo"]
    rows = [
        (
            field.name,
            field.text(field.without_secret(getattr(settings, field.name))) or "(not set)",
            origins.get(field.name, "default"),
        )
        for field in FIELDS
    ]
    name_width, value_width = (max(len(row[column]) for row in rows) for column in (0, 1))
    return "\n".join(
        f"{name:<{name_width}}  {value:<{value_width}}  {origin}" for name, value, origin in rows
    )


def default_env() -> str:
    """A .env file that changes nothing: every setting with its default, commented out."""
    head = (
        "# Settings of vyomo-rt, for docker --env-file, systemd EnvironmentFile= and the like.\n"
        "# Every line shows a default; to change one, remove its # and edit what follows the =.\n"
    )
    return head + "".join(f"\n{_env_entry(field)}\n" for field in FIELDS)


def is_loopback(host: str | None) -> bool:
    """Whether only this machine can reach `host`; None is the default, which is loopback."""
    if host is None or host.lower() == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def hide_password(mongo_uri: str) -> str:
    """A MongoDB URI with `***` for everything that may be a secret.

    Where a badly escaped URI leaves doubt about where the password ends, too much is hidden.
    """
    without_password = re.sub(r"(?s)^([^:]*://[^:]*:).*@", r"\1***@", mongo_uri)
    return re.sub(
        r"(?is)([?&;][^=&;]*(?:password|properties)[^=&;]*=)[^&;]*", r"\1***", without_password
    )


def _env_entry(field: Field) -> str:
    about = wrap(f"{field.description} Expected: {field.expected}.", 90)
    return "\n".join(
        [*(f"# {line}" for line in about), f"#{field.variable}={field.text(field.default)}"]
    )


def _given(flags: Mapping[str, object], environ: Mapping[str, str]) -> dict[str, _Given]:
    unknown = flags.keys() - {field.name for field in FIELDS}
    if unknown:
        raise TypeError(f"not settings: {', '.join(sorted(unknown))}")
    given: dict[str, _Given] = {}
    for field in FIELDS:
        in_environ = environ.get(field.variable, "").strip()
        if (flag := flags.get(field.name)) is not None:
            given[field.name] = _Given(field.flag, flag)
        elif in_environ:
            given[field.name] = _Given(field.variable, in_environ)
    return given


def _read(field: Field, given: _Given) -> object:
    if isinstance(given.value, str) and not given.value.isprintable():
        raise ConfigError(f"{given.source}: contains a character that cannot be printed")
    if isinstance(field.default, tuple):
        return tuple(_read_one(field, given.source, item) for item in _items(given.value))
    return _read_one(field, given.source, given.value)


def _read_one(field: Field, source: str, value: object) -> object:
    read = _READERS.get(field.name)
    try:
        return read(str(value)) if read else msgspec.convert(value, field.type, strict=False)
    except (ValueError, msgspec.ValidationError) as problem:
        got = "something else (not shown: it may hold a password)" if field.secret else repr(value)
        raise ConfigError(f"{source}: expected {field.expected}, got {got:.200}") from problem


def _items(value: object) -> Iterable[str]:
    """The parts of a comma separated list; a trailing comma or a blank is no part."""
    parts = str(value).split(",")
    return filter(None, (part.strip() for part in parts))


def _host(text: str) -> str:
    """A listening address, without the brackets that an IPv6 address has in a URL."""
    host = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    if not re.fullmatch(r"[\w.:%-]+", host) or _is_name_with_port(host):
        raise ValueError(host)
    return host


def _is_name_with_port(host: str) -> bool:
    return host.count(":") == 1


def _mongo_uri(text: str) -> str:
    """Only the beginning is checked here; the driver knows the rest."""
    if not re.match(r"mongodb(\+srv)?://[^/]", text):
        raise ValueError("not a MongoDB URI")
    return text


def _folder(text: str) -> Path:
    if not text:
        raise ValueError(text)
    return Path(text)


def _origin(text: str) -> str:
    """An origin the way browsers send it: lower case, without the scheme's own port."""
    if text == "null":
        return text
    url = URL(text)
    _host_of(url)
    return str(url.origin())


def _host_name(text: str) -> str:
    url = URL(f"http://{text}")
    if url.explicit_port is not None:
        raise ValueError(text)
    return _host_of(url)


def _host_of(url: URL) -> str:
    """The host of a URL that holds nothing besides a scheme, a host and a port."""
    host = url.raw_host or ""
    is_bare = url.raw_user is None and url.raw_password is None and url.raw_path_qs in {"", "/"}
    if not is_bare or url.raw_fragment or not re.fullmatch(r"[a-z0-9._:-]+", host):
        raise ValueError(str(url))
    return host


_READERS: Mapping[str, Callable[[str], object]] = {
    "host": _host,
    "data_dir": _folder,
    "mongo_uri": _mongo_uri,
    "seed": str,
    "allowed_origins": _origin,
    "allowed_hosts": _host_name,
}


def _let_demo_imply_sim(values: dict[str, Any], given: Mapping[str, _Given]) -> None:
    if not values.get("demo"):
        return
    if values.setdefault("feed", "sim") != "sim":
        raise ConfigError(
            f"{given['feed'].source}: {values['feed']} cannot go with {given['demo'].source}, "
            "which simulates prices: leave one of them out"
        )


def _warn_of_open(settings: Settings) -> Iterable[str]:
    if not is_loopback(settings.host):
        yield (
            f"listening on {settings.host} without access control (allow_open is set): "
            "everybody who can reach this address may watch and trade"
        )


def _warn_of_unknown(environ: Mapping[str, str]) -> Iterable[str]:
    known = {field.variable for field in FIELDS}
    for name in sorted(environ):
        if name.startswith(PREFIX) and not name.startswith(_FOR_TESTS) and name not in known:
            yield f"{name!a} is not a setting and has no effect; {_meant_by(name)}"


def _meant_by(variable: str) -> str:
    suffix = variable.removeprefix(PREFIX).upper()
    near = get_close_matches(suffix, [field.name.upper() for field in FIELDS], n=1)
    return f"did you mean {PREFIX}{near[0]}?" if near else "`vyomo-rt default-env` lists them all"


def _field(info: msgspec.structs.FieldInfo) -> Field:
    meta: Meta = get_args(info.type)[1]
    extra = meta.extra or {}
    return Field(
        name=info.name,
        type=info.type,
        default=info.default,
        description=meta.description or "",
        expected=extra.get("expected") or _expected(info.type),
        secret=extra.get("secret", False),
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


FIELDS: tuple[Field, ...] = tuple(map(_field, msgspec.structs.fields(Settings)))
