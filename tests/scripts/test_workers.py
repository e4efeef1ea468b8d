"""Processes share the clients of a plan."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from lab.crowd.workers import shares
from tests.scripts.plan import PLAN


@given(st.data())
def test_the_shares_of_the_processes_add_up_to_the_plan(data: st.DataObject) -> None:
    clients = data.draw(st.integers(1, 200))
    sse_clients = data.draw(st.integers(0, clients))
    processes = data.draw(st.integers(1, clients))
    stalled = data.draw(st.integers(0, clients))
    plan = msgspec.structs.replace(PLAN, clients=clients, sse_clients=sse_clients, stalled=stalled)
    parts = shares(plan, processes)
    assert len(parts) == processes
    assert sum(part.clients for part in parts) == clients
    assert sum(part.sse_clients for part in parts) == sse_clients
    assert sum(part.stalled for part in parts) == stalled
    for part in parts:
        assert part.clients >= 1
        assert 0 <= part.sse_clients <= part.clients
