"""The server as a program, with leases that are soon dead: ``python short_lease.py serve …``."""

from __future__ import annotations

import sys

from vyomo_rt import __main__
from vyomo_rt.store import lease

LEASE_S = 1.5

if __name__ == "__main__":
    lease.LEASE_MS, lease.RENEW_S = round(LEASE_S * 1000), 0.2
    sys.exit(__main__.main())
