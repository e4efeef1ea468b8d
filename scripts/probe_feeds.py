"""Asks each address of Yahoo and of NSE once: its status, how late its price is, and a sample.

Run it where you want to use a feed: both refuse many networks. The lag means something only while
the market is open. Exit code: 0 if Yahoo's prices can be used (spark v8 or v7), else 1.
"""

from __future__ import annotations

import argparse
import asyncio
import sys

from lab.probe import NSE, YAHOO, lines, probe


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--yahoo", metavar="URL", default=YAHOO, help="default: %(default)s")
    parser.add_argument("--nse", metavar="URL", default=NSE, help="default: %(default)s")
    asked = parser.parse_args()
    outcomes = asyncio.run(probe(asked.yahoo, asked.nse))
    print("\n".join(lines(outcomes)))
    usable = [
        one for one in outcomes if one.name.startswith("yahoo spark") and one.lag_s is not None
    ]
    return 0 if usable else 1


if __name__ == "__main__":
    sys.exit(main())
