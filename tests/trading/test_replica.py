"""A replica that only folds: it needs events, and nothing of a store or a desk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from tests.trading.bench import BEGIN_MS, Bench
from vyomo_rt.domain.errors import NotFound
from vyomo_rt.domain.event import Event
from vyomo_rt.domain.moment import trading_day
from vyomo_rt.domain.session import SessionStatus
from vyomo_rt.domain.state import Figures, SessionState, state_of
from vyomo_rt.trading.replica import Replica

TODAY = trading_day(BEGIN_MS)


class Notes:
    def __init__(self) -> None:
        self.events: list[tuple[Event, SessionState]] = []
        self.states: list[SessionState] = []

    def publish_events(self, events: Sequence[Event], state: SessionState) -> None:
        self.events += [(event, state) for event in events]

    def publish_state(self, state: SessionState) -> None:
        self.states.append(state)


async def test_another_replica_that_gets_the_events_holds_and_tells_what_the_desks_does(
    bench: Bench,
) -> None:
    session_id = await bench.new_session()
    born = bench.replica.state(session_id).session
    kept = await bench.open(session_id)
    ended = await bench.open(session_id)
    await bench.close(ended.trade_id, 101_0000)
    await bench.change_session(session_id, status=SessionStatus.PAUSED)

    other, notes = Replica(TODAY), Notes()
    other.followers.append(notes)
    other.add(state_of(born, Figures(), TODAY))
    for event in bench.announced:
        other.apply([event])

    assert other.states() == bench.replica.states()
    assert [event for event, _ in notes.events] == bench.announced
    assert [state.seq for _, state in notes.events] == [1, 2, 3, 4]
    assert (other.open_count, other.find_open(kept.trade_id)) == (1, kept)
    assert other.find_open(ended.trade_id) is None


async def test_an_event_that_is_not_the_next_one_is_a_fault_of_its_caller(bench: Bench) -> None:
    session_id = await bench.new_session()
    await bench.open(session_id)
    [event] = bench.announced
    with pytest.raises(AssertionError):
        bench.replica.apply([event])
    with pytest.raises(AssertionError):
        bench.replica.apply([replace(event, seq=3)])
    assert bench.replica.state(session_id).seq == 1


async def test_a_follower_that_fails_keeps_no_other_from_being_told(bench: Bench) -> None:
    class Broken(Notes):
        def publish_events(self, events: Sequence[Event], state: SessionState) -> None:
            raise RuntimeError(events, state)

    notes = Notes()
    bench.replica.followers[:] = [Broken(), notes, *bench.replica.followers]
    session_id = await bench.new_session()
    await bench.open(session_id)
    assert [event for event, _ in notes.events] == bench.announced
    assert bench.replica.state(session_id).seq == 1


def test_a_session_that_is_not_there_is_none_or_not_found() -> None:
    replica = Replica(TODAY)
    assert (replica.find(6), replica.find_open(1), 6 in replica, len(replica)) == (
        None,
        None,
        False,
        0,
    )
    with pytest.raises(NotFound, match="session 6"):
        replica.state(6)
