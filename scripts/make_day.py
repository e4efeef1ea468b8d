"""Makes the recorded day that ships, which `make replay` plays: simulated, and always the same."""

from __future__ import annotations

import argparse
import gzip
from pathlib import Path

from lab.days import made_day

DAY = Path(__file__).parents[1] / "examples" / "day.ndjson.gz"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path, nargs="?", default=DAY, help="default: %(default)s")
    path = parser.parse_args().file
    text = b"".join(made_day())
    path.parent.mkdir(exist_ok=True)
    # Without a name and a time the same day is the same file.
    path.write_bytes(gzip.compress(text, 9, mtime=0))
    print(f"{path}: {text.count(10)} lines, {path.stat().st_size / 1000:.0f} KB")


if __name__ == "__main__":
    main()
