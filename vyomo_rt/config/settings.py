"""Every setting: its name, its limits, its default, and what it means."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import msgspec
from msgspec import Meta

from vyomo_rt.config.values import hide_password

PREFIX = "VYOMO_RT_"


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything an operator may choose; made by `load`, which checks it.

    Each description is help text, and part of what `default_env` prints. ``flag`` names the
    commands that also take the setting on the command line: ``serve``, or all that open the
    ``store``.
    """

    host: Annotated[
        str | None,
        Meta(
            description="Address to listen on; if not set, 127.0.0.1 and ::1, whichever exist.",
            extra={"expected": "a host name or an IP address", "flag": "serve"},
        ),
    ] = None
    port: Annotated[
        int,
        Meta(
            ge=0,
            le=65535,
            description="TCP port to listen on; 0 takes any free one.",
            extra={"flag": "serve"},
        ),
    ] = 4025
    data_dir: Annotated[
        Path,
        Meta(
            description="Folder of the embedded store; created if it is missing.",
            extra={"expected": "a folder", "flag": "store"},
        ),
    ] = Path("vyomo-data")
    mongo_uri: Annotated[
        str | None,
        Meta(
            description=(
                "MongoDB to keep everything in; if not set, a store embedded in this server. "
                "Other users of the machine can read a command line: "
                "put a password into the environment."
            ),
            extra={
                "expected": "mongodb://host[:port] or mongodb+srv://host",
                "secret": True,
                "flag": "store",
            },
        ),
    ] = None
    take_over: Annotated[
        bool,
        Meta(
            description=(
                "Take the MongoDB over from the server that writes to it, which then stops; "
                "otherwise a second server is refused."
            ),
            extra={"flag": "serve"},
        ),
    ] = False
    feed: Annotated[
        tuple[str, ...],
        Meta(
            description=(
                "Where prices come from, the best first: pushed by a client (ingest), simulated "
                "(sim), Yahoo Finance or NSE's site (yahoo, nse: for personal use, and maybe "
                "late), Zerodha's Kite Connect (kite), or an OpenAlgo server (openalgo). "
                "Of several, the first that is fresh is used for each symbol."
            ),
            extra={
                "expected": (
                    "ingest, kite, nse, openalgo, sim, yahoo or a feed of another package "
                    "(several separated by commas)"
                ),
                "flag": "store",
            },
        ),
    ] = ("ingest",)
    yahoo_url: Annotated[
        str,
        Meta(
            description="Where the feed yahoo asks, if a gateway of yours answers in its place.",
            extra={"expected": "http:// or https:// with a host, perhaps a path"},
        ),
    ] = "https://query1.finance.yahoo.com"
    nse_url: Annotated[
        str,
        Meta(
            description="Where the feed nse asks, if a gateway of yours answers in its place.",
            extra={"expected": "http:// or https:// with a host, perhaps a path"},
        ),
    ] = "https://www.nseindia.com"
    kite_url: Annotated[
        str,
        Meta(
            description="Where the feed kite connects to.",
            extra={"expected": "wss://, ws://, https:// or http:// with a host, perhaps a path"},
        ),
    ] = "wss://ws.kite.trade"
    kite_api_key: Annotated[
        str | None,
        Meta(
            description="The key of your app at Kite Connect, for the feed kite.",
            extra={"expected": "a key", "secret": True, "key": True},
        ),
    ] = None
    kite_access_token: Annotated[
        str | None,
        Meta(
            description="What Kite Connect gives when you log in; it lasts for one trading day.",
            extra={"expected": "a token", "secret": True, "key": True},
        ),
    ] = None
    kite_instruments: Annotated[
        Path | None,
        Meta(
            description=(
                "File with Kite's list of instruments, as https://api.kite.trade/instruments "
                "gives it: the tokens of stocks, futures and options, for the feed kite."
            ),
            extra={"expected": "a file"},
        ),
    ] = None
    openalgo_url: Annotated[
        str,
        Meta(
            description="The WebSocket of the OpenAlgo server, for the feed openalgo.",
            extra={"expected": "wss://, ws://, https:// or http:// with a host, perhaps a path"},
        ),
    ] = "ws://127.0.0.1:8765"
    openalgo_api_key: Annotated[
        str | None,
        Meta(
            description="The API key that your OpenAlgo server shows, for the feed openalgo.",
            extra={"expected": "a key", "secret": True, "key": True},
        ),
    ] = None
    symbol_names: Annotated[
        Path | None,
        Meta(
            description=(
                "File with what feeds call symbols, over the names that are built in: a JSON "
                'object such as {"yahoo": {"NIFTY": "^NSEI"}, "kite": {"NIFTY": 256265}}.'
            ),
            extra={"expected": "a file"},
        ),
    ] = None
    demo: Annotated[
        bool,
        Meta(
            description="Simulated prices and a session that trades by itself; implies feed sim.",
            extra={"flag": "store"},
        ),
    ] = False
    seed: Annotated[
        str,
        Meta(
            description="The same seed gives the same simulated prices.",
            extra={"expected": "any text"},
        ),
    ] = "vyomo"
    allow_open: Annotated[
        bool,
        Meta(
            description=(
                "Listen on an address other than loopback without access control: "
                "everybody who can reach it may watch and trade."
            ),
            extra={"flag": "serve"},
        ),
    ] = False
    auth_key: Annotated[
        str | None,
        Meta(
            description=(
                "Key with which tokens are signed (HS256): with it, callers need a token. "
                "`vyomo-rt keygen` makes one."
            ),
            extra={"expected": "at least 16 characters, better 32", "secret": True, "key": True},
        ),
    ] = None
    auth_public_keys: Annotated[
        tuple[str, ...],
        Meta(
            description="PEM files with public keys of who signs tokens (RS256, ES256, EdDSA).",
            extra={"expected": "a file (several separated by commas)", "file": True},
        ),
    ] = ()
    auth_jwks_url: Annotated[
        str | None,
        Meta(
            description="Where an identity provider publishes its public keys.",
            extra={
                "expected": "https:// with a host, or http:// on loopback",
                "secret": True,
            },
        ),
    ] = None
    auth_previous_key: Annotated[
        str | None,
        Meta(
            description="The key before auth_key, whose tokens are still good for a while.",
            extra={"expected": "at least 16 characters, better 32", "secret": True, "key": True},
        ),
    ] = None
    auth_previous_key_until: Annotated[
        int | None,
        Meta(
            description="Until when auth_previous_key counts.",
            extra={"expected": "a moment as in 2026-11-26T18:00:00Z, or in epoch milliseconds"},
        ),
    ] = None
    auth_audience: Annotated[
        str | None,
        Meta(
            description="Whom tokens must be for (aud); not set: anybody.",
            extra={"expected": "any text"},
        ),
    ] = None
    auth_issuer: Annotated[
        str | None,
        Meta(
            description="Who must have issued tokens (iss); not set: anybody.",
            extra={"expected": "any text"},
        ),
    ] = None
    auth_token_life_s: Annotated[
        int,
        Meta(ge=60, le=31_536_000, description="Longest life of a token, from iat to exp."),
    ] = 86_400
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"],
        Meta(description="How much is logged to standard error.", extra={"flag": "store"}),
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
    trade_on_delayed: Annotated[
        bool,
        Meta(
            description=(
                "Count a price as fresh from its arrival, however old it says it is, so that "
                "delayed prices trigger stops and targets: for paper trading."
            ),
            extra={"flag": "serve"},
        ),
    ] = False
    market_hours: Annotated[
        bool,
        Meta(
            description=(
                "Let indices, stocks and contracts that are known follow the exchange's hours: "
                "outside them the last price is the close and stale, and the feed need not tick."
            ),
            extra={"flag": "serve"},
        ),
    ] = False
    calendar: Annotated[
        Path | None,
        Meta(
            description=(
                "File with holidays, special sessions and hours of the exchange, over those that "
                "are built in; not set: calendar.json in the data folder, if it is there."
            ),
            extra={"expected": "a file", "flag": "serve"},
        ),
    ] = None
    max_connections: Annotated[
        int,
        Meta(ge=1, le=1_000_000, description="Streams open at a time, across all clients."),
    ] = 10_000
    max_connections_per_address: Annotated[
        int,
        Meta(
            ge=1,
            le=1_000_000,
            description=(
                "Connections that one address (of IPv6: one /64 network) may have open; "
                "this machine's own are not counted."
            ),
        ),
    ] = 200
    max_connections_per_subject: Annotated[
        int,
        Meta(ge=1, le=1_000_000, description="Streams that the tokens of one sub may have open."),
    ] = 50
    failed_tokens_per_minute: Annotated[
        int,
        Meta(
            ge=1,
            le=1_000_000,
            description="Bad tokens that one address may send; then it has to wait.",
        ),
    ] = 30
    calls_per_s: Annotated[
        int,
        Meta(
            ge=1,
            le=1_000_000,
            description="REST calls a second of the tokens of one sub, in the long run.",
        ),
    ] = 50
    call_burst: Annotated[
        int, Meta(ge=1, le=1_000_000, description="REST calls that they may make at once.")
    ] = 100
    audit_entries: Annotated[
        int,
        Meta(
            ge=1000,
            le=100_000_000,
            description="How many sign-ins, refusals and the like are kept, with a key.",
        ),
    ] = 100_000
    trusted_proxy: Annotated[
        tuple[str, ...],
        Meta(
            description=(
                "Proxies in front of this server, which add their client's address to "
                "X-Forwarded-For or Forwarded; nobody else's word is taken for it."
            ),
            extra={
                "expected": "an address or a network such as 10.0.0.0/8 (several separated by "
                "commas)",
                "flag": "serve",
            },
        ),
    ] = ()
    accepts_per_s: Annotated[
        int,
        Meta(
            ge=1, le=1_000_000, description="New connections a second; the others wait their turn."
        ),
    ] = 500
    messages_per_s: Annotated[
        int,
        Meta(
            ge=1,
            le=1_000_000,
            description=(
                "Messages a second that one WebSocket may send in the long run; "
                "what is beyond that is read more slowly."
            ),
        ),
    ] = 20
    message_burst: Annotated[
        int, Meta(ge=1, le=1_000_000, description="Messages that it may send at once.")
    ] = 40
    request_timeout_s: Annotated[
        float,
        Meta(ge=0.01, le=3600, description="Time a client has to send a request, body included."),
    ] = 10.0
    idle_timeout_s: Annotated[
        float,
        Meta(ge=0.01, le=3600, description="Time a connection may wait for its next request."),
    ] = 75.0
    max_symbols: Annotated[
        int, Meta(ge=1, le=100_000, description="Symbols that one connection may watch.")
    ] = 500
    max_open_trades: Annotated[
        int, Meta(ge=1, le=1_000_000, description="Trades that one session may have open.")
    ] = 1000
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

    @property
    def has_key(self) -> bool:
        """Whether callers need a token."""
        return bool(self.auth_key or self.auth_public_keys or self.auth_jwks_url)

    @property
    def is_simulated(self) -> bool:
        """Whether prices are simulated; then they have a database of their own."""
        return "sim" in self.feed

    def __repr__(self) -> str:
        """All values, without passwords and keys, because a repr ends up in logs."""
        values = ((field, getattr(self, field.name)) for field in FIELDS)
        return f"Settings({', '.join(f'{f.name}={f.without_secret(v)!r}' for f, v in values)})"


@dataclass(frozen=True, slots=True)
class Field:
    """One setting, as a person sees it."""

    name: str
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
        return "--" + self.name.replace("_", "-")

    @property
    def variable(self) -> str:
        """Its name in the environment."""
        return PREFIX + self.name.upper()

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


FIELDS: tuple[Field, ...] = tuple(map(_field, msgspec.structs.fields(Settings)))
