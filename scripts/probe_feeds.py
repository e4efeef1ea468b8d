"""Asks each address of the sources once: its status, how late its price is, and a sample.

Yahoo and NSE refuse many networks, so run it where you want to use them. Kite and OpenAlgo are
asked if the settings have a key: addresses and keys are those of the environment, as for
`vyomo-rt serve`. The lag means something only while the market is open. Exit code: 0 if any source
can be used, else 1.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys

from msgspec import structs

from lab.probe import USABLE, lines, probe
from vyomo_rt.config import load


def main() -> int:
    settings, _ = load({}, os.environ)
    parser = argparse.ArgumentParser(description=__doc__)
    for source, url in (("yahoo", settings.yahoo_url), ("nse", settings.nse_url)):
        parser.add_argument(f"--{source}", metavar="URL", default=url, help="default: %(default)s")
    asked = parser.parse_args()
    settings = structs.replace(settings, yahoo_url=asked.yahoo, nse_url=asked.nse)
    outcomes = asyncio.run(probe(settings))
    print("\n".join(lines(outcomes)))
    return 0 if any(one.name in USABLE and one.lag_s is not None for one in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
