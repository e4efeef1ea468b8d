"""Benchmark of the fan-out, and of ticks in: what each costs, how late it is, how many fit.

Each measurement starts its own server, connects to it, and counts for a few seconds what
arrives; beside it stands what the kernel alone takes (lab/bench/floor.py). It judges nothing:
compare two of its reports (--against).

Exit code: 0 measured, 2 wrong flags or no server to measure, 130 interrupted (with what was
measured so far).
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence

from lab.bench.options import parse
from lab.bench.report import ratios, tables
from lab.bench.run import run
from lab.cli import publish


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
