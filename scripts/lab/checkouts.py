"""What something costs in this checkout, and beside it in another one."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

Costs = dict[str, float]
"""Microseconds of one core, by case."""

_HERE = Path(__file__).parents[2]


def costs_in(checkout: Path, scripts: Path, program: str) -> Costs:
    """What a program prints as JSON, run with that checkout's package and those scripts."""
    environ = os.environ | {"PYTHONPATH": os.pathsep.join([str(checkout), str(scripts)])}
    done = subprocess.run(  # noqa: S603 (this program, of a folder that the caller names)
        [sys.executable, "-P", "-c", program],
        env=environ,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    costs: Costs = json.loads(done.stdout)
    return costs


def tell_costs(
    description: str | None, compared: Callable[[list[Path], int], list[Costs]], decimals: int
) -> None:
    """A program that measures this checkout and, with ``--against``, another one in turns."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--against", type=Path, metavar="DIR", help="another checkout")
    parser.add_argument("--repeat", type=int, default=5, help="default: %(default)s")
    asked = parser.parse_args()
    new, *old = compared([_HERE] if asked.against is None else [_HERE, asked.against], asked.repeat)
    for case, cost_us in new.items():
        before_us = old[0].get(case) if old else None
        ratio = "" if before_us is None else f", {cost_us / before_us:.2f} times the other's"
        print(f"{case}: {cost_us:.{decimals}f}{ratio}")
