"""``vyomo-rt`` that also times the garbage collector: on SIGUSR1 it prints a line about it."""

from __future__ import annotations

import gc
import os
import signal
import sys
import time

from vyomo_rt.__main__ import main


def collect(*_: object) -> None:
    """Collect generation 1, then all, and print how many milliseconds each took."""
    begun_s = time.perf_counter()
    gc.collect(1)
    between_s = time.perf_counter()
    gc.collect()
    ended_s = time.perf_counter()
    young_ms, all_ms = (between_s - begun_s) * 1000, (ended_s - between_s) * 1000
    # Not by print, which the signal may have interrupted.
    os.write(sys.stdout.fileno(), f"collected in {young_ms:.3f} and {all_ms:.3f} ms\n".encode())


if __name__ == "__main__":
    signal.signal(signal.SIGUSR1, collect)
    sys.exit(main())
