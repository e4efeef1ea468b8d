"""Makes a calendar file from NSE's list of trading holidays, for `vyomo-rt serve --calendar`.

Without a name it is written to the default data folder, where the server finds it by itself.
NSE refuses many networks; VYOMO_RT_NSE_URL names another address, --answer a saved answer.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from lab.holidays import NoCalendar, update


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    default = Path("vyomo-data/calendar.json")
    parser.add_argument("file", nargs="?", type=Path, default=default, help="default: %(default)s")
    parser.add_argument("--answer", type=Path, metavar="FILE", help="NSE's answer, saved before")
    asked = parser.parse_args()
    try:
        print(update(asked.file, asked.answer))
    except (NoCalendar, OSError) as error:
        sys.exit(f"update_calendar: {error}")


if __name__ == "__main__":
    main()
