"""Writes whose answer was lost: they happen once or never, and nothing overtakes them."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from tests.kit.waiting import PATIENCE_S
from tests.trading.bench import BEGIN_MS, NOT_WRITTEN, WRITTEN, Bench, FaultyStore
from vyomo_rt.domain.errors import OutcomeUnknown, Unavailable
from vyomo_rt.domain.event import Event, EventKind
from vyomo_rt.domain.order import Operation
from vyomo_rt.domain.session import SessionStatus
from vyomo_rt.domain.trade import Exit, ExitReason
from vyomo_rt.store.client import connect
from vyomo_rt.store.embedded import EmbeddedServer

BOTH = pytest.mark.parametrize("happened", [WRITTEN, NOT_WRITTEN], ids=["written", "not written"])


def never() -> Any:
    raise AssertionError("a repeated request was read again")


async def unavailable(command: Coroutine[Any, Any, object]) -> None:
    """A command that is refused because an earlier write is open, not tried."""
    with pytest.raises(Unavailable) as refused:
        await command
    assert type(refused.value) is Unavailable


@BOTH
async def test_an_opening_whose_answer_was_lost_is_there_exactly_once(
    bench: Bench, happened: bool
) -> None:
    session_id = await bench.new_session()
    bench.store.lost.append(happened)
    with pytest.raises(OutcomeUnknown):
        await bench.open(session_id, key="key")
    await bench.reached(session_id, 1)
    trade, repeated = await bench.desk.open_trade(session_id, Operation("key", "h"), never)
    assert repeated
    assert bench.replica.state(session_id).open_trades == {trade.trade_id: trade}
    await bench.close(trade.trade_id)
    await bench.assert_sound(session_id)


@BOTH
async def test_a_close_whose_answer_was_lost_is_there_exactly_once(
    bench: Bench, happened: bool
) -> None:
    session_id = await bench.new_session()
    trade = await bench.open(session_id)
    bench.store.lost.append(happened)
    with pytest.raises(OutcomeUnknown):
        await bench.close(trade.trade_id, 102_0000, key="key")
    await bench.reached(session_id, 2)
    closed, repeated = await bench.desk.close_trade(trade.trade_id, Operation("key", "h"), never)
    assert (closed.realised_paise, repeated) == (20_00, True)
    await bench.assert_sound(session_id)


@BOTH
async def test_an_exit_is_settled_with_the_price_and_time_that_triggered_it(
    bench: Bench, happened: bool
) -> None:
    session_id = await bench.new_session()
    trade = await bench.open(session_id, stop_e4=95_0000, target_e4=110_0000)
    bench.store.lost.extend([happened, NOT_WRITTEN, NOT_WRITTEN])
    bench.tick(94_0000)
    bench.now_ms += 60_000
    bench.tick(120_0000)
    await bench.reached(session_id, 2)
    closed = await bench.desk.records.trade(trade.trade_id)
    assert closed.exit == Exit(94_0000, ExitReason.SL, BEGIN_MS)
    await bench.assert_sound(session_id)


@BOTH
async def test_until_it_is_settled_the_number_stays_reserved_and_commands_are_unavailable(
    bench: Bench, happened: bool
) -> None:
    session_id, other = await bench.new_session(), await bench.new_session()
    trade = await bench.open(session_id, stop_e4=95_0000)
    bench.store.lost.append(happened)
    bench.store.away = True
    with pytest.raises(OutcomeUnknown):
        await bench.open(session_id, key="key")

    before = bench.replica.state(session_id)
    for _ in range(3):
        await unavailable(bench.open(session_id))
        with pytest.raises(OutcomeUnknown):
            await bench.open(session_id, key="key")
        await unavailable(bench.close(trade.trade_id))
        await unavailable(bench.change_session(session_id, status=SessionStatus.PAUSED))
        await asyncio.sleep(0.02)
    bench.tick(94_0000)
    assert bench.replica.state(session_id) is before, "reading goes on, and nothing has changed"
    assert [event.seq for event in bench.announced] == [1]

    bench.store.away = False
    await bench.open(other)
    await bench.reached(session_id, 3)
    kinds = [(event.seq, event.kind) for event in await bench.history(session_id)]
    assert kinds == [(1, EventKind.OPENED), (2, EventKind.OPENED), (3, EventKind.CLOSED)]
    second, repeated = await bench.desk.open_trade(session_id, Operation("key", "h"), never)
    assert (second.trade_id != trade.trade_id, repeated) == (True, True)
    await bench.assert_sound(session_id)
    await bench.assert_sound(other)


async def test_other_sessions_go_on_while_one_waits(bench: Bench) -> None:
    session_id, other = await bench.new_session(), await bench.new_session()
    bench.store.lost.extend([NOT_WRITTEN] * 3)
    with pytest.raises(OutcomeUnknown):
        await bench.open(session_id)
    bench.store.lost.clear()
    await bench.open(other)
    await bench.reached(session_id, 1)
    await bench.assert_sound(other)
    await bench.assert_sound(session_id)


async def test_a_command_is_refused_at_once_also_while_the_store_is_being_asked(
    bench: Bench,
) -> None:
    session_id = await bench.new_session()
    bench.store.lost.append(NOT_WRITTEN)
    bench.store.away, bench.store.answers_after_s = True, 1.0
    with pytest.raises(OutcomeUnknown):
        await bench.open(session_id)
    await asyncio.sleep(0.05)  # now the write is being repeated
    async with asyncio.timeout(0.5):
        await unavailable(bench.open(session_id))
    bench.store.away = False
    await bench.reached(session_id, 1)


async def test_commands_that_wait_behind_a_lost_answer_are_refused_not_tried(bench: Bench) -> None:
    session_id = await bench.new_session()
    bench.store.lost.append(NOT_WRITTEN)
    bench.store.away = True
    outcomes = await asyncio.gather(
        *(bench.open(session_id) for _ in range(4)), return_exceptions=True
    )
    assert [type(outcome) for outcome in outcomes] == [OutcomeUnknown, *[Unavailable] * 3]
    bench.store.away = False
    await bench.reached(session_id, 1)
    await bench.open(session_id)
    assert bench.seq(session_id) == 2
    await bench.assert_sound(session_id)


@BOTH
async def test_a_status_whose_answer_was_lost_is_set_and_announced_once(
    bench: Bench, happened: bool
) -> None:
    session_id = await bench.new_session()
    bench.store.lost.append(happened)
    with pytest.raises(OutcomeUnknown):
        await bench.change_session(session_id, status=SessionStatus.PAUSED)
    await bench.reached(session_id, 1)
    assert bench.replica.state(session_id).session.status is SessionStatus.PAUSED
    await bench.change_session(session_id, status=SessionStatus.ACTIVE)
    await bench.restart()
    assert bench.replica.state(session_id).session.status is SessionStatus.ACTIVE
    assert bench.seq(session_id) == 2
    await bench.assert_sound(session_id)


@BOTH
async def test_a_session_whose_answer_was_lost_is_made_exactly_once(
    bench: Bench, happened: bool
) -> None:
    bench.store.lost.append(happened)
    with pytest.raises(OutcomeUnknown):
        await bench.new_session("key")
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                session_id = await bench.new_session("key")
                break
            except Unavailable:
                await asyncio.sleep(0.005)
    await asyncio.sleep(0.1)  # an attempt that is still settling must not make another one
    assert [state.session.session_id for state in bench.replica.states()] == [session_id]
    await bench.open(session_id)
    await bench.restart()
    assert [state.session.session_id for state in bench.replica.states()] == [session_id]
    await bench.assert_sound(session_id)


@BOTH
async def test_a_session_without_a_key_is_taken_up_once_it_is_known_to_be_there(
    bench: Bench, happened: bool
) -> None:
    bench.store.lost.append(happened)
    with pytest.raises(OutcomeUnknown):
        await bench.new_session()
    async with asyncio.timeout(PATIENCE_S):
        while not bench.replica.states():  # noqa: ASYNC110 - only the state tells
            await asyncio.sleep(0.005)
    (state,) = bench.replica.states()
    await bench.open(state.session.session_id)
    await bench.restart()
    assert len(bench.replica.states()) == 1


@BOTH
async def test_a_crash_before_it_is_settled_leaves_the_trade_once_or_not_at_all(
    bench: Bench, happened: bool
) -> None:
    session_id = await bench.new_session()
    bench.store.lost.append(happened)
    bench.store.away = True
    with pytest.raises(OutcomeUnknown):
        await bench.open(session_id, key="key")
    await bench.desk.stop()
    bench.store.away = False
    await bench.restart()
    assert bench.seq(session_id) == (1 if happened else 0)
    await bench.open(session_id, key="key")
    assert bench.seq(session_id) == 1
    await bench.assert_sound(session_id, all_announced=False)


async def test_any_answers_may_be_lost_in_a_row(bench: Bench) -> None:
    """Each opening is repeated under its key until it is answered, whatever was lost."""
    session_id = await bench.new_session()
    for number in range(6):
        bench.store.lost.extend(WRITTEN if number >> bit & 1 else NOT_WRITTEN for bit in range(3))
        async with asyncio.timeout(PATIENCE_S):
            while True:
                try:
                    await bench.open(session_id, key=f"key {number}")
                    break
                except Unavailable:
                    await asyncio.sleep(0.005)
        bench.store.lost.clear()
    assert bench.seq(session_id) == 6
    await bench.assert_sound(session_id)


# --- commands whose caller no longer waits


def cancel(command: asyncio.Task[Any]) -> None:
    command.cancel()


async def test_a_command_that_is_given_up_in_the_midst_of_its_write_happens_once(
    bench: Bench,
) -> None:
    session_id = await bench.new_session()
    command = asyncio.create_task(bench.open(session_id, key="key"))
    bench.store.before_append = lambda _: cancel(command)
    with pytest.raises(asyncio.CancelledError):
        await command
    await unavailable(bench.open(session_id))
    await bench.reached(session_id, 1)
    _, repeated = await bench.desk.open_trade(session_id, Operation("key", "h"), never)
    assert repeated
    await bench.assert_sound(session_id)


async def test_an_exit_in_front_of_a_command_that_is_given_up_happens_all_the_same(
    bench: Bench,
) -> None:
    session_id = await bench.new_session()
    trade = await bench.open(session_id, stop_e4=95_0000)
    command = asyncio.create_task(bench.open(session_id, key="key"))
    bench.store.before_append = lambda _: cancel(command)
    await asyncio.sleep(0)  # it has its turn, and looks for the key
    bench.tick(94_0000)
    with pytest.raises(asyncio.CancelledError):
        await command
    await bench.reached(session_id, 2)
    assert (await bench.desk.records.trade(trade.trade_id)).exit is not None
    assert await bench.store.find_event(session_id, "key") is None
    await bench.assert_sound(session_id)


async def test_a_session_whose_making_is_given_up_is_made_once(bench: Bench) -> None:
    bench.store.away, bench.store.answers_after_s = True, 60.0
    making = asyncio.create_task(bench.new_session("key"))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await making
    bench.store.away = False
    async with asyncio.timeout(PATIENCE_S):
        while not bench.replica.states():  # noqa: ASYNC110 - only the state tells
            await asyncio.sleep(0.005)
    (state,) = bench.replica.states()
    assert await bench.new_session("key") == state.session.session_id


async def test_a_command_that_is_given_up_while_it_waits_leaves_the_queue(bench: Bench) -> None:
    session_id = await bench.new_session()
    bench.store.away, bench.store.answers_after_s = True, 0.3
    first = asyncio.create_task(bench.open(session_id))
    waiting = asyncio.create_task(bench.open(session_id, key="key"))
    await asyncio.sleep(0.05)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    with pytest.raises(OutcomeUnknown):
        await first
    bench.store.away = False
    await bench.reached(session_id, 1)
    assert await bench.store.find_event(session_id, "key") is None
    await bench.assert_sound(session_id)


# --- with a store that is really frozen


@pytest.fixture
async def freezable(tmp_path: Path) -> AsyncIterator[tuple[Bench, Callable[[int], None]]]:
    """A bench on an embedded server of its own, and how to send that a signal."""
    server = EmbeddedServer(tmp_path / "data")
    store = FaultyStore(connect(await server.start()), "vyomo")
    await store.prepare()
    bench = Bench(store)

    def send(signal_: int) -> None:
        assert server.pid is not None
        os.kill(server.pid, signal_)

    yield bench, send
    send(signal.SIGCONT)
    await bench.desk.stop()
    await store.close()
    await server.stop()


async def test_a_store_that_freezes_in_mid_write_and_thaws_has_everything_once(
    freezable: tuple[Bench, Callable[[int], None]],
) -> None:
    bench, send = freezable
    sessions = [await bench.new_session() for _ in range(3)]
    guarded = await bench.open(sessions[0], stop_e4=95_0000)
    refusals: list[type[Exception]] = []
    frozen = asyncio.Event()

    def freeze(event: Event) -> None:
        """Just before the fifth event of the first session is sent to the store."""
        if (event.session_id, event.seq) == (sessions[0], 5) and not frozen.is_set():
            send(signal.SIGSTOP)
            frozen.set()
            bench.tick(94_0000)
            bench.now_ms += 5000

    async def write(session_id: int, count: int) -> None:
        """Open trades, each under a key that is repeated until it is answered."""
        for number in range(count):
            while True:
                try:
                    await bench.open(session_id, key=f"key {number}")
                    break
                except Unavailable as error:
                    refusals.append(type(error))
                    await asyncio.sleep(0.02)

    async def thaw() -> None:
        await frozen.wait()
        while OutcomeUnknown not in refusals:  # noqa: ASYNC110 - only the desk tells
            await asyncio.sleep(0.01)
        send(signal.SIGCONT)

    bench.store.before_append = freeze
    async with asyncio.timeout(20):
        await asyncio.gather(thaw(), *(write(session_id, 8) for session_id in sessions))
    await bench.reached(sessions[0], 10)
    for session_id in sessions:
        await bench.assert_sound(session_id)
        opened = [event for event in bench.announced if event.session_id == session_id]
        keys = [event.operation_id for event in opened if event.operation_id.startswith("key")]
        assert keys == [f"key {number}" for number in range(8)]
    closed = await bench.desk.records.trade(guarded.trade_id)
    assert closed.exit == Exit(94_0000, ExitReason.SL, BEGIN_MS)
    before = bench.replica.states()
    await bench.restart()
    assert bench.replica.states() == before
