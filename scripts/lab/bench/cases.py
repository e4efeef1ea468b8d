"""What the benchmark measures: the scenarios, each of one or more cases."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from lab.site.nodes import Role

Transport = Literal["ws", "sse", "both"]
Kind = Literal["prices", "idle", "event", "ingest", "nodes"]


class Case(Struct, frozen=True):
    """One server, its connections and what they subscribe to."""

    name: str
    watchers: int = 0
    """Connections that get prices, at full scale."""
    symbols: int = 10
    interval_ms: int = 100
    subscribers: int = 0
    """Connections that subscribe to a session, at full scale."""
    trades_per_s: float = 0.0
    """Opened in that session, and closed again."""
    transports: tuple[Transport, ...] = ("ws", "sse")
    has_floor: bool = False
    stalled_share: float = 0.0
    """Of the watchers, those that stop reading."""
    deflate: bool = False
    ticks_per_s: int | None = None
    """Pushed over one connection, instead of simulated; 0: as many as the server takes."""
    frame_ticks: int = 500
    pushed_symbols: int = 500
    nodes: int = 0
    """So many run, and one of them is measured, or a server alone beside them."""
    role: Role = "follows"

    def scaled(self, scale: float) -> Case:
        """The same with a share of the connections, but at least 2: one for each transport."""

        def share(connections: int) -> int:
            return connections and max(2, round(connections * scale))

        return replace(self, watchers=share(self.watchers), subscribers=share(self.subscribers))

    @property
    def kind(self) -> Kind:
        """What it is about: prices, connections that get nothing, trade events, ticks in, nodes."""
        if self.nodes:
            return "nodes"
        if self.ticks_per_s is not None:
            return "ingest"
        if self.trades_per_s:
            return "event"
        return "prices" if self.watchers else "idle"

    @property
    def connections(self) -> int:
        return self.watchers + self.subscribers * (2 if self.is_foreign else 1)

    @property
    def is_foreign(self) -> bool:
        """Another node decides about the session, and has as many subscribers, to compare with."""
        return self.role == "foreign"

    @property
    def stalled(self) -> int:
        return round(self.watchers * self.stalled_share)


_WATCHED = Case("watched", 1000, transports=("ws",), nodes=3, role="alone")
_PUSHED = Case(
    "pushed", 2, symbols=1, transports=("ws",), ticks_per_s=4000, frame_ticks=200,
    pushed_symbols=1000, nodes=3, role="alone",
)  # fmt: skip

SCENARIOS: dict[str, tuple[Case, ...]] = {
    "paced": (Case("paced", 1000, symbols=1, has_floor=True),),
    "tick": (Case("tick", 1000, has_floor=True),),
    "saturated": (Case("saturated", 18_000, has_floor=True),),
    "idle": (
        Case("idle-1000", subscribers=1000),
        Case("idle-5000", subscribers=5000),
        Case("idle-5000-deflate", subscribers=5000, transports=("ws",), deflate=True),
        Case("idle-15000", subscribers=15_000),
    ),
    "event": (
        Case("event", 10_000, interval_ms=1000, subscribers=1000, trades_per_s=10),
        Case("event-50", 5000, interval_ms=200, subscribers=50, trades_per_s=10),
    ),
    "mixed": (
        Case("mixed", 1000, transports=("both",)),
        Case("mixed-stalled", 1000, transports=("both",), stalled_share=0.05),
    ),
    "ingest": (
        Case("ingest-1000", 100, transports=("ws",), ticks_per_s=1000, frame_ticks=100),
        Case("ingest-50000", 100, transports=("ws",), ticks_per_s=50_000),
        Case("ingest-full", 100, transports=("ws",), ticks_per_s=0),
    ),
    # One after the other in each round, so that each has its counterpart at the same time.
    "cluster": (
        _WATCHED,
        replace(_WATCHED, name="watched-follows", role="follows"),
        _PUSHED,
        replace(_PUSHED, name="pushed-owns", role="owns"),
        replace(_PUSHED, name="pushed-follows", role="follows"),
        Case(
            "foreign", subscribers=50, transports=("ws",), trades_per_s=10, nodes=2, role="foreign"
        ),
    ),
    # Ten thousand less often, or the core would be full.
    "scale": (
        Case("scale-100", 100, has_floor=True),
        Case("scale-1000", 1000, has_floor=True),
        Case("scale-10000", 10_000, interval_ms=1000, has_floor=True),
    ),
}
