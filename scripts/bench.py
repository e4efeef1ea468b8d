"""Benchmark of the fan-out: what a delivered message costs, how late it is, how many fit.

Each measurement starts a server of its own, connects to it, and counts for a few seconds what
arrives; beside it stands what the kernel alone asks for (floor.py). It judges nothing:
compare two of its reports (--against).

Exit code: 0 measured, 2 wrong flags or no server to measure, 130 interrupted (with what was
measured so far).
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from datetime import UTC, datetime

from bench_cases import Case
from bench_measure import Bench
from bench_options import parse
from bench_report import Parameters, Report, Row, ratios, tables
from floor import FloorFailed
from load_report import SATURATED_PERCENT
from machine import describe
from reporting import Bar, interruption, publish
from server_under_test import ServerFailed
from target import TargetError
from workers import WorkerDied


async def run(options: argparse.Namespace) -> Report:
    """Measure all that is asked for; what fails or is interrupted ends it with the rest."""
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
        for number, case in enumerate(options.cases, 1):
            rows = [Row.of(case, transport) for transport in case.transports]
            report.rows += rows
            for turn in range(1, options.repeat + 1):
                at = f"{number} of {len(options.cases)}, round {turn}, {case.name}"
                await _round(bench, case, rows, at)
                if stop.is_set():
                    return report
    except (TargetError, ServerFailed, WorkerDied, FloorFailed) as problem:
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


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark and return its exit code (argparse itself exits for --help and misuse)."""
    options = parse(argv, str(__doc__))
    try:
        report = asyncio.run(run(options))
    except KeyboardInterrupt:
        return 130
    text = tables(report)
    if options.against is not None:
        text += "\n\n" + ratios(report, options.against)
    publish(report, text, options.json)
    if report.failure:
        return 2
    return 130 if report.interrupted else 0


if __name__ == "__main__":
    sys.exit(main())
