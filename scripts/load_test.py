"""Load test: many clients at once, what they get, how late, and whether a trade is missing.

It starts a server with simulated prices on its own data, or uses a running one (--url).
There it makes a session, whose trades it opens and closes itself, so it disturbs nobody and
knows what every client must get.

Exit code: 0 within budget, 1 over budget (the last lines say what), 2 wrong flags or no server
to test, 130 interrupted (with the report so far).
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence

from lab.cli import interruption, publish
from lab.crowd.workers import WorkerDied
from lab.load.options import parse
from lab.load.report import Report
from lab.load.run import run
from lab.load.table import table
from lab.site.server import ServerFailed
from lab.site.target import TargetError


def main(argv: Sequence[str] | None = None) -> int:
    """Run the test and return its exit code (argparse itself exits for --help and misuse)."""
    options = parse(argv, str(__doc__))
    try:
        report = asyncio.run(_interruptible(options))
    except (TargetError, ServerFailed, WorkerDied) as problem:
        print(f"load_test: {problem}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    publish(report, table(report), options.json)
    if report.interrupted:
        return 130
    return 1 if report.broken else 0


async def _interruptible(options: argparse.Namespace) -> Report:
    return await run(options, interruption())


if __name__ == "__main__":
    sys.exit(main())
