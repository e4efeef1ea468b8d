"""Measures what access control costs: a token once a connection, rights for each command.

Exit code: 1 past the budgets of 150 µs a token and 1 µs a command.
"""

from __future__ import annotations

import argparse
import asyncio
import sys

from lab.access import COMMAND_US, TOKEN_US, measure


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", metavar="N", type=int, default=5, help="default: %(default)s")
    figures = asyncio.run(measure(parser.parse_args().rounds))
    for name, cost_us in figures.items():
        print(f"{name:<24} {cost_us:8.2f} µs")
    tokens = [cost_us for name, cost_us in figures.items() if name.startswith("token")]
    rights = [cost_us for name, cost_us in figures.items() if name.startswith("rights")]
    return 0 if max(tokens) <= TOKEN_US and max(rights) <= COMMAND_US else 1


if __name__ == "__main__":
    sys.exit(main())
