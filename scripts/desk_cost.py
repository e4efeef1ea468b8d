"""What a price costs the desk: guarded trades on one symbol, and a store of its own.

It tells how much CPU time a price takes that does nothing, without and with rules in each session,
how long until all stops are stored that one price moves, and until all exits are that one price
triggers; in ten sessions and in a thousand. It judges nothing.
"""

from __future__ import annotations

import argparse
import asyncio
from statistics import median

from lab.desk import measure


async def run(options: argparse.Namespace) -> None:
    print(f"{options.trades} open trades on one symbol; the median of {options.rounds} rounds")
    for sessions in options.sessions:
        cost = await measure(sessions, options.trades, options.rounds)
        print(
            f"{sessions:5d} sessions: a price that does nothing {cost.quiet_us:.0f} µs"
            f" (99th percentile {cost.quiet_worst_us:.0f}),"
            f" with rules {cost.ruled_us:.0f} µs (99th percentile {cost.ruled_worst_us:.0f});"
            f" all stops moved and stored after {median(cost.moved_s):.2f} s"
            f" ({min(cost.moved_s):.2f} to {max(cost.moved_s):.2f},"
            f" CPU time {median(cost.moved_cpu_s):.2f} s);"
            f" all closed after {cost.closed_s:.2f} s",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trades", type=int, default=1000, help="default: %(default)s")
    parser.add_argument("--rounds", type=int, default=5, help="default: %(default)s")
    parser.add_argument("--sessions", type=int, nargs="+", default=[10, 1000])
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
