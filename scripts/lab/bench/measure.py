"""One measurement of the benchmark: a fresh server, its connections, a window."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import NamedTuple

from msgspec.structs import replace

from lab.bench.cases import Case, Transport
from lab.bench.figures import Measurement, Moment, Observed, figures_of, how_much_later
from lab.bench.floor import Floor, send_only
from lab.cli import Bar, going_on
from lab.crowd.plan import Plan
from lab.crowd.workers import Workers
from lab.site.machine import usage
from lab.site.nodes import one_of_nodes
from lab.site.producer import ProducerFailed, pushing
from lab.site.server import OBSERVED, ServerFailed, ServerUnderTest, on_first_core
from lab.site.target import Target, connected
from lab.site.trader import Trader

_COLLECTED = re.compile(r"collected in (\S+) and (\S+) ms")
_ANY_PACE_PER_S = 1e9
_CONNECTING_AT_ONCE = 128
_SLOWEST_CONNECTS_PER_S = 50
_RAMP_GRACE_S = 20.0
_SETTLE_S = 1.0
_MOST_SAMPLES_PER_S = 2000
_LONGEST_INTERVAL_MS = 60_000


class _ObservedServer(ServerUnderTest):
    """A server that can be told to collect its garbage."""

    PROGRAM = (OBSERVED,)

    async def collections_ms(self) -> list[float]:
        """How long a collection of generation 1, and one of all, take it now."""
        collected = await self.ask(signal.SIGUSR1, _COLLECTED)
        return [float(ms) for ms in collected.groups()]


class Bench:
    """Makes measurements, shows their progress, and stops when told to."""

    def __init__(self, duration_s: float, processes: int, bar: Bar, stop: asyncio.Event) -> None:
        self._duration_s = duration_s
        self._settle_s = min(_SETTLE_S, duration_s)
        self._processes = processes
        self._bar = bar
        self._stop = stop

    async def measure(self, case: Case, transport: Transport, what: str) -> Measurement | None:
        """Measure a case, called ``what`` meanwhile; None if it was stopped.

        Raises TargetError, ServerFailed, ProducerFailed or WorkerDied.
        """
        async with (
            _measured(case) as (server, cores, first_url),
            connected(server.url) as target,
            connected(first_url) as first,
            _producer(case, first_url, cores) as producer_pid,
        ):
            plans = await _plans(case, transport, target, first)
            symbol, price = next(iter((await first.prices()).items()))
            started = _moment(server)
            await self._wait(f"{what}: empty server", self._settle_s)
            empty = _moment(server)
            async with AsyncExitStack() as stack:
                crowds = [
                    await stack.enter_async_context(
                        Workers(plan, min(self._processes, plan.clients), cores[at:] + cores[:at])
                    )
                    for at, plan in enumerate(plans)
                ]
                await self._ramp(what, crowds, case.connections)
                ramped = _moment(server)
                await self._wait(f"{what}: settling", self._settle_s)
                settled, pushed = _moment(server), await _pushed(first, producer_pid)
                for crowd in crowds:
                    crowd.measure()
                trader = Trader(first, plans[0].session_id, symbol, price, case.trades_per_s)
                await self._wait(f"{what}: measuring", self._duration_s)
                for crowd in crowds:
                    crowd.rest()
                measured, pushed_later = _moment(server), await _pushed(first, producer_pid)
                await trader.stop()
                if self._stop.is_set():
                    return None
                collections_ms = await server.collections_ms()
                newest = len(trader.sent_ms)
                told = [
                    await crowd.finish(newest if plan.session_id else 0)
                    for plan, crowd in zip(plans, crowds, strict=True)
                ]
            return figures_of(
                Observed(
                    case=case,
                    empty=empty.since(started),
                    ramp=ramped.since(empty),
                    crowd=measured.since(empty),
                    window=measured.since(settled),
                    collections_ms=collections_ms,
                    load=[figures for crowd in told for figures in crowd],
                    later=how_much_later(*told) if case.is_foreign else None,
                    load_cores=max(1, len(cores)),
                    posted_ms=trader.sent_ms,
                    failed_trades=trader.failed,
                    server_problems=server.problems,
                    ticks=None if producer_pid is None else pushed_later.ticks - pushed.ticks,
                    producer_cpu_s=pushed_later.cpu_s - pushed.cpu_s,
                )
            )

    async def floor(self, case: Case, size_bytes: int, interval_ms: int, what: str) -> Floor | None:
        """Measure sending alone to the case's watchers; None if it was stopped.

        Raises FloorFailed.
        """
        cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
        sending = asyncio.create_task(
            send_only(case.watchers, size_bytes, interval_ms, self._duration_s, cores)
        )
        await self._wait(what, self._duration_s)
        if self._stop.is_set():
            sending.cancel()
            await asyncio.wait([sending])
            return None
        return await sending

    async def _ramp(self, what: str, crowds: list[Workers], connections: int) -> None:
        def ramping() -> bool:
            all_progress = [crowd.progress for crowd in crowds]
            tried = sum(at.started + at.failed for at in all_progress)
            self._bar.show(f"{what}: connecting", tried, connections, "connections")
            return not all(at.ramped for at in all_progress)

        await going_on(ramping, connections / _SLOWEST_CONNECTS_PER_S + _RAMP_GRACE_S, self._stop)

    async def _wait(self, what: str, for_s: float) -> None:
        begun_s = time.monotonic()

        def waiting() -> bool:
            self._bar.show(what, time.monotonic() - begun_s, for_s, "s")
            return True

        await going_on(waiting, for_s, self._stop)


@asynccontextmanager
async def _measured(case: Case) -> AsyncIterator[tuple[_ObservedServer, list[int], str]]:
    """The server, the cores for the load, and where prices are pushed and trades are made."""
    feed = "sim" if case.ticks_per_s is None else "ingest"
    if case.nodes:
        room = one_of_nodes(_ObservedServer, case.nodes, case.connections, feed, case.role)
        async with room as found:
            yield found
        return
    # Clients that stopped reading must stay, to be measured.
    variables = {"VYOMO_RT_SLOW_TIMEOUT_S": "3600"} if case.stalled else {}
    alone = on_first_core(_ObservedServer, case.connections, feed, **variables)
    async with alone as (server, cores):
        yield server, cores, server.url


def _moment(server: ServerUnderTest) -> Moment:
    used = usage(server.pid) if server.pid else None
    if used is None:
        raise ServerFailed("the server ended by itself")
    return Moment(time.monotonic(), used.cpu_s, used.waited_s, used.memory_bytes)


class _Pushed(NamedTuple):
    """What a producer has done so far."""

    ticks: float
    cpu_s: float


@asynccontextmanager
async def _producer(case: Case, url: str, cores: list[int]) -> AsyncIterator[int | None]:
    """The number of a process that pushes ticks, for a case with such ticks."""
    if case.ticks_per_s is None:
        yield None
        return
    core = cores[-1] if cores else None
    async with pushing(
        url, case.ticks_per_s, case.frame_ticks, case.pushed_symbols, core
    ) as process:
        yield process.pid


async def _pushed(target: Target, producer_pid: int | None) -> _Pushed:
    if producer_pid is None:
        return _Pushed(0, 0)
    if (used := usage(producer_pid)) is None:
        raise ProducerFailed("the producer of ticks ended by itself")
    return _Pushed(await target.accepted_ticks(), used.cpu_s)


async def _plans(case: Case, transport: Transport, target: Target, first: Target) -> list[Plan]:
    """Of the session's subscribers, if there are any, and of those who get prices."""
    deliveries_per_s = case.watchers * 1000 / case.interval_ms
    common = Plan(
        address=target.address,
        port=target.port,
        host=target.host,
        tls=target.tls,
        session_id=0,
        symbols=[],
        interval_ms=case.interval_ms,
        clients=0,
        sse_clients=0,
        connects_per_s=_ANY_PACE_PER_S,
        sample_every=max(1, round(deliveries_per_s / _MOST_SAMPLES_PER_S)),
        connecting_at_once=_CONNECTING_AT_ONCE,
        deflate=case.deflate,
    )
    sse_share = {"ws": 0.0, "sse": 1.0, "both": 0.5}[transport]

    def plan(clients: int, **differences: object) -> Plan:
        sse_clients = round(clients * sse_share)
        return replace(common, clients=clients, sse_clients=sse_clients, **differences)

    plans = []
    if case.subscribers:
        # Idle clients are not sent figures either.
        update_ms = None if case.trades_per_s else _LONGEST_INTERVAL_MS
        session_id = await first.new_session(decided_there=case.is_foreign)
        subscribed = plan(case.subscribers, session_id=session_id, update_interval_ms=update_ms)
        plans.append(subscribed)
        if case.is_foreign:
            plans.append(replace(subscribed, port=first.port, host=first.host))
    if case.watchers:
        symbols = list(await first.prices())[: case.symbols]
        plans.append(plan(case.watchers, symbols=symbols, stalled=case.stalled))
    return plans
