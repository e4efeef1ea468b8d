"""All measurements of a benchmark, one after the other."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime

from lab.bench.cases import Case
from lab.bench.floor import FloorFailed
from lab.bench.measure import Bench
from lab.bench.report import Parameters, Report, Row
from lab.cli import Bar, interruption
from lab.crowd.workers import WorkerDied
from lab.site.machine import SATURATED_PERCENT, describe
from lab.site.nodes import NotEven
from lab.site.producer import ProducerFailed
from lab.site.server import ServerFailed
from lab.site.target import TargetError


async def run(options: argparse.Namespace) -> Report:
    """Measure everything that was asked for; a failure or interruption ends it early."""
    stop = interruption()
    bar = Bar()
    report = Report(
        started_at=datetime.now(UTC).isoformat(timespec="seconds"),
        parameters=Parameters(
            scenarios=options.scenarios,
            repeat=options.repeat,
            duration_s=options.duration,
            scale=options.scale,
            processes=options.processes,
        ),
        machine=describe(),
    )
    bench = Bench(options.duration, options.processes, bar, stop)
    try:
        rows = {case: [Row.of(case, each) for each in case.transports] for case in options.cases}
        # Round by round, so that what is compared is measured in turn.
        for turn in range(1, options.repeat + 1):
            for number, case in enumerate(options.cases, 1):
                report.rows += rows[case] if turn == 1 else []
                at = f"{number} of {len(options.cases)}, round {turn}, {case.name}"
                await _round(bench, case, rows[case], at)
                if stop.is_set():
                    return report
    except (TargetError, ServerFailed, WorkerDied, FloorFailed, ProducerFailed, NotEven) as problem:
        report.failure = str(problem)
    finally:
        report.interrupted = stop.is_set()
        bar.clear()
    return report


async def _round(bench: Bench, case: Case, rows: list[Row], what: str) -> None:
    """Measure a case over each of its transports, and beside the first of them the floor."""
    for row in rows:
        measurement = await bench.measure(case, row.transport, f"{what} over {row.transport}")
        if measurement is None:
            return
        row.rounds.append(measurement)
        row.settle()
        if case.has_floor and row is rows[0] and measurement.bytes_per_message:
            size_bytes = round(measurement.bytes_per_message * case.symbols)
            # A server that is always behind sends without pauses.
            is_full = measurement.server_cpu_percent > SATURATED_PERCENT
            interval_ms = 0 if is_full else case.interval_ms
            if floor := await bench.floor(case, size_bytes, interval_ms, f"{what}: the floor"):
                for each in rows:
                    each.floors.append(floor)
                row.settle()
