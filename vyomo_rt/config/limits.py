"""The settings that bound what clients may do and how long things may take."""

from typing import Annotated

from msgspec import Meta, Struct


class Limits(Struct, frozen=True, kw_only=True):
    """How much, how often, how long."""

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
    max_bar_symbols: Annotated[
        int,
        Meta(
            ge=1,
            le=10_000,
            description="Symbols of which bars are kept, of those that are watched or held.",
        ),
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
