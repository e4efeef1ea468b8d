"""Measures how fast a replay is and how much memory it takes, in a server of its own.

Ticks are made up, of ten symbols, forty a second. `--open` is how many trades are open meanwhile.
"""

from __future__ import annotations

import argparse
import asyncio
import sys

from lab.replays import measured


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ticks", type=int, default=1_000_000, help="default: %(default)s")
    parser.add_argument("--open", type=int, default=0, metavar="N", help="default: %(default)s")
    asked = parser.parse_args()
    try:
        result = asyncio.run(measured(asked.ticks, asked.open))
    except KeyboardInterrupt:
        sys.exit(130)
    print(
        f"{result.ticks} ticks with {asked.open} open trades: "
        f"{result.ticks / result.seconds:,.0f} a second, {result.ticks / result.cpu_s:,.0f} a "
        f"second of CPU; RSS {result.early_bytes / 1e6:.1f} MB after a tenth, "
        f"{result.memory_bytes / 1e6:.1f} MB at the end"
    )


if __name__ == "__main__":
    main()
