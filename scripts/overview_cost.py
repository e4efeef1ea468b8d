"""Measures what a beat of the streams costs, in µs of one core: to those that watch all sessions,
and of prices and a session to others.

With ``--against`` the latter are measured in a second checkout in turns with this one.
"""

from __future__ import annotations

from lab.checkouts import tell_costs
from lab.overview import compared

if __name__ == "__main__":
    tell_costs(__doc__, compared, decimals=0)
