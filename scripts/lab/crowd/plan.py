"""What a swarm connects to, how, and what its clients subscribe to."""

from __future__ import annotations

from msgspec import Struct


class Plan(Struct, frozen=True):
    """What a swarm connects to, how, and what its clients subscribe to."""

    address: str
    port: int
    host: str
    """The server's name in the ``Host`` header."""
    tls: bool
    session_id: int
    """0: none, prices only."""
    symbols: list[str]
    """None of them: the session only."""
    interval_ms: int
    clients: int
    sse_clients: int
    """How many of them take Server-Sent Events; the others are WebSockets."""
    connects_per_s: float
    sample_every: int = 1
    """Of how many deliveries of prices to a client one is looked into."""
    clock_offset_ms: float = 0.0
    """How far the server's clock is ahead of this one."""
    update_interval_ms: int | None = None
    """How often the session's figures come; None leaves it to the server."""
    connecting_at_once: int = 1_000_000
    """How many of a process's clients may be connecting at a time."""
    stalled: int = 0
    """How many stop reading once their subscriptions are acknowledged."""
    deflate: bool = False
    """Offer to take compressed messages over WebSocket, as browsers do."""
