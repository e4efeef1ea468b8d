"""The session's log: what a reader at a place gets, and how it is kept short."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vyomo_rt.domain.event import EventKind
from vyomo_rt.stream import log as log_module
from vyomo_rt.stream.log import Passage, SessionLog, Shelf
from vyomo_rt.wire.commands import ALL_TYPES
from vyomo_rt.wire.frame import Frame, Framing

kinds = st.sampled_from(EventKind)


def entry(number: int, kind: EventKind = EventKind.OPENED) -> Frame:
    return Frame(kind.value, (b"w%d;" % number, b"s%d;" % number))


def joined(passage: Passage, framing: Framing = Framing.WS) -> bytes:
    return b"".join(frame.data[framing] for frame in passage.frames)


def texts(*numbers: int) -> bytes:
    return b"".join(b"w%d;" % number for number in numbers)


@given(
    base=st.integers(0, 50),
    history=st.lists(kinds, max_size=30),
    wanted=st.sets(kinds),
    behind=st.integers(0, 30),
    max_bytes=st.integers(1, 40),
    framing=st.sampled_from(Framing),
)
def test_reading_in_pieces_gives_every_wanted_event_once_in_order(
    *,
    base: int,
    history: list[EventKind],
    wanted: set[EventKind],
    behind: int,
    max_bytes: int,
    framing: Framing,
) -> None:
    log = SessionLog(base, 10_000, Shelf(10**9))
    for number, kind in enumerate(history, base + 1):
        log.append(entry(number, kind))
    start = seq = max(base, log.end - behind)
    pieces = []
    while seq < log.end:
        passage = log.read(seq, wanted, framing, max_bytes)
        assert seq < passage.seq <= log.end
        piece = joined(passage, framing)
        assert len(piece) < max_bytes + 5, "a piece is about as long as asked for"
        pieces.append(piece)
        seq = passage.seq
    expected = [
        entry(number, kind).data[framing]
        for number, kind in enumerate(history, base + 1)
        if number > start and kind in wanted
    ]
    assert b"".join(pieces) == b"".join(expected)


def test_a_log_is_cut_in_steps_and_never_below_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_module, "_TRIM_AT_ONCE", 4)
    log = SessionLog(base=0, limit=10, shelf=Shelf(10**9))
    for number in range(1, 101):
        log.append(entry(number))
        assert log.end == number
        held = log.end - log.base
        assert held == number or 10 <= held < 14
        passage = log.read(log.base, ALL_TYPES, Framing.WS, 10**6)
        assert joined(passage) == texts(*range(log.base + 1, number + 1))


@given(st.integers(0, 30), st.integers(0, 60))
def test_a_reader_is_within_reach_up_to_the_limit_and_not_ahead_of_the_log(
    end: int, seq: int
) -> None:
    log = SessionLog(base=end, limit=10, shelf=Shelf(10**9))
    assert log.within_reach(seq) == (end - 10 <= seq <= end)


def test_older_events_go_before_those_that_are_there() -> None:
    log = SessionLog(base=5, limit=10, shelf=Shelf(10**9))
    log.append(entry(6))
    log.prepend([entry(3), entry(4), entry(5)])
    assert (log.base, log.end) == (2, 6)
    assert joined(log.read(2, ALL_TYPES, Framing.WS, 10**6)) == texts(3, 4, 5, 6)
    assert joined(log.read(4, ALL_TYPES, Framing.WS, 10**6)) == texts(5, 6)


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(1, 40)), max_size=60))
def test_all_logs_together_stay_within_their_budget_and_the_longest_lose_their_oldest_events(
    appended: list[tuple[int, int]],
) -> None:
    size = 200 + len(b"w1;") * 2
    shelf = Shelf(100 * size)
    logs = [SessionLog(0, 10_000, shelf) for _ in range(5)]
    written = [0] * 5
    for index, count in appended:
        for _ in range(count):
            written[index] += 1
            logs[index].append(entry(1))
            assert shelf.bytes == sum(log.bytes for log in logs) <= 100 * size
        assert logs[index].end == written[index], "it forgets the oldest, not the place"
    held = [len(log) for log in logs]
    assert shelf.bytes == sum(held) * size
    if sum(written) > 100:
        assert sum(held) > 40, "no more is forgotten than needed"
        assert all(held[i] == written[i] for i in range(5) if written[i] < 10)
    for log in logs:
        shelf.remove(log)
    assert shelf.bytes == 0
