"""Swarms of streaming clients: connect many at a pace, measure a window, report."""

from __future__ import annotations

import asyncio
import gc
import os
import time
from collections import Counter
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from lab.crowd.counting import Delays, Figures, Receipt, Tally
from lab.crowd.event_stream import EventStreamWatcher
from lab.crowd.plan import Plan
from lab.crowd.watcher import Refused, Watcher
from lab.crowd.websocket import WebSocketWatcher
from lab.site.machine import usage

_START_TIMEOUT_S = 10.0
_SETTLE_S = 5.0
_LAG_EVERY_S = 0.007  # in step with no interval


class _Counts(NamedTuple):
    """Running counts whose growth makes the figures of a window."""

    window_s: float
    cpu_s: float
    waited_s: float
    messages: int
    prices: int
    bytes: int


class Swarm:
    """Many watchers in this process, and what became of them."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.tally = Tally()
        self.watchers: list[Watcher] = []
        self.failed: Counter[str] = Counter()
        self._start_delays = Delays()
        self._ramp_s = 0.0
        self._begun: _Counts | None = None
        self._window: dict[str, Any] = {}
        self._lags = Delays()
        self._watching_lag: asyncio.Task[None] | None = None

    @property
    def dropped(self) -> Counter[str]:
        """Clients that had started and lost their connection, by reason."""
        return Counter(watcher.ended for watcher in self.watchers if watcher.ended)

    async def ramp(self) -> None:
        """Connect all, at the plan's pace; return when each has started or failed."""
        loop = asyncio.get_running_loop()
        begun_s = loop.time()
        turns = asyncio.Semaphore(self.plan.connecting_at_once)
        async with asyncio.TaskGroup() as starting:
            for number in range(self.plan.clients):
                await asyncio.sleep(begun_s + number / self.plan.connects_per_s - loop.time())
                await turns.acquire()
                task = starting.create_task(self._start(self._watcher(number)))
                task.add_done_callback(lambda _: turns.release())
        self._ramp_s = loop.time() - begun_s

    def measure(self) -> None:
        """Begin the window in which rates and delays count."""
        gc.collect()
        gc.freeze()  # so that a collection does not look like a slow server
        self._begun = self._counts()
        self.tally.measuring = True
        self._watching_lag = asyncio.create_task(self._watch_lag())

    def rest(self) -> None:
        """End the window."""
        if self.tally.measuring and self._begun is not None:
            self.tally.measuring = False
            counts = zip(_Counts._fields, self._begun, self._counts(), strict=True)
            self._window = {name: ended - begun for name, begun, ended in counts}

    async def finish(self, newest_seq: int, settle_s: float = _SETTLE_S) -> Figures:
        """Give the session's newest event time to arrive, drop all clients, and report."""
        self.rest()
        tally = self.tally
        await self._settle(newest_seq, settle_s)
        checks = [watcher.seqs for watcher in self.watchers if watcher.seqs is not None]
        alive = [watcher.seqs for watcher in self.watchers if watcher.alive and watcher.seqs]
        figures = Figures(
            started=len(self.watchers),
            failed=self.failed,
            dropped=self.dropped,
            start_delays=self._start_delays,
            ramp_s=self._ramp_s,
            **self._window,
            lags=self._lags,
            price_delays=tally.price_delays,
            event_delays=tally.event_delays,
            events_due=sum(max(0, newest_seq + 1 - check.first_seq) for check in alive),
            lost=sum(check.lost(newest_seq) for check in alive),
            doubled=sum(check.doubled for check in checks),
            disordered=sum(check.disordered for check in checks),
            event_texts=[text.decode() for text in tally.events],
            receipts=[
                Receipt(each.seq, each.receipts, each.last_ms, tally.announced_ms.get(each.seq))
                for each in tally.events.values()
            ],
        )
        self.close()
        return figures

    def close(self) -> None:
        """Drop all connections."""
        for watcher in self.watchers:
            watcher.close("done")

    def _counts(self) -> _Counts:
        tally, used = self.tally, usage(os.getpid())
        return _Counts(
            window_s=time.monotonic(),
            cpu_s=time.process_time(),
            waited_s=used.waited_s if used else 0.0,
            messages=tally.messages,
            prices=tally.prices,
            bytes=tally.bytes,
        )

    async def _watch_lag(self) -> None:
        """Count how much later than due this process does what is due."""
        loop = asyncio.get_running_loop()
        while self.tally.measuring:
            due_s = loop.time() + _LAG_EVERY_S
            await asyncio.sleep(_LAG_EVERY_S)
            self._lags.add((loop.time() - due_s) * 1000)

    def _watcher(self, number: int) -> Watcher:
        """The transports take turns, as far as their shares allow; so do the stalled, in twos."""
        clients, pair = self.plan.clients, number // 2
        is_sse = _is_turn(number, self.plan.sse_clients, clients)
        kind = EventStreamWatcher if is_sse else WebSocketWatcher
        return kind(self.plan, self.tally, stalls=_is_turn(pair, self.plan.stalled, clients))

    async def _start(self, watcher: Watcher) -> None:
        loop = asyncio.get_running_loop()
        begun_s = loop.time()
        plan = self.plan
        name = urlsplit(f"//{plan.host}").hostname if plan.tls else None
        try:
            async with asyncio.timeout(_START_TIMEOUT_S):
                await loop.create_connection(
                    lambda: watcher, plan.address, plan.port, ssl=plan.tls, server_hostname=name
                )
                await watcher.started
        except TimeoutError:
            self.failed[f"no answer within {_START_TIMEOUT_S:g} s"] += 1
            watcher.close("too slow to start")
        except (OSError, Refused) as problem:
            self.failed[getattr(problem, "strerror", None) or str(problem)] += 1
        except asyncio.CancelledError:
            watcher.started.cancel()  # nobody wants to know any more
            watcher.close("given up")
            raise
        else:
            self.watchers.append(watcher)
            self._start_delays.add((loop.time() - begun_s) * 1000)

    async def _settle(self, newest_seq: int, within_s: float) -> None:
        """Wait until every client that is still there has seen the session's newest event."""

        def behind() -> bool:
            return any(w.alive and w.seqs and w.seqs.next_seq <= newest_seq for w in self.watchers)

        until_s = time.monotonic() + within_s
        while behind() and time.monotonic() < until_s:  # noqa: ASYNC110 (counts tell nobody)
            await asyncio.sleep(0.05)


def _is_turn(number: int, some: int, of: int) -> bool:
    """Whether a number is one of ``some`` that lie evenly among ``of``."""
    return (number + 1) * some // of > number * some // of
