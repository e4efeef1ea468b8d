"""What bars cost: a price on its way, and a minute of many symbols in the store."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import NamedTuple

from lab.site.machine import usage
from vyomo_rt.domain.demand import Demand
from vyomo_rt.domain.moment import MINUTE_MS, MarketMs, hour_of
from vyomo_rt.domain.quote import Quote
from vyomo_rt.market.bar_keeping import BarKeeper
from vyomo_rt.market.bars import Bars
from vyomo_rt.store.bars import SavedBars
from vyomo_rt.store.client import connect
from vyomo_rt.store.embedded import EmbeddedServer
from vyomo_rt.store.journal import MongoStore

_START_MS = hour_of(1_770_000_000_000)
_PRICES = 100_000
_MINUTES = 5


class Costs(NamedTuple):
    """What bars of so many symbols cost, each of which has a price every second."""

    note_us: float
    """For a price, when it comes."""
    count_us: float
    """For a price, within a second."""
    minute_ms: float
    """CPU time of the store for a minute: the saving each second, and the finished minutes."""
    save_ms: float
    """How long one of these writes takes."""
    hour_ms: float
    """CPU time of the store for the documents of an hour that is over."""
    piece_ms: float
    """How long one of these writes takes."""


class _Recorder:
    def __init__(self, symbols: list[str], saved: SavedBars) -> None:
        self.now_ms = _START_MS
        self.symbols = symbols
        demand = Demand()
        demand.wanted(symbols)
        self.bars = Bars(demand, self.now, is_open=lambda *_: True, most=len(symbols))
        self.keeper = BarKeeper(self.bars, saved, self.now)

    def now(self) -> MarketMs:
        return MarketMs(self.now_ms)

    def second(self) -> list[Quote]:
        """The next prices of all symbols."""
        self.now_ms += 1000
        price_e4 = 1_000_000 + self.now_ms // 1000 % 7 * 500
        return [Quote(symbol, price_e4, self.now_ms, "", stale=False) for symbol in self.symbols]


class _Timed(SavedBars):
    """Notes what writes take: the CPU time of the store, and how long each one is under way."""

    def __init__(self, store: MongoStore, pid: int) -> None:
        super().__init__(store)
        writing, self._pid = store.writing, pid
        self.times_ms: list[float] = []

        @contextmanager
        def timed() -> Iterator[None]:
            begun_s = perf_counter()
            with writing():
                yield
            self.times_ms.append((perf_counter() - begun_s) * 1000)

        store.writing = timed  # type: ignore[method-assign]

    @property
    def cpu_ms(self) -> float:
        """What the store has used so far."""
        used = usage(self._pid)
        return 0.0 if used is None else used.cpu_s * 1000


async def costs(symbols: int) -> Costs:
    """Measure with a store of its own."""
    with tempfile.TemporaryDirectory(prefix="vyomo-rt-") as folder:
        server = EmbeddedServer(Path(folder))
        store = MongoStore(connect(await server.start()), "bars")
        assert server.pid is not None
        saved = _Timed(store, server.pid)
        try:
            await store.prepare()
            return await _measure(_Recorder([f"STOCK{n}" for n in range(symbols)], saved), saved)
        finally:
            await store.close()
            await server.stop()


async def _measure(recorder: _Recorder, saved: _Timed) -> Costs:
    await recorder.keeper.restore()
    note_us, count_us = _cost_of_prices(recorder)
    begun_ms = saved.cpu_ms
    for _ in range(_MINUTES * 60):
        for quote in recorder.second():
            recorder.bars.on_quote(quote)
        await recorder.keeper.save()
    minute_ms, save_ms = (saved.cpu_ms - begun_ms) / _MINUTES, median(saved.times_ms)
    saved.times_ms.clear()
    recorder.now_ms += 90 * MINUTE_MS
    begun_ms = saved.cpu_ms
    await recorder.keeper.settle()
    return Costs(
        note_us, count_us, minute_ms, save_ms, saved.cpu_ms - begun_ms, median(saved.times_ms)
    )


def _cost_of_prices(recorder: _Recorder) -> tuple[float, float]:
    noted_s = counted_s = 0.0
    rounds = _PRICES // len(recorder.symbols)
    for _ in range(rounds):
        quotes = recorder.second()
        begun_s = process_time()
        for quote in quotes:
            recorder.bars.on_quote(quote)
        noted_s += process_time() - begun_s
        begun_s = process_time()
        recorder.bars.fold()
        counted_s += process_time() - begun_s
    prices = rounds * len(recorder.symbols)
    return noted_s / prices * 1e6, counted_s / prices * 1e6


def measured(symbols: int, repeat: int) -> Costs:
    """The medians of several measurements."""
    rounds = [asyncio.run(costs(symbols)) for _ in range(repeat)]
    return Costs(*map(median, zip(*rounds, strict=True)))
