"""Measures what a tick costs on its way through the choice of a source, in µs of one core.

With ``--against`` a second checkout is measured in turns with this one.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from lab.ticks import compared


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--against", type=Path, metavar="DIR", help="another checkout")
    parser.add_argument("--repeat", type=int, default=5, help="default: %(default)s")
    asked = parser.parse_args()
    here = Path(__file__).parents[1]
    new, *old = compared([here] if asked.against is None else [here, asked.against], asked.repeat)
    for case, cost_us in new.items():
        ratio = f", {cost_us / old[0][case]:.2f} times the other's" if old else ""
        print(f"{case}: {cost_us:.2f}{ratio}")


if __name__ == "__main__":
    main()
