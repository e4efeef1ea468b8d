"""What a program asks for, and the stream that follows from it."""

from __future__ import annotations

from collections.abc import Collection

import aiohttp
from yarl import URL

from vyomo_rt_client.links import base_url
from vyomo_rt_client.messages import Position
from vyomo_rt_client.stream import Choice, OnStatus, Stream
from vyomo_rt_client.subscription import Fields, Subscription
from vyomo_rt_client.tokens import Tokens, TokenSource


def connect(
    url: str | URL,
    *,
    session_id: int | None = None,
    symbols: Collection[str] = (),
    types: Collection[str] | None = None,
    update_interval_ms: int | None = None,
    price_interval_ms: int | None = None,
    only_changes: bool | None = None,
    watch_sessions: bool = False,
    watch_interval_ms: int | None = None,
    since: int | str | Position | None = None,
    transport: Choice = "auto",
    token: TokenSource | None = None,
    session: aiohttp.ClientSession | None = None,
    on_status: OnStatus | None = None,
) -> Stream:
    """The messages of a session, of prices, of all sessions. It connects at the first request.

    `url` is the server's address, http(s) or ws(s). `types` selects messages of the session.
    `watch_sessions` asks for the figures of all sessions, every `watch_interval_ms` if they have
    changed; these messages have no `seq`.
    `since` is the event after which to continue: its number, a `Position`, or the text of one;
    if left out, the stream starts with the current state. `transport` ``auto`` is WebSocket,
    and Server-Sent Events if that cannot be opened. `token` says who the program is, if the
    server wants to know: a text, or an async function that returns one. The function is called
    at first, before the token ends, and when it is refused; an empty text ends the stream.
    `session` is an aiohttp session to use, for a proxy or TLS; it stays open. Each stream takes
    one of its connections while it lasts, and aiohttp allows 100: for more, make it with
    ``TCPConnector(limit=0)``. `on_status` is called with each `Status`; an exception from it
    ends the iteration. The rest is as in docs/protocol.md. A message's `text` is the JSON as
    the server wrote it.

    Raises ValueError for arguments that make no sense. If the server refuses, the iteration raises
    `Refused`.
    """
    _check_names(symbols, types)
    if session_id is None and not symbols and not watch_sessions:
        raise ValueError("session_id, symbols or watch_sessions is required")
    if transport not in ("auto", "ws", "sse"):
        raise ValueError(f"transport is auto, ws or sse, not {transport!r}")
    session_fields: Fields = {
        "sessionId": session_id,
        "types": None if types is None else list(types),
        "updateInterval": update_interval_ms,
    }
    price_fields: Fields = {
        "symbols": list(symbols),
        "priceInterval": price_interval_ms,
        "onlyChanges": only_changes,
    }
    subscription = Subscription(
        {} if session_id is None else session_fields,
        price_fields if symbols else {},
        _position(session_id, since),
        {"updateInterval": watch_interval_ms} if watch_sessions else None,
    )
    return Stream(
        base_url(url),
        subscription,
        Tokens(token),
        choice=transport,
        http=session,
        on_status=on_status,
    )


def _check_names(symbols: Collection[str], types: Collection[str] | None) -> None:
    for name, names in (("symbols", symbols), ("types", types)):
        if isinstance(names, str):
            raise ValueError(f"{name} is a list of names: write [{names!r}]")
    if types is not None and not types:
        raise ValueError("types: name at least one, or leave it out for all")


def _position(session_id: int | None, since: int | str | Position | None) -> Position | None:
    if since is None:
        return None
    if session_id is None:
        raise ValueError("since needs a session_id")
    if isinstance(since, int):
        return Position(session_id, since)
    position = Position.parse(since) if isinstance(since, str) else since
    if position.session_id != session_id:
        raise ValueError(f"since: {position} is not a position of session {session_id}")
    return position
