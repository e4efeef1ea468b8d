"""Measures what the console costs a browser: 200 symbols and 100 positions, ten times a second.

The server has the first core, Chromium another (`pip install '.[test]'`). Frames and long tasks
mean something on a quiet machine only; busy time and memory do on any. It takes ten minutes: memory
is told of each, and counts from the third on.
"""

from __future__ import annotations

import argparse
import asyncio
from statistics import median

from lab.console import Load, measure

FLAT_FROM = 3
"""The minute from which memory is to be flat."""


def main() -> None:
    usual = Load()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--symbols", type=int, default=usual.symbols, help="default: %(default)s")
    parser.add_argument("--positions", type=int, default=usual.positions)
    parser.add_argument("--minutes", type=int, default=10, help="at least 4; %(default)s")
    asked = parser.parse_args()
    if asked.minutes < FLAT_FROM + 1:
        parser.error(f"--minutes must be at least {FLAT_FROM + 1}: memory counts from there on")
    watch_s = (asked.minutes - 1) * 60
    load = Load(asked.symbols, asked.positions, 60, watch_s, asked.minutes)
    cost = asyncio.run(measure(load))
    print(f"first price on the page after {cost.first_ms:.0f} ms")
    print(f"frames: median {median(cost.frames_ms):.1f} ms, p99 {cost.p99_ms:.1f} ms")
    print(
        f"long tasks: {len(cost.long_tasks_ms)}, longest {max(cost.long_tasks_ms, default=0):.0f}"
    )
    print(f"the page's thread was busy for {cost.busy_percent:.0f} % of the time")
    for what, longest_ms in cost.spikes_ms.items():
        print(f"longest task when {what}: {longest_ms:.0f} ms of CPU time")
    heaps = ", ".join(f"{heap / 1e6:.2f}" for heap in cost.heaps_bytes)
    swing, rise = cost.flatness(FLAT_FROM - 1)
    print(f"memory after collections, MB, each minute: {heaps}")
    print(f"elements: {', '.join(map(str, cost.elements))}")
    print(f"from minute {FLAT_FROM} on within {swing:.1f} % of its mean, rising by {rise:+.1f} %")


if __name__ == "__main__":
    main()
