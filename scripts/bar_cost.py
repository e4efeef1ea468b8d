"""Measures what bars cost: a price on its way, in µs, and a minute of 500 symbols in the store."""

from __future__ import annotations

import argparse

from lab.bars import measured


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--symbols", type=int, default=500, help="default: %(default)s")
    parser.add_argument("--repeat", type=int, default=3, help="default: %(default)s")
    asked = parser.parse_args()
    found = measured(asked.symbols, asked.repeat)
    print(f"a price, when it comes: {found.note_us:.2f} µs; counted later: {found.count_us:.2f} µs")
    print(f"a minute: {found.minute_ms:.0f} ms of the store, in writes of {found.save_ms:.1f} ms")
    print(f"an hour's documents: {found.hour_ms:.0f} ms, in writes of {found.piece_ms:.1f} ms")


if __name__ == "__main__":
    main()
