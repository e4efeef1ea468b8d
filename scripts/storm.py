"""A storm of new connections beside quiet clients: how much later do these get their ticks?

Each measurement starts its own server with its default limits; calm and storm take turns, and
the median of the pairs counts. As root on Linux, server and clients run before all other programs.

Exit code: 0 within the budget, 1 beyond it, 2 wrong flags or no server, 130 interrupted.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence

from lab.cli import Parser, interruption, number
from lab.crowd.workers import WorkerDied
from lab.site.server import ServerFailed
from lab.site.target import TargetError
from lab.storm.run import Options, Window, ratio, run


def main(argv: Sequence[str] | None = None) -> int:
    """Run the pairs and return the exit code (argparse itself exits for --help and misuse)."""
    parser = Parser("storm.py", str(__doc__))
    count = number(int, 1, 20_000)
    parser.add_argument("--quiet", type=count, default=5000, help="clients that are there")
    parser.add_argument("--storm", type=count, default=5000, help="clients that come")
    parser.add_argument("--seconds", type=number(float, 1, 60), default=10.0, help="in this time")
    parser.add_argument("--pairs", type=number(int, 1, 99), default=3, help="calm and storm each")
    parser.add_argument("--most", type=number(float, 1, 99), default=1.5, help="the budget")
    flags = parser.parse_args(argv)
    options = Options(flags.quiet, flags.storm, flags.seconds, flags.pairs)
    try:
        pairs = asyncio.run(_interruptible(options))
    except (TargetError, ServerFailed, WorkerDied) as problem:
        print(f"storm: {problem}", file=sys.stderr)
        return 2
    for calm, storm in pairs:
        print(
            f"p99 {calm.p99_ms:.1f} ms calm, {storm.p99_ms:.1f} ms in a storm of {storm.came} "
            f"({storm.p99_ms / calm.p99_ms:.2f} x); the clients' own part {calm.own_p99_ms:.1f} "
            f"and {storm.own_p99_ms:.1f} ms; dropped {calm.dropped + storm.dropped}"
        )
    if not all(window.undisturbed for pair in pairs for window in pair):
        print("other programs may have disturbed: only root may put these processes first")
    if len(pairs) < flags.pairs:
        return 130
    print(f"median {ratio(pairs):.2f} x, of at most {flags.most:g}")
    return 0 if ratio(pairs) <= flags.most else 1


async def _interruptible(options: Options) -> list[tuple[Window, Window]]:
    return await run(options, interruption())


if __name__ == "__main__":
    sys.exit(main())
