"""The flags of the soak test."""

from __future__ import annotations

import argparse
import random
from collections.abc import Sequence

from lab.cli import Parser, check_json

_MOST_MINUTES = 100_000
_MOST_STORM = 5000
_MOST_NODES = 9


def parse(argv: Sequence[str] | None, description: str) -> argparse.Namespace:
    """The flags; argparse itself exits for --help and misuse."""
    parser = Parser("soak.py", description)
    parser.add_argument("--minutes", type=float, default=10, help="default: %(default)s")
    parser.add_argument(
        "--seed", default=str(random.randrange(10**6)), help="of all choices; default: a new one"
    )
    parser.add_argument(
        "--nodes", type=int, default=1, metavar="N", help="on one store; default: %(default)s"
    )
    parser.add_argument(
        "--storm", type=int, default=300, metavar="N", help="clients at once; default: %(default)s"
    )
    parser.add_argument("--json", metavar="FILE", help="write the report there too; - is stdout")
    options = parser.parse_args(argv)
    if not 0 < options.minutes <= _MOST_MINUTES:
        parser.error(f"--minutes: must be more than 0 and at most {_MOST_MINUTES}")
    if not 1 <= options.nodes <= _MOST_NODES:
        parser.error(f"--nodes: must be from 1 to {_MOST_NODES}")
    if not 2 <= options.storm <= _MOST_STORM:
        parser.error(f"--storm: must be from 2 to {_MOST_STORM}")
    check_json(parser, options.json)
    return options
