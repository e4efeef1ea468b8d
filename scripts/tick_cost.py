"""Measures what a tick costs on its way through the choice of a source, in µs of one core.

With ``--against`` a second checkout is measured in turns with this one.
"""

from __future__ import annotations

from lab.checkouts import tell_costs
from lab.ticks import compared

if __name__ == "__main__":
    tell_costs(__doc__, compared, decimals=2)
