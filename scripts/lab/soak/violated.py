"""What ends a soak."""

from __future__ import annotations


class Violated(Exception):
    """An invariant does not hold; the text names it and what was found."""
