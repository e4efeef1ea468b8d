"""The flags of the benchmark."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import msgspec

from lab.bench.cases import SCENARIOS
from lab.bench.report import Report
from lab.cli import Parser, check_json, number
from lab.site.machine import lack_of_room

_EPILOG = """\
scenarios:
  paced      1000 connections, one symbol every 100 ms
  tick       1000 connections, ten symbols every 100 ms
  saturated  18 000 connections, ten symbols every 100 ms: more than a core can do
  idle       1000, 5000 and 15 000 that get nothing: memory, connects, garbage collection
  event      trades to 1000 subscribers, and to 50, while thousands get prices
  mixed      both transports at once, without and with clients that stop reading
  ingest     ticks over /ws/ingest, while 100 get prices: 1000 a second, 50 000, all it takes
  cluster    one of several nodes beside a server alone: watched by 1000, 4000 ticks a second of
             1000 symbols owned and followed, events of another node's session
  scale      100, 1000 and 10 000 connections: is the cost of a message the same?

To see what a change does: --json before.json, change, --against before.json, on the same
machine with nothing else running; --repeat 3 shows medians.
"""


def parse(argv: Sequence[str] | None, description: str) -> argparse.Namespace:
    """The flags; ``cases`` is what is to be measured, ``against`` a report. Exits for misuse."""
    parser = _parser(description)
    options = parser.parse_args(argv)
    if not Path("/proc/self/schedstat").exists():
        parser.error("what a process uses can be seen only on Linux, with schedstat in /proc")
    names = list(dict.fromkeys(options.scenarios)) or list(SCENARIOS)
    if unknown := [name for name in names if name not in SCENARIOS]:
        parser.error(f"no scenario {', '.join(unknown)}; there are {', '.join(SCENARIOS)}")
    check_json(parser, options.json)
    options.scenarios = names
    options.cases = [case.scaled(options.scale) for name in names for case in SCENARIOS[name]]
    for case in options.cases:
        # The server has them all in one process; a load process never has more.
        if lack := lack_of_room(case.connections, case.connections):
            parser.error(f"{case.name}: {lack} (--scale)")
    if options.against is not None:
        options.against = _report(parser, options.against)
    return options


def _report(parser: argparse.ArgumentParser, file: str) -> Report:
    try:
        return msgspec.json.decode(Path(file).read_bytes(), type=Report)
    except OSError as problem:
        parser.error(f"--against: cannot read {file}: {problem.strerror}")
    except msgspec.DecodeError as problem:
        parser.error(f"--against: {file} is no report that --json wrote: {problem}")


def _parser(description: str) -> argparse.ArgumentParser:
    parser = Parser("bench.py", description, _EPILOG)
    add = parser.add_argument
    add("scenarios", metavar="SCENARIO", nargs="*", help="what to measure (default: all)")
    add(
        "--repeat",
        metavar="N",
        type=number(int, 1, 1000),
        default=1,
        help="rounds of each, of which the median is shown (%(default)s)",
    )
    add(
        "--duration",
        metavar="S",
        type=number(float, 0.5, 3600),
        default=5.0,
        help="seconds of each measurement, after all have connected (%(default)g)",
    )
    add(
        "--scale",
        metavar="X",
        type=number(float, 0.0001, 10),
        default=1.0,
        help="share of the connections, for a try or for a larger machine (%(default)g)",
    )
    add(
        "--processes",
        metavar="N",
        type=number(int, 1, 1024),
        default=1,
        help="load processes; more where the report says that they were saturated (%(default)s)",
    )
    add("--json", metavar="FILE", help="write all figures there; - for standard output")
    add("--against", metavar="FILE", help="show the ratios to an earlier report of --json")
    return parser
