"""What the clients of a load test are to do, for tests that have to say something."""

from __future__ import annotations

from lab.crowd.plan import Plan

PLAN = Plan("127.0.0.1", 4025, "localhost:4025", False, 6, ["NIFTY"], 1000, 1, 0, 100.0)
