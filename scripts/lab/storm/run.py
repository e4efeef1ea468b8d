"""Pairs of windows: quiet clients by themselves, and beside a storm of new connections."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from statistics import median
from typing import NamedTuple

from msgspec.structs import replace

from lab.cli import Bar, going_on
from lab.crowd.counting import Delays
from lab.crowd.plan import Plan
from lab.crowd.workers import Workers
from lab.site.machine import put_first, put_last
from lab.site.server import ServerUnderTest, on_first_core
from lab.site.target import Target, connected

_SETTLE_S = 3.0
_RAMP_GRACE_S = 30.0
_RANKS = {"server": 3, "quiet": 2, "storm": 1}
"""Who runs first: the quiet clients' own delays are not to be measured."""


class Options(NamedTuple):
    """How many are there and come, how fast, and for how long."""

    quiet: int
    storm: int
    storm_s: float
    pairs: int


class Window(NamedTuple):
    """What the quiet clients saw."""

    p99_ms: float
    own_p99_ms: float
    """How late their own process was."""
    dropped: int
    came: int
    """Of the storm, while it lasted."""
    undisturbed: bool
    """Whether server and clients ran before all other programs."""


def ratio(pairs: Sequence[tuple[Window, Window]]) -> float:
    """The median of how many times as late the storm made the quiet clients' messages."""
    return median(storm.p99_ms / calm.p99_ms for calm, storm in pairs)


async def run(options: Options, stop: asyncio.Event) -> list[tuple[Window, Window]]:
    """Measure calm and storm in turn. Raises TargetError, ServerFailed or WorkerDied."""
    pairs: list[tuple[Window, Window]] = []
    for number in range(options.pairs):
        # Whatever the machine does meanwhile, it does to both.
        order = (False, True) if number % 2 == 0 else (True, False)
        found: dict[bool, Window] = {}
        for with_storm in order:
            what = f"pair {number + 1}: {'storm' if with_storm else 'calm'}"
            found[with_storm] = await _measure(options, with_storm, what, stop)
            if stop.is_set():
                return pairs
        pairs.append((found[False], found[True]))
    return pairs


async def _measure(options: Options, with_storm: bool, what: str, stop: asyncio.Event) -> Window:
    bar = Bar()
    # New connections come at the server's default pace, as they do to any other server.
    room = on_first_core(
        ServerUnderTest, options.quiet + options.storm, VYOMO_RT_ACCEPTS_PER_S="500"
    )
    async with room as (server, cores), connected(server.url) as target, AsyncExitStack() as stack:
        plan = await _plan(options, target)
        quiet = await stack.enter_async_context(Workers(plan, 1, cores))
        undisturbed = server.pid is not None and put_first(server.pid, _RANKS["server"])
        for pid in quiet.pids:
            put_first(pid, _RANKS["quiet"])

        def ramping() -> bool:
            bar.show(f"{what}, connecting", quiet.progress.started, options.quiet, "clients")
            return not quiet.progress.ramped

        await going_on(ramping, options.quiet / plan.connects_per_s + _RAMP_GRACE_S, stop)
        await going_on(lambda: True, _SETTLE_S, stop)
        quiet.measure()
        came = 0
        if with_storm:
            storm_plan = replace(
                plan,
                clients=options.storm,
                interval_ms=60_000,
                connects_per_s=options.storm / options.storm_s,
            )
            storm = await stack.enter_async_context(Workers(storm_plan, 1, cores))
            for pid in storm.pids:
                if not put_first(pid, _RANKS["storm"]):
                    put_last(pid)
            await going_on(lambda: not storm.progress.ramped, 2 * options.storm_s + 5, stop)
            came = storm.progress.started
        else:
            await going_on(lambda: True, options.storm_s, stop)
        quiet.rest()
        dropped = quiet.progress.dropped
        (figures,) = await quiet.finish(0)
    bar.clear()
    return Window(_p99(figures.price_delays), _p99(figures.lags), dropped, came, undisturbed)


async def _plan(options: Options, target: Target) -> Plan:
    return Plan(
        address=target.address,
        port=target.port,
        host=target.host,
        tls=target.tls,
        session_id=0,
        symbols=list(await target.prices())[:1],
        interval_ms=1000,
        clients=options.quiet,
        sse_clients=options.quiet // 2,
        connects_per_s=400,
        sample_every=1,
    )


def _p99(delays: Delays) -> float:
    return delays.percentile_ms(99) or 0.0
