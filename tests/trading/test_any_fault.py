"""Whatever happens to the store and the server, in whatever order: every trade once, as told.

The store is a real embedded server that is frozen, thawed and killed; a crash of the server is
a desk that is dropped as it stands. ``VYOMO_RT_TEST_EXAMPLES`` says how many histories are
tried, for a long run.
"""

from __future__ import annotations

import asyncio
import os
import signal
import uuid
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from tests.kit.waiting import until
from tests.trading.bench import Bench, FaultyStore
from vyomo_rt.domain.errors import Conflict, NumberTaken, Unavailable, VyomoError
from vyomo_rt.domain.event import Event, EventKind, TradeEvent
from vyomo_rt.domain.session import SessionStatus
from vyomo_rt.domain.trade import Exit, ExitReason, Trade
from vyomo_rt.store import client, embedded
from vyomo_rt.store.embedded import EmbeddedServer
from vyomo_rt.store.verification import verify

EXAMPLES = int(os.environ.get("VYOMO_RT_TEST_EXAMPLES", "6"))
IMPATIENT_MS = 150
SETTLED_WITHIN_S = 30
KILLED_AFTER_S = 0.003
"""A write has then come to the store, and is not answered."""
SESSIONS = 2

Step = tuple[Any, ...]

sessions = st.integers(0, SESSIONS - 1)
prices_e4 = st.sampled_from([94_0000, 96_0000, 100_0000, 111_0000])
any_of_them = st.integers(0, 99)

steps = st.one_of(
    st.tuples(st.just("open"), sessions),
    st.tuples(st.just("open_many"), sessions, st.integers(2, 4)),
    st.tuples(st.just("close"), any_of_them),
    st.tuples(st.just("tick"), prices_e4),
    st.tuples(st.just("tick_then_close"), prices_e4, any_of_them),
    st.tuples(st.just("tick_while_opening"), sessions, prices_e4),
    st.tuples(st.just("retry"), any_of_them),
    st.tuples(st.just("change_status"), sessions, st.sampled_from(["ACTIVE", "PAUSED"])),
    st.tuples(st.just("freeze")),
    st.tuples(st.just("thaw")),
    st.tuples(st.just("kill_store")),
    st.tuples(st.just("in_mid_write"), st.sampled_from(["freeze", "freeze", "kill_store"])),
    st.tuples(st.just("in_mid_write"), st.sampled_from(["freeze", "freeze", "kill_store"])),
    st.tuples(st.just("crash")),
    st.tuples(st.just("wait"), st.sampled_from([0.0, 0.02, 0.2])),
)


@dataclass
class Request:
    """A command under a key, as its client sees it."""

    key: str
    send: Callable[[], Awaitable[Trade]]
    answer: Trade | None = None
    refused: bool = False


@dataclass
class Play:
    """One history, and what may be expected of it."""

    server: EmbeddedServer
    bench: Bench
    patient: FaultyStore
    """The same database, for the checks at the end."""
    requests: list[Request] = field(default_factory=list)
    exits: dict[int, Exit] = field(default_factory=dict)
    """What a price has triggered, of trades that nobody had tried to close before."""
    closing: set[int] = field(default_factory=set)
    told: list[Event] = field(default_factory=list)
    sessions: list[int] = field(default_factory=list)
    up: bool = True

    async def run(self, plan: list[Step]) -> None:
        self.bench.store, impatient = self.patient, self.bench.store
        await self._start()
        self.sessions = [await self.bench.new_session() for _ in range(SESSIONS)]
        self.bench.store = impatient
        await self._start()
        for what, *args in plan:
            self.bench.now_ms += 1000
            if self.up or await self._start():
                await getattr(self, what)(*args)
        await self._settle()
        await self._check()

    # -- steps

    async def open(self, number: int) -> None:
        session_id, key = self.sessions[number], f"opens {len(self.requests)}"

        async def send() -> Trade:
            return await self.bench.open(session_id, key=key, stop_e4=95_0000, target_e4=110_0000)

        await self._ask(Request(key, send))

    async def open_many(self, number: int, count: int) -> None:
        await asyncio.gather(*(self.open(number) for _ in range(count)))

    async def close(self, choice: int) -> None:
        found = [id_ for s in self.sessions for id_ in self.bench.replica.state(s).open_trades]
        if not found:
            return
        trade_id, key = found[choice % len(found)], f"closes {len(self.requests)}"
        self.closing.add(trade_id)
        await self._ask(Request(key, lambda: self.bench.close(trade_id, key=key)))

    async def tick(self, price_e4: int) -> None:
        for ledger in self.bench.desk.ledgers:
            write = ledger._writing or ledger._unsettled
            events = [e for e in write.events if isinstance(e, TradeEvent)] if write else []
            opening = [event.trade for event in events if event.is_opening]
            for trade in (*ledger.state.open_trades.values(), *opening):
                reason = trade.exit_due(price_e4)
                if reason and trade.trade_id not in self.closing:
                    exit_ = Exit(price_e4, reason, self.bench.now_ms)
                    self.exits.setdefault(trade.trade_id, exit_)
        self.bench.tick(price_e4)

    async def tick_then_close(self, price_e4: int, choice: int) -> None:
        """Nothing comes in between: the exit is due, and must go first."""
        await self.tick(price_e4)
        await self.close(choice)

    async def tick_while_opening(self, number: int, price_e4: int) -> None:
        opening = asyncio.create_task(self.open(number))
        await asyncio.sleep(0.002)
        await self.tick(price_e4)
        await opening

    async def retry(self, choice: int) -> None:
        if self.requests:
            await self._repeat(self.requests[choice % len(self.requests)])

    async def change_status(self, number: int, status: str) -> None:
        with suppress(Unavailable):
            await self.bench.change_session(self.sessions[number], status=SessionStatus(status))

    async def freeze(self) -> None:
        self._signal(signal.SIGSTOP)

    async def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    async def kill_store(self) -> None:
        self._signal(signal.SIGKILL)

    async def in_mid_write(self, fault: str) -> None:
        """The store fails with the next event on its way."""
        loop = asyncio.get_running_loop()

        def fail(_: Event) -> None:
            self.bench.store.before_append = lambda _: None
            if fault == "freeze":
                self._signal(signal.SIGSTOP)  # the insert waits in its socket
            else:
                loop.call_later(KILLED_AFTER_S, self._signal, signal.SIGKILL)

        self.bench.store.before_append = fail

    async def crash(self) -> None:
        """The process dies as it stands; what it had sent to the store may yet arrive."""
        for task in self._tasks():
            task.cancel()
        await asyncio.gather(*self._tasks(), return_exceptions=True)
        self.told += self.bench.announced
        self.bench.announced = []
        self.exits.clear()  # the next price decides
        self.up = False
        await self._start()

    async def wait(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    # -- how

    def _signal(self, signal_: int) -> None:
        with suppress(ProcessLookupError):
            assert self.server.pid is not None
            os.kill(self.server.pid, signal_)

    def _tasks(self) -> list[asyncio.Task[None]]:
        desk = self.bench.desk
        workers = [ledger.worker for ledger in desk.ledgers if ledger.worker]
        return [*workers, *desk._births.settling]

    async def _start(self) -> bool:
        self.bench._make_desk()
        with suppress(VyomoError):
            await self.bench.desk.load()
            self.up = True
        return self.up

    async def _ask(self, request: Request) -> None:
        self.requests.append(request)
        await self._repeat(request)

    async def _repeat(self, request: Request) -> None:
        try:
            answer = await request.send()
        except (Unavailable, NumberTaken):
            return
        except Conflict:
            assert request.answer is None, "it was carried out: a repetition says the same"
            request.refused = True
            return
        if request.answer is None:
            request.answer = answer
            return
        # An opening is answered with its trade as it is now.
        opened = request.answer.exit is None
        assert request.answer == (replace(answer, exit=None) if opened else answer)

    async def _settle(self) -> None:
        """Everything works again; each client repeats its request until it is answered."""
        self.bench.store.before_append = lambda _: None
        await asyncio.sleep(KILLED_AFTER_S)  # no kill is still to come
        await self.thaw()
        async with asyncio.timeout(SETTLED_WITHIN_S):
            while not self.up:
                await self._start()
            for session_id in self.sessions:
                while True:
                    with suppress(VyomoError):
                        await self.bench.change_session(session_id, status=SessionStatus.ACTIVE)
                        break
                    await asyncio.sleep(0.02)
            for request in self.requests:
                while request.answer is None and not request.refused:
                    await self._repeat(request)
                    await asyncio.sleep(0)
            await until(
                lambda: not self.bench.desk.waiting and all(t.done() for t in self._tasks()),
                SETTLED_WITHIN_S,
            )

    # -- the rules

    async def _check(self) -> None:
        bench = self.bench
        states = bench.replica.states()
        # Killed at last, the store may not have been needed since.
        await until(lambda: prepared(self.patient), SETTLED_WITHIN_S)
        bench.store = self.patient
        await bench.restart()
        assert bench.replica.states() == states
        histories = {id_: await bench.history(id_) for id_ in self.sessions}
        said: list[str] = []
        verdict = await verify(bench.store, said.append)
        assert (verdict.differences, verdict.late_copies) == (0, 0), said
        for session_id in self.sessions:
            await bench.assert_sound(session_id, all_announced=False)

        stored = {(e.session_id, e.seq): e for events in histories.values() for e in events}
        for event in self.told + bench.announced:  # also its message: a replay is the same bytes
            assert stored[event.session_id, event.seq] == event, "told, so it is stored"
        assert len({event.operation_id for event in stored.values()}) == len(stored)
        trades = [event for event in stored.values() if isinstance(event, TradeEvent)]
        by_operation = {event.operation_id: event for event in trades}
        for request in self.requests:
            self._check_request(request, by_operation.pop(request.key, None))
        for event in by_operation.values():
            assert event.trade.exit is not None
            assert event.trade.exit.reason is not ExitReason.MANUAL, "nobody asked for it"

        exits = {event.trade.trade_id: event.trade.exit for event in trades}
        for trade_id in self.exits.keys() & exits.keys():  # an opening may come to nothing
            assert exits[trade_id] == self.exits[trade_id], "the first price, and its time"

    def _check_request(self, request: Request, event: TradeEvent | None) -> None:
        if request.answer is None:
            assert event is None, "it was refused for good, so it has not happened"
            return
        assert event is not None
        assert event.trade.trade_id == request.answer.trade_id
        if event.kind is EventKind.CLOSED:
            assert event.trade == request.answer


def test_whatever_fails_every_trade_is_there_once_and_as_it_was_told(tmp_path: Path) -> None:
    with asyncio.Runner() as runner, patch.object(embedded, "BACK_OFF_S", (0.02, 0.02)):
        server = EmbeddedServer(tmp_path / "data")
        uri = runner.run(server.start())

        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            phases=(
                Phase.explicit,
                Phase.reuse,
                Phase.generate,
            ),  # with real faults, shrinking takes minutes
        )
        @example(plan=[("open", 0), ("tick_then_close", 94_0000, 0)])
        @example(plan=[("in_mid_write", "freeze"), ("open", 0), ("tick", 94_0000), ("thaw",)])
        @example(plan=[("open", 0), ("in_mid_write", "freeze"), ("close", 0), ("crash",)])
        @given(plan=st.lists(steps, min_size=8, max_size=25))
        def check(plan: list[Step]) -> None:
            runner.run(play(server, uri, plan))

        try:
            check()
        finally:
            runner.run(server.stop())


async def play(server: EmbeddedServer, uri: str, plan: list[Step]) -> None:
    """One history in a database of its own."""
    database = f"test_{uuid.uuid4().hex}"
    patient = FaultyStore(client.connect(uri), database)
    await until(lambda: prepared(patient), SETTLED_WITHIN_S)
    with patch.object(client, "TIMEOUT_MS", IMPATIENT_MS):
        impatient = FaultyStore(client.connect(uri), database)
    game = Play(server, Bench(impatient), patient)
    try:
        await game.run(plan)
    finally:
        await game.thaw()
        await game.bench.desk.stop()
        await impatient.close()
        await patient.close()


async def prepared(store: FaultyStore) -> bool:
    with suppress(Unavailable):
        await store.prepare()
        return True
    return False
