"""The server on a machine whose clock is wrong: ``python skewed.py SECONDS serve …``."""

from __future__ import annotations

import sys
import time


def main() -> int:
    """Shift the wall clock, then run the command line."""
    offset_s = int(sys.argv.pop(1))
    true_s, true_ns = time.time, time.time_ns
    time.time = lambda: true_s() + offset_s
    time.time_ns = lambda: true_ns() + offset_s * 1_000_000_000
    from vyomo_rt import __main__  # noqa: PLC0415 (it may keep the functions that it finds)

    return __main__.main()


if __name__ == "__main__":
    sys.exit(main())
