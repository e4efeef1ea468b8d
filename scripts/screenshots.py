"""Makes the pictures of the console in docs/images: `python scripts/screenshots.py`.

`--all FOLDER` takes one of each width and state into a folder, to be looked at after a change. It
starts servers in their own folders and drives Chromium with Playwright (`pip install '.[test]'`).
That takes some minutes: the chart, the curve and the lines of the watchlist need something to
show.
"""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

from lab.pictures import WARM_UP_S, take_all

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--all", type=Path, metavar="FOLDER", help="each width and state, there")
    parser.add_argument("--warm-up", type=int, default=WARM_UP_S, help="seconds, %(default)s")
    asked = parser.parse_args()
    asyncio.run(take_all(asked.all, asked.warm_up))
