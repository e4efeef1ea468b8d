"""Every setting: its name, its default, and what it means."""

from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta

from vyomo_rt.config.fields import Field, fields_of
from vyomo_rt.config.limits import Limits
from vyomo_rt.domain.event import EventKind


class Settings(Limits, frozen=True, kw_only=True):
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
    nats_url: Annotated[
        str | None,
        Meta(
            description=(
                "NATS between several servers that share one MongoDB (mongo_uri); "
                "if not set, this server is alone."
            ),
            extra={
                "expected": "nats://host[:port] or tls://host (several separated by commas)",
                "secret": True,
            },
        ),
    ] = None
    nats_credentials_file: Annotated[
        Path | None,
        Meta(
            description="File that lets this server into NATS: a .creds file, or an nkey's seed.",
            extra={"expected": "a file"},
        ),
    ] = None
    nats_ca_file: Annotated[
        Path | None,
        Meta(
            description="Certificates by which NATS is known, in place of the system's.",
            extra={"expected": "a file"},
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
                "late), Zerodha's Kite Connect (kite), an OpenAlgo server (openalgo), or a "
                "recorded day (replay:FILE). "
                "Of several, the first that is fresh is used for each symbol."
            ),
            extra={
                "expected": (
                    "ingest, kite, nse, openalgo, replay:FILE, sim, yahoo or a feed of another "
                    "package "
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
    notify_url: Annotated[
        str | None,
        Meta(
            description=(
                "Where to post what happens in all sessions, as JSON; not set: nowhere. "
                "A dead receiver holds up nothing; it is told later."
            ),
            extra={
                "expected": "http:// or https:// with a host, perhaps a path and a query",
                "secret": True,
                "key": True,
            },
        ),
    ] = None
    notify_key: Annotated[
        str | None,
        Meta(
            description="Key with which these notices are signed (HMAC-SHA256).",
            extra={"expected": "at least 16 characters, better 32", "secret": True, "key": True},
        ),
    ] = None
    notify_types: Annotated[
        tuple[str, ...],
        Meta(
            description="Which messages are posted: numbered ones, and feed_status.",
            extra={"expected": "message types, separated by commas"},
        ),
    ] = (*(kind.value for kind in EventKind), "feed_status")
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
    speed: Annotated[
        str,
        Meta(
            description="How much faster than on its day a record is played; max: at once.",
            extra={"expected": "a number from 0.1 to 1000, or max", "flag": "serve"},
        ),
    ] = "1"
    start_at: Annotated[
        str | None,
        Meta(
            description=(
                "From when on, in India, a record is played at its speed: what was before is "
                "played at once."
            ),
            extra={"expected": "a time such as 09:15", "flag": "serve", "called": "from"},
        ),
    ] = None
    record: Annotated[
        Path | None,
        Meta(
            description=(
                "File to record every accepted tick into, a new one each trading day; packed if "
                "it ends in .gz, or in .zst (with the extra zstd)."
            ),
            extra={"expected": "a file", "flag": "serve"},
        ),
    ] = None
    with_commands: Annotated[
        bool,
        Meta(
            description="Record the calls that make or change something, too.",
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

    @property
    def has_key(self) -> bool:
        """Whether callers need a token."""
        return bool(self.auth_key or self.auth_public_keys or self.auth_jwks_url)

    @property
    def is_simulated(self) -> bool:
        """Whether prices are simulated."""
        return "sim" in self.feed

    @property
    def replays(self) -> Path | None:
        """The record that is played, if one is."""
        prefix = "replay:"
        paths = (name.removeprefix(prefix) for name in self.feed if name.startswith(prefix))
        return next(map(Path, paths), None)

    @property
    def kind_of_prices(self) -> Literal["real", "simulated", "demo", "replayed"]:
        """Each kind has a database of its own: trades on one never meet prices of another."""
        if self.replays is not None:
            return "replayed"
        if self.demo:
            return "demo"
        return "simulated" if self.is_simulated else "real"

    def __repr__(self) -> str:
        """All values, without passwords and keys, because a repr ends up in logs."""
        values = ((field, getattr(self, field.name)) for field in FIELDS)
        return f"Settings({', '.join(f'{f.name}={f.without_secret(v)!r}' for f, v in values)})"


FIELDS: tuple[Field, ...] = (*fields_of(Settings, but=Limits), *fields_of(Limits))
