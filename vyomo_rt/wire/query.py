"""What the address of a request says: ids, and a query's lists, integers and booleans."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, TypeVar
from urllib.parse import parse_qsl, urlencode

from msgspec import Meta, Struct
from msgspec.inspect import BoolType, ListType

from vyomo_rt.domain.errors import BadRequest, NotFound
from vyomo_rt.wire import decoding
from vyomo_rt.wire.commands import (
    SubscribePrices,
    SubscribeSession,
    WatchSessions,
    with_integers,
)
from vyomo_rt.wire.frame import KEEP_ALIVE, KEEP_ALIVE_EVENT, Framing
from vyomo_rt.wire.position import read_position
from vyomo_rt.wire.values import IntervalMs

if TYPE_CHECKING:
    from multidict import MultiMapping

T = TypeVar("T", bound=Struct)
E = TypeVar("E", bound=StrEnum)

_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}
_NOT_OF_TICKETS = ("ticket", "lastEventId")
_NEVER_RECOVERED = "unknown"


class WatchQuery(Struct, rename="camel"):
    """What a stream's query may say of all sessions, beside one session and prices."""

    watching: Annotated[bool, Meta(description="Whether to send figures of all sessions")] = False
    watch_interval: IntervalMs | None = None

    def command(self) -> WatchSessions | None:
        """The command of the same meaning."""
        return WatchSessions(update_interval=self.watch_interval) if self.watching else None


class StreamQuery(NamedTuple):
    """What a query asks an SSE stream for."""

    session: SubscribeSession | None
    prices: SubscribePrices | None
    watch: WatchSessions | None
    keep_alive: bytes
    """What to write to keep it alive."""


def ticket_query(text: str) -> str:
    """The text after ``?`` as a ticket is made for it, however it is spelled.

    It leaves out what changes when EventSource comes back.
    """
    pairs = parse_qsl(text, keep_blank_values=True)
    return urlencode([(name, value) for name, value in pairs if name not in _NOT_OF_TICKETS])


def path_id(named: Mapping[str, str], name: str) -> int:
    """An id in the path. Raises NotFound for a text that cannot be an id."""
    text = named[name]
    if re.fullmatch(r"[0-9]{1,18}", text):
        return int(text)
    raise NotFound(f"{name} must be a positive integer, got {text[:40]!r}", name)


def read_query(query: MultiMapping[str]) -> dict[str, str]:
    """The query; a list is separated by commas, or its name is repeated."""
    return {name: ",".join(query.getall(name)) for name in query}


def query_fields(query: Mapping[str, str], *types: type[Struct]) -> dict[str, Any]:
    """The lists, integers and booleans of these types instead of their spelling.

    What is empty is absent.
    """
    fields: dict[str, Any] = {name: value for name, value in query.items() if value}
    for type_ in types:
        for name in decoding.members_of(type_, ListType) & query.keys():
            parts = [part for part in query[name].split(",") if part.strip()]
            if parts:
                fields[name] = parts
            else:
                fields.pop(name, None)
        for name in decoding.members_of(type_, BoolType) & fields.keys():
            fields[name] = _BOOLEANS.get(query[name].lower(), query[name])
    return with_integers(fields, *types)


def _convert(fields: Mapping[str, Any], type_: type[T]) -> T:
    """Fields as a type. Raises BadRequest with what was written: a query is all text."""
    try:
        return decoding.convert(fields, type_)
    except BadRequest as error:
        text = fields.get(error.field or "")
        words = str(error).removesuffix("got a string")
        if not isinstance(text, str) or words == str(error):
            raise
        raise BadRequest(f"{words}got {text[:40]!r}", error.field) from None


def query_as(query: MultiMapping[str], type_: type[T]) -> T:
    """A query as a type. Raises BadRequest."""
    return _convert(query_fields(read_query(query), type_), type_)


def of_session(query: Mapping[str, str], session_id: str) -> dict[str, str]:
    """The query for a session's stream, which has no prices."""
    return {**query, "symbols": "", "sessionId": session_id}


def of_prices(query: Mapping[str, str]) -> dict[str, str]:
    """The query for a stream of prices alone. Raises BadRequest."""
    if not query.get("symbols", "").strip(", "):
        words = "symbols is required: name at least one, separated by commas"
        raise BadRequest(words, "symbols")
    return {**query, "sessionId": ""}


def of_all_sessions(query: Mapping[str, str]) -> dict[str, str]:
    """The query for a stream of all sessions' figures."""
    interval_ms = query.get("updateInterval", "")
    return {
        **query,
        "sessionId": "",
        "symbols": "",
        "updateInterval": "",
        "watching": "true",
        "watchInterval": interval_ms,
    }


def stream_query(query: Mapping[str, str], last_event_id: str | None) -> StreamQuery:
    """What a query asks a stream for; the id may be in a header instead. Raises BadRequest."""
    fields = query_fields(query, SubscribeSession, SubscribePrices, WatchQuery)
    for name in ("id", "type"):
        fields.pop(name, None)
    session = prices = None
    if "sessionId" in fields:
        session = _convert(fields, SubscribeSession)
        if last_event_id := last_event_id or query.get("lastEventId"):
            _resume(session, last_event_id)
    # Checked even if there is no symbol to use it for.
    settings = _convert({"symbols": []} | fields, SubscribePrices)
    if "symbols" in fields:
        prices = settings
    watch = _convert(fields, WatchQuery).command()
    if session is None and prices is None and watch is None:
        raise BadRequest("sessionId or symbols is required", "query")
    return StreamQuery(session, prices, watch, _keep_alive(query))


def _resume(command: SubscribeSession, last_event_id: str) -> None:
    """Take the position of an SSE id; a useless one is a position that cannot be recovered."""
    position = read_position(last_event_id)
    if position is not None and position.session_id == command.session_id:
        command.since, command.epoch = position.seq, position.epoch
    else:
        command.since, command.epoch = 0, _NEVER_RECOVERED


def _keep_alive(query: Mapping[str, str]) -> bytes:
    """What keeps the stream alive. Raises BadRequest."""
    asked = query.get("keepAlive")
    if asked and asked != "event":
        raise BadRequest(f"keepAlive: expected event, got {asked[:40]!r}", "keepAlive")
    return KEEP_ALIVE_EVENT if asked else KEEP_ALIVE[Framing.SSE]


def choice(name: str, text: str | None, type_: type[E]) -> E | None:
    """A word of a query, which may be lower case. Raises BadRequest."""
    if text is None:
        return None
    try:
        return type_(text.upper())
    except ValueError:
        *others, last = type_
        words = f"{', '.join(others)} or {last}"
        raise BadRequest(f"{name}: expected {words}, got {text[:40]!r}", name) from None
