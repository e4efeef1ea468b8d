"""Makes the pictures of the console in docs/images: `python scripts/screenshots.py`.

Starts the demo in its own folder and drives Chromium with Playwright (`pip install '.[test]'`).
It takes about two minutes: the curve and the lines of the tiles need something to show.
"""

from __future__ import annotations

import asyncio

from lab.pictures import take_all

if __name__ == "__main__":
    asyncio.run(take_all())
