"""Reads settings from flags and environment; the only place that gets the environment."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import msgspec

from vyomo_rt.config.fields import PREFIX, Field
from vyomo_rt.config.settings import FIELDS, Settings
from vyomo_rt.config.values import (
    READERS,
    SAFE_KEY_BYTES,
    NotUsable,
    hide_password,
    is_loopback,
)
from vyomo_rt.domain.errors import CannotStart

_FOR_TESTS = f"{PREFIX}TEST_"


class ConfigError(CannotStart):
    """The settings cannot be used; the message names the flag or variable."""

    exit_code = 2


@dataclass(frozen=True, slots=True)
class Given:
    """A value that somebody set, and the flag or variable that set it."""

    source: str
    value: object


def load(flags: Mapping[str, object], environ: Mapping[str, str]) -> tuple[Settings, list[str]]:
    """The settings from `flags` (by field name; None is not given) and `environ`.

    Returns them with one-line warnings for the operator. Raises ConfigError.
    """
    given = given_by(flags, environ)
    values: dict[str, Any] = {
        field.name: _read(field, given[field.name]) for field in FIELDS if field.name in given
    }
    _let_demo_imply_sim(values, given)
    settings = Settings(**values)
    _require_agreement(settings, given)
    return settings, [
        *_warn_of_unknown(environ),
        *_warn_of_open(settings),
        *_warn_of_short_keys(settings, given),
        *_warn_of_delayed(settings),
    ]


def _require_agreement(settings: Settings, given: Mapping[str, Given]) -> None:
    """Raise ConfigError if settings, each valid by itself, do not fit together."""
    if settings.pong_timeout_s >= settings.ping_interval_s:
        name = "pong_timeout_s" if "pong_timeout_s" in given else "ping_interval_s"
        raise ConfigError(
            f"{given[name].source}: the time for a pong must be shorter than the time between "
            f"pings, got {settings.pong_timeout_s:g} and {settings.ping_interval_s:g} seconds"
        )
    _require_feeds_that_go_together(settings, given)
    if settings.trade_on_delayed and settings.is_simulated:
        raise ConfigError(
            f"{given['trade_on_delayed'].source}: simulated prices are never delayed: leave it out"
        )
    if settings.take_over and settings.mongo_uri is None:
        raise ConfigError(
            f"{given['take_over'].source}: only a MongoDB (--mongo-uri, VYOMO_RT_MONGO_URI) can be "
            "taken over; the embedded store ends with its server: stop that one"
        )
    _require_agreement_of_replays(settings, given)
    if settings.with_commands and settings.record is None:
        raise ConfigError(
            f"{given['with_commands'].source}: it goes with a record: write --record FILE "
            "(VYOMO_RT_RECORD)"
        )
    if settings.notify_key is not None and settings.notify_url is None:
        raise ConfigError(
            f"{given['notify_key'].source}: write where to post into VYOMO_RT_NOTIFY_URL"
        )
    _require_nodes_that_share(settings, given)
    _require_agreement_of_keys(settings, given)
    if _is_open(settings) and not settings.allow_open:
        raise ConfigError(
            f"{given['host'].source}: refusing to listen on {settings.host} without access "
            "control: set VYOMO_RT_AUTH_KEY (`vyomo-rt keygen` makes one), or add --allow-open "
            "(VYOMO_RT_ALLOW_OPEN=1) if everybody who can reach this address may watch and trade"
        )


def _require_agreement_of_replays(settings: Settings, given: Mapping[str, Given]) -> None:
    if settings.replays is None:
        for name, usual in (("speed", Settings().speed), ("start_at", None)):
            if getattr(settings, name) != usual:
                raise ConfigError(
                    f"{given[name].source}: it goes with a record to be played: write "
                    "--feed replay:FILE"
                )
    elif len(settings.feed) > 1:
        raise ConfigError(
            f"{given['feed'].source}: a record is played alone: leave the other feeds out"
        )


def _require_nodes_that_share(settings: Settings, given: Mapping[str, Given]) -> None:
    if settings.nats_url is None:
        return
    source = given["nats_url"].source
    if settings.mongo_uri is None:
        raise ConfigError(
            f"{source}: several servers need one MongoDB: name it in VYOMO_RT_MONGO_URI"
        )
    alone = {
        "the demo is": settings.demo,
        "a record that is played is": bool(settings.replays),
    }
    for what in (what for what, is_set in alone.items() if is_set):
        raise ConfigError(f"{source}: {what} for one server alone: leave one of them out")


def _require_agreement_of_keys(settings: Settings, given: Mapping[str, Given]) -> None:
    previous, until = "auth_previous_key", "auth_previous_key_until"
    if settings.auth_previous_key is not None and settings.auth_key is None:
        raise ConfigError(
            f"{given[previous].source}: it goes with a new key: write that into VYOMO_RT_AUTH_KEY"
        )
    if settings.auth_previous_key is not None and settings.auth_previous_key_until is None:
        raise ConfigError(
            f"{given[previous].source}: write until when it counts into "
            "VYOMO_RT_AUTH_PREVIOUS_KEY_UNTIL"
        )
    if settings.auth_previous_key is None and settings.auth_previous_key_until is not None:
        raise ConfigError(
            f"{given[until].source}: write the key that it is about into VYOMO_RT_AUTH_PREVIOUS_KEY"
        )


def _is_open(settings: Settings) -> bool:
    """Whether others than this machine may come, and need no token."""
    return not is_loopback(settings.host) and not settings.has_key


def _require_feeds_that_go_together(settings: Settings, given: Mapping[str, Given]) -> None:
    feeds = settings.feed
    if not feeds:
        raise ConfigError(f"{given['feed'].source}: names no feed: write one, such as ingest")
    if len(set(feeds)) < len(feeds):
        twice = next(name for name in feeds if feeds.count(name) > 1)
        raise ConfigError(f"{given['feed'].source}: {twice} is named twice: name it once")
    if settings.is_simulated and len(feeds) > 1:
        others = ", ".join(name for name in feeds if name != "sim")
        raise ConfigError(
            f"{given['feed'].source}: sim cannot go with {others}: simulated prices never stand "
            "behind real ones: leave one of them out"
        )


def given_by(flags: Mapping[str, object], environ: Mapping[str, str]) -> dict[str, Given]:
    """Which settings somebody set, by field name."""
    unknown = flags.keys() - {field.name for field in FIELDS}
    if unknown:
        raise TypeError(f"not settings: {', '.join(sorted(unknown))}")
    given: dict[str, Given] = {}
    for field in FIELDS:
        in_environ = environ.get(field.variable, "")
        if not field.is_key or not in_environ.strip():
            in_environ = in_environ.strip()
        if (flag := flags.get(field.name)) is not None:
            given[field.name] = Given(field.flag, flag)
        elif in_environ:
            given[field.name] = Given(field.variable, in_environ)
        if field.file_variable and (path := environ.get(field.file_variable, "").strip()):
            if field.name in given:
                other = given[field.name].source
                raise ConfigError(
                    f"{field.file_variable}: {other} is set too: leave one of them out"
                )
            given[field.name] = Given(field.file_variable, _content(field, path))
    return given


def _content(field: Field, path: str) -> str:
    """What a file says that holds one value, such as a key. Raises ConfigError.

    A key ends with one newline at most.
    """
    variable = field.file_variable
    try:
        text = Path(path).read_text("utf-8")
    except (OSError, ValueError) as problem:
        why = problem.strerror if isinstance(problem, OSError) else "it is no text"
        raise ConfigError(
            f"{variable}: {path!r} cannot be read: {why}; write the path of a file"
        ) from problem
    if not text.strip():
        raise ConfigError(f"{variable}: {path!r} is empty: write the value into it")
    if field.name == "auth_public_keys" and "-----BEGIN" in text:
        return path
    return text.removesuffix("\n").removesuffix("\r") if field.is_key else text.strip()


def _read(field: Field, given: Given) -> object:
    if isinstance(given.value, str) and (why := _leftover(field, given.source, given.value)):
        raise ConfigError(f"{given.source}: {why}")
    if isinstance(field.default, tuple):
        return tuple(_read_one(field, given.source, item) for item in _items(given.value))
    return _read_one(field, given.source, given.value)


def _leftover(field: Field, source: str, text: str) -> str | None:
    """What does not belong to a value: mostly what a shell would have removed.

    No shell reads env files, so there it would become part of the value, unnoticed.
    """
    if not text.isprintable():
        return "contains a character that cannot be printed: leave it out"
    if source != field.variable:
        return None
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        return "the quotes are part of the value: docker --env-file keeps them, leave them out"
    if " #" in text:
        return "the comment is part of the value: docker --env-file keeps it, leave it out"
    if field.holds_path and "$" in text:
        return "no shell expands $ here: write the whole path"
    return None


def _read_one(field: Field, source: str, value: object) -> object:
    read = READERS.get(field.name)
    shown = hide_password(str(field.without_secret(str(value))))
    try:
        return read(str(value)) if read else msgspec.convert(value, field.type, strict=False)
    except NotUsable as problem:
        raise ConfigError(f"{source}: {problem}, got {shown!r:.200}") from problem
    except (ValueError, msgspec.ValidationError) as problem:
        got = "something else (not shown: it may hold a secret)" if field.secret else repr(shown)
        raise ConfigError(f"{source}: expected {field.expected}, got {got:.200}") from problem


def _items(value: object) -> Iterable[str]:
    """The parts of a comma-separated list; empty parts are dropped."""
    parts = str(value).split(",")
    return filter(None, (part.strip() for part in parts))


def _let_demo_imply_sim(values: dict[str, Any], given: Mapping[str, Given]) -> None:
    if not values.get("demo"):
        return
    if values.setdefault("feed", ("sim",)) != ("sim",):
        raise ConfigError(
            f"{given['feed'].source}: {', '.join(values['feed'])} cannot go with "
            f"{given['demo'].source}, which simulates prices: leave one of them out"
        )


def _warn_of_open(settings: Settings) -> Iterable[str]:
    if _is_open(settings):
        yield (
            f"listening on {settings.host} without access control (allow_open is set): "
            "everybody who can reach this address may watch and trade"
        )


def _warn_of_short_keys(settings: Settings, given: Mapping[str, Given]) -> Iterable[str]:
    for name in ("auth_key", "auth_previous_key", "notify_key"):
        key: str | None = getattr(settings, name)
        if key is not None and len(key.encode(errors="surrogateescape")) < SAFE_KEY_BYTES:
            yield (
                f"{given[name].source} is shorter than {SAFE_KEY_BYTES} bytes: it may be guessed; "
                "`vyomo-rt keygen` makes a better one"
            )


def _warn_of_delayed(settings: Settings) -> Iterable[str]:
    if settings.trade_on_delayed:
        yield (
            "delayed prices open trades and trigger stops and targets (trade_on_delayed is set): "
            "the market may have moved on; for paper trading only"
        )


def _warn_of_unknown(environ: Mapping[str, str]) -> Iterable[str]:
    known = {name for field in FIELDS for name in (field.variable, field.file_variable)}
    for name in sorted(environ):
        if name.startswith(PREFIX) and not name.startswith(_FOR_TESTS) and name not in known:
            yield f"{name!a} is not a setting and has no effect; {_meant_by(name)}"


def _meant_by(variable: str) -> str:
    suffix = variable.removeprefix(PREFIX).upper()
    near = get_close_matches(suffix, [field.called.upper() for field in FIELDS], n=1)
    return f"did you mean {PREFIX}{near[0]}?" if near else "`vyomo-rt default-env` lists them all"
