"""A load test from its server to its report."""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import NamedTuple

from lab.cli import Bar, going_on
from lab.crowd.counting import Figures
from lab.crowd.plan import Plan
from lab.crowd.workers import Workers
from lab.load.report import Parameters, Report, Trades, broken_budgets, make_report, server_use
from lab.site.machine import Usage, listening_pid, process_name, usage
from lab.site.server import ServerUnderTest, on_first_core
from lab.site.target import Target, TargetError, connected
from lab.site.trader import BusyTrader

_MOST_SAMPLES_PER_S = 2000
_RAMP_GRACE_S = 20.0


class Server:
    """What is tested, and where its process can be watched."""

    def __init__(self, url: str, own: ServerUnderTest | None, load_cores: list[int]) -> None:
        self.url = url
        self.own = own
        self.pid = own.pid if own else None
        self.load_cores = load_cores

    @property
    def process(self) -> str | None:
        return process_name(self.pid) if self.pid else None

    @property
    def problems(self) -> list[str]:
        return self.own.problems if self.own else []

    def usage(self) -> Usage | None:
        return usage(self.pid) if self.pid else None


async def run(options: argparse.Namespace, stop: asyncio.Event) -> Report:
    """Carry the test out. Raises TargetError, ServerFailed or WorkerDied."""
    async with _server(options) as server, connected(server.url) as target:
        if server.own is None and target.is_local:
            server.pid = listening_pid(target.port)
        offset = None if target.is_local else await target.clock_offset()
        plan = await _plan(options, target, offset)
        parameters = Parameters(
            url=options.url,
            clients=plan.clients,
            sse_clients=plan.sse_clients,
            symbols=plan.symbols,
            interval_ms=plan.interval_ms,
            duration_s=options.duration,
            connects_per_s=plan.connects_per_s,
            trades_per_s=options.trades_per_s,
            processes=options.processes,
        )
        started_at = datetime.now(UTC).isoformat(timespec="seconds")
        measured = await _measure(options, server, target, plan, stop)
        report = make_report(measured.figures, measured.stored, parameters, started_at)
        report.trades = measured.trades
        report.server = server_use(
            server.process, measured.usages, measured.window_s, report.connected, server.problems
        )
    if offset is not None:
        report.clock_offset_ms, report.clock_uncertainty_ms = offset
    report.interrupted = measured.interrupted
    report.broken = measured.trouble + broken_budgets(report, options.p99_ms, options.lost)
    return report


@asynccontextmanager
async def _server(options: argparse.Namespace) -> AsyncIterator[Server]:
    """The one that is named, or one of our own."""
    if options.url:
        yield Server(options.url, None, [])
    else:
        async with on_first_core(ServerUnderTest, options.clients) as (own, load_cores):
            yield Server(own.url, own, load_cores)


class Measured(NamedTuple):
    """What there is at the end of a test."""

    figures: list[Figures]
    stored: list[str] | None
    """The text of every event that clients must have got; None if that is not known."""
    trades: Trades
    usages: tuple[Usage | None, Usage | None, Usage | None]
    """Of the server: before there were clients, at the beginning and at the end of the window."""
    window_s: float
    interrupted: bool
    trouble: list[str]


async def _measure(
    options: argparse.Namespace, server: Server, target: Target, plan: Plan, stop: asyncio.Event
) -> Measured:
    bar = Bar()
    before = server.usage()
    price = (await target.prices())[plan.symbols[0]]
    async with Workers(plan, options.processes, server.load_cores) as workers:
        trader = BusyTrader(target, plan.session_id, plan.symbols[0], price, options.trades_per_s)

        def ramping() -> bool:
            at = workers.progress
            bar.show("connecting", at.started + at.failed, plan.clients, "clients")
            return not at.ramped

        await going_on(ramping, plan.clients / plan.connects_per_s + _RAMP_GRACE_S, stop)
        workers.measure()
        begun, begun_s = server.usage(), time.monotonic()

        def measuring() -> bool:
            at = workers.progress
            told = f"s, {at.started - at.dropped} clients, {at.messages:,} messages"
            bar.show("measuring", time.monotonic() - begun_s, options.duration, told)
            return at.started > at.dropped

        await going_on(measuring, options.duration, stop)
        workers.rest()
        ended, window_s = server.usage(), time.monotonic() - begun_s
        interrupted = stop.is_set()
        bar.clear()
        await trader.stop()
        stored, trouble = None, []
        try:
            stored = await target.events(plan.session_id)
        except TargetError as problem:
            trouble.append(f"what clients must have been told is not known: {problem}")
        figures = await workers.finish(len(stored or []))
    with suppress(TargetError):
        await target.stop_session(plan.session_id)
    trades = Trades(trader.opened, trader.closed, dict(trader.failed))
    usages = (before, begun, ended)
    return Measured(figures, stored, trades, usages, window_s, interrupted, trouble)


async def _plan(
    options: argparse.Namespace, target: Target, offset: tuple[float, float] | None
) -> Plan:
    symbols = _symbols(options.symbols, list(await target.prices()))
    deliveries_per_s = options.clients * 1000 / options.interval_ms
    return Plan(
        address=target.address,
        port=target.port,
        host=target.host,
        tls=target.tls,
        session_id=await target.new_session(),
        symbols=symbols,
        interval_ms=options.interval_ms,
        clients=options.clients,
        sse_clients=round(options.clients * options.sse_share),
        connects_per_s=options.connects_per_s,
        sample_every=max(1, round(deliveries_per_s / _MOST_SAMPLES_PER_S)),
        clock_offset_ms=offset[0] if offset else 0.0,
    )


def _symbols(wanted: int | list[str], priced: list[str]) -> list[str]:
    if isinstance(wanted, list):
        if unknown := [symbol for symbol in wanted if symbol not in priced]:
            raise TargetError(
                f"--symbols: the server has no price of {', '.join(unknown)}; "
                f"it has {', '.join(priced) or 'none at all'}"
            )
        return wanted
    if len(priced) < wanted:
        raise TargetError(
            f"--symbols {wanted}: the server has prices of only {len(priced)} symbols; "
            "ask for fewer, push more to it, or let the test start a server of its own (no --url)"
        )
    return priced[:wanted]
