"""Measures what a beat of the streams costs, in µs of one core: to those that watch all sessions,
and of prices and a session to others.

With ``--against`` the latter are measured in a second checkout in turns with this one.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from lab.overview import compared


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--against", type=Path, metavar="DIR", help="another checkout")
    parser.add_argument("--repeat", type=int, default=5, help="default: %(default)s")
    asked = parser.parse_args()
    here = Path(__file__).parents[1]
    new, *old = compared([here] if asked.against is None else [here, asked.against], asked.repeat)
    for case, cost_us in new.items():
        before_us = old[0].get(case) if old else None
        ratio = "" if before_us is None else f", {cost_us / before_us:.2f} times the other's"
        print(f"{case}: {cost_us:.0f}{ratio}")


if __name__ == "__main__":
    main()
