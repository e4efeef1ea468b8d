"""Measures what the console costs a browser: 200 symbols and 100 positions, ten times a second.

The server has the first core, Chromium another (`pip install '.[test]'`). Frames and long tasks
mean something on a quiet machine only; busy time and memory do on any. It takes ten minutes: memory
counts from the third to the tenth.
"""

from __future__ import annotations

import argparse
import asyncio
from statistics import median

from lab.console import Load, measure


def main() -> None:
    usual = Load()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--symbols", type=int, default=usual.symbols, help="default: %(default)s")
    parser.add_argument("--positions", type=int, default=usual.positions)
    parser.add_argument("--settle", type=float, default=usual.settle_s, help="seconds")
    parser.add_argument("--watch", type=float, default=usual.watch_s, help="seconds")
    asked = parser.parse_args()
    cost = asyncio.run(measure(Load(asked.symbols, asked.positions, asked.settle, asked.watch)))
    print(f"first price on the page after {cost.first_ms:.0f} ms")
    print(f"frames: median {median(cost.frames_ms):.1f} ms, p99 {cost.p99_ms:.1f} ms")
    print(
        f"long tasks: {len(cost.long_tasks_ms)}, longest {max(cost.long_tasks_ms, default=0):.0f}"
    )
    print(f"the page's thread was busy for {cost.busy_percent:.0f} % of the time")
    heaps = ", ".join(f"{heap / 1e6:.2f}" for heap in cost.heaps_bytes)
    print(f"memory after collections, MB: {heaps} ({cost.growth_percent:+.1f} %)")


if __name__ == "__main__":
    main()
