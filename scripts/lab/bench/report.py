"""What a benchmark found: as figures, as tables to read, and against an earlier one."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from statistics import median
from typing import NamedTuple

import msgspec
from msgspec import Struct, field

from lab.bench.cases import Case, Kind, Transport
from lab.bench.figures import Measurement
from lab.bench.floor import Floor

_WIDTH = 110


class Row(Struct, rename="camel"):
    """A case over one transport: its rounds, and the median of each figure."""

    case: str
    kind: Kind
    transport: Transport
    connections: int
    """As asked for."""
    stalled: int
    symbols: int
    interval_ms: int
    rounds: list[Measurement] = field(default_factory=list)
    floors: list[Floor] = field(default_factory=list)
    """Measured in the same rounds; the same for all transports of a case."""
    figures: dict[str, float] = field(default_factory=dict)
    """The medians, by the names in the rounds; those within ``priceDelays`` are ``priceDelays.…``.
    """

    @classmethod
    def of(cls, case: Case, transport: Transport) -> Row:
        """One without rounds."""
        return cls(
            case.name, case.kind, transport, case.connections, case.stalled,
            case.symbols, case.interval_ms,
        )  # fmt: skip

    @property
    def name(self) -> str:
        return f"{self.case} over {self.transport}"

    @property
    def shape(self) -> str:
        """What another row must have in common with this one to be compared with it."""
        return (
            f"{self.connections} connections, {self.stalled} stalled, "
            f"{self.symbols} symbols every {self.interval_ms} ms"
        )

    def settle(self) -> None:
        """Compute the medians, after a round."""
        values: dict[str, list[float]] = {}
        for each in self.rounds:
            for name, value in _flat(each):
                values.setdefault(name, []).append(value)
        self.figures = {name: median(each) for name, each in values.items()}
        if self.floors:
            sends = [1e6 * floor.cpu_s / floor.sends for floor in self.floors if floor.sends]
            floor_us = median(sends) / self.symbols
            self.figures["floorUsPerMessage"] = floor_us
            if "cpuUsPerMessage" in self.figures:
                self.figures["timesFloor"] = self.figures["cpuUsPerMessage"] / floor_us


class Parameters(Struct, frozen=True, rename="camel"):
    """What was asked for."""

    scenarios: list[str]
    repeat: int
    duration_s: float
    scale: float
    processes: int


class Report(Struct, rename="camel"):
    """All of it."""

    started_at: str
    parameters: Parameters
    machine: dict[str, str | int]
    rows: list[Row] = field(default_factory=list)
    interrupted: bool = False
    failure: str | None = None
    """Why it ended early."""


class _Column(NamedTuple):
    title: str
    figure: str
    form: str


_TITLES: dict[Kind, str] = {
    "prices": "Prices",
    "idle": "Connections that get nothing",
    "event": "Trade events, while others get prices",
    "ingest": "Ticks in, while others get prices",
    "nodes": "One of several nodes, and a server alone",
}
_MEMORY = _Column("bytes/conn", "bytesPerConnection", "{:,.0f}")
_CONNECTS = _Column("connects/s", "connectsPerS", "{:,.0f}")
_MESSAGES = _Column("messages/s", "messagesPerS", "{:,.0f}")
_SERVER = _Column("server %", "serverCpuPercent", "{:.1f}")
_LOAD = _Column("load %", "loadCpuPercent", "{:.0f}")
_COLUMNS: dict[Kind, list[_Column]] = {
    "prices": [
        _MESSAGES,
        _Column("µs/message", "cpuUsPerMessage", "{:.2f}"),
        _Column("net", "netCpuUsPerMessage", "{:.2f}"),
        _Column("floor", "floorUsPerMessage", "{:.2f}"),
        _Column("× floor", "timesFloor", "{:.2f}"),
        _Column("p50 ms", "priceDelays.p50Ms", "{:.1f}"),
        _Column("p99", "priceDelays.p99Ms", "{:.1f}"),
        _Column("max", "priceDelays.maxMs", "{:.1f}"),
        _MEMORY,
        _CONNECTS,
        _SERVER,
        _LOAD,
    ],
    "idle": [
        _MEMORY,
        _CONNECTS,
        _Column("µs/connect", "cpuUsPerConnect", "{:.0f}"),
        _Column("gen 1 ms", "collectYoungMs", "{:.2f}"),
        _Column("full gc ms", "collectAllMs", "{:.2f}"),
        _SERVER,
    ],
    "event": [
        _MESSAGES,
        _Column("POST to last: p50 ms", "postedToLast.p50Ms", "{:.1f}"),
        _Column("p99", "postedToLast.p99Ms", "{:.1f}"),
        _Column("max", "postedToLast.maxMs", "{:.1f}"),
        _Column("stored to last: p50 ms", "storedToLast.p50Ms", "{:.1f}"),
        _Column("p99", "storedToLast.p99Ms", "{:.1f}"),
        _Column("max", "storedToLast.maxMs", "{:.1f}"),
        _SERVER,
        _LOAD,
    ],
    "ingest": [
        _Column("ticks/s", "ticksPerS", "{:,.0f}"),
        _Column("µs/tick", "cpuUsPerTick", "{:.2f}"),
        _SERVER,
        _Column("producer %", "producerCpuPercent", "{:.0f}"),
        _MESSAGES,
        _Column("p50 ms", "priceDelays.p50Ms", "{:.1f}"),
        _Column("p99", "priceDelays.p99Ms", "{:.1f}"),
        _Column("max", "priceDelays.maxMs", "{:.1f}"),
        _LOAD,
    ],
    "nodes": [
        _MESSAGES,
        _Column("µs/message", "cpuUsPerMessage", "{:.2f}"),
        _Column("ticks/s", "ticksPerS", "{:,.0f}"),
        _SERVER,
        _Column("later: p50 ms", "later.p50Ms", "{:.2f}"),
        _Column("p99", "later.p99Ms", "{:.2f}"),
        _Column("max", "later.maxMs", "{:.2f}"),
        _LOAD,
    ],
}
_NOTES: dict[Kind, str] = {
    "prices": (
        "µs of the whole server process a delivered message, without its store; net is without "
        "what it uses when nobody is connected. The floor is a program that only sends as many "
        "bytes to as many sockets. Delays run from a message's timestamp to its receipt, up to "
        "1 ms too long by its rounding."
    ),
    "idle": (
        "Memory is resident, without the kernel's buffers; clients connect as fast as the server "
        "takes them. The garbage collections are of the server, with all connected."
    ),
    "event": (
        "POST to last: from sending a command until the last subscriber had its event, the "
        "store's write included. Stored to last: from the store's answer on, up to 1 ms too long."
    ),
    "ingest": (
        "A process of its own pushes over /ws/ingest, with acks. µs of the whole server process "
        "an accepted tick, with what its other clients cost, without its store. Delays are those "
        "of their prices, from a message's timestamp to its receipt."
    ),
    "nodes": (
        "What is measured is alone on the first core; the other nodes, an idle server or idle "
        "nodes, NATS, the store and the load share the rest. Later: from when the last of 50 had "
        "an event on the node that decides about its session until the last of 50 had it on the "
        "measured one; there each node has its clients on its core, and the measured one NATS."
    ),
}


def tables(report: Report) -> str:
    """The report for a reader at a terminal."""
    asked = report.parameters
    lines = [
        f"Median of {asked.repeat}, {asked.duration_s:g} s each, connections × {asked.scale:g}"
        + " (interrupted)" * report.interrupted
    ]
    rows = [row for row in report.rows if row.rounds]
    for kind, title in _TITLES.items():
        some = [row for row in rows if row.kind == kind]
        if some:
            cells = [_values(row) for row in some]
            lines += ["", title, *_table(kind, some, cells), *textwrap.wrap(_NOTES[kind], _WIDTH)]
    lines += ["", *_stalling(rows), *nodes_compared(rows)]
    for row in rows:
        doubts = {doubt: None for each in row.rounds for doubt in each.doubts}
        lines += [f"{row.name}: {doubt}" for doubt in doubts]
    if report.failure:
        lines.append(f"ENDED EARLY: {report.failure}")
    return "\n".join(lines).rstrip()


def ratios(report: Report, earlier: Report) -> str:
    """Each figure divided by that of an earlier report, and what has no counterpart there."""
    lines = [f"New ÷ old, against {earlier.started_at}"]
    lines += [
        f"ANOTHER {name.upper()}: now {value}, then {earlier.machine.get(name)}"
        for name, value in report.machine.items()
        if value != earlier.machine.get(name)
    ]
    before = {row.name: row for row in earlier.rows if row.rounds}
    same, without = [], []
    for row in report.rows:
        old = before.pop(row.name, None)
        if not row.rounds or old is None:
            without.append(f"{row.name}: cannot be compared, it is in one of the reports only")
        elif row.shape != old.shape:
            without.append(f"{row.name}: cannot be compared, now {row.shape}, then {old.shape}")
        else:
            same.append((row, old))
    without += [f"{name}: cannot be compared, it is in one of the reports only" for name in before]
    for kind, title in _TITLES.items():
        pairs = [(row, old) for row, old in same if row.kind == kind]
        if pairs:
            cells = [_quotients(row, old) for row, old in pairs]
            lines += ["", title, *_table(kind, [row for row, _ in pairs], cells)]
    return "\n".join([*lines, "", *without]).rstrip()


def _table(kind: Kind, rows: list[Row], cells: list[list[str]]) -> Iterator[str]:
    """Lines of columns as wide as what stands in them."""
    titles = ["", "over", "connections", *(column.title for column in _COLUMNS[kind])]
    named = [[row.case, row.transport, f"{row.connections:,}"] for row in rows]
    grid = [titles, *(head + tail for head, tail in zip(named, cells, strict=True))]
    widths = [max(map(len, column)) for column in zip(*grid, strict=True)]
    for line in grid:
        left = [text.ljust(width) for text, width in zip(line[:2], widths[:2], strict=True)]
        right = [text.rjust(width) for text, width in zip(line[2:], widths[2:], strict=True)]
        yield "  " + "  ".join(left + right)


def _values(row: Row) -> list[str]:
    figures = row.figures
    return [
        column.form.format(figures[column.figure]) if column.figure in figures else "-"
        for column in _COLUMNS[row.kind]
    ]


def _quotients(row: Row, old: Row) -> list[str]:
    names = [column.figure for column in _COLUMNS[row.kind]]
    return [
        f"{row.figures[name] / old.figures[name]:.2f}"
        if name in row.figures and old.figures.get(name)
        else "-"
        for name in names
    ]


def _stalling(rows: list[Row]) -> Iterator[str]:
    """What clients that stopped reading cost, by the same case without them."""
    by_name = {row.case: row for row in rows}
    plain, stalled = by_name.get("mixed"), by_name.get("mixed-stalled")
    if plain and stalled and stalled.stalled and plain.connections == stalled.connections:
        each = "bytesPerConnection"
        if each in plain.figures and each in stalled.figures:
            grown_bytes = (stalled.figures[each] - plain.figures[each]) * stalled.connections
            yield (
                f"A stalled client costs the server {grown_bytes / stalled.stalled:,.0f} bytes "
                f"more than one that reads ({stalled.stalled} of them, so this is coarse)."
            )


def nodes_compared(rows: list[Row]) -> Iterator[str]:
    """What it costs to be one of several nodes, and what it may."""
    by_name = {row.case: row for row in rows}

    def each_pair(name: str, beside: str, figure: str) -> Iterator[tuple[float, float]]:
        if name in by_name and beside in by_name:
            for one, other in zip(by_name[name].rounds, by_name[beside].rounds, strict=False):
                yield getattr(one, figure), getattr(other, figure)

    if pairs := [*each_pair("watched-follows", "watched", "cpu_us_per_message")]:
        times = median(of_node / alone for of_node, alone in pairs)
        yield f"A message costs a node {times:.2f} × what it costs a server alone: at most 1.10."
    if pairs := [*each_pair("pushed-owns", "pushed", "server_cpu_percent")]:
        more = median(owner - alone for owner, alone in pairs)
        what = "To publish 4000 ticks a second of 1000 symbols"
        yield f"{what} takes {more:.1f} % of a core: at most 3."
    if "pushed-follows" in by_name:
        whole = by_name["pushed-follows"].figures["serverCpuPercent"]
        yield f"To follow them takes {whole:.1f} % of a core, all of a node's work: at most 8."
    if (later := by_name.get("foreign")) is not None and "later.p99Ms" in later.figures:
        p99_ms = later.figures["later.p99Ms"]
        yield f"An event reaches another node's last of 50 {p99_ms:.1f} ms later (p99): at most 2."


def _flat(measurement: Measurement) -> Iterator[tuple[str, float]]:
    """The numbers in a measurement by their names in JSON; what is not known is left out."""
    for name, value in msgspec.to_builtins(measurement).items():
        inner = value.items() if isinstance(value, dict) else []
        for key, number in [(name, value), *((f"{name}.{key}", each) for key, each in inner)]:
            if isinstance(number, int | float):
                yield key, number
