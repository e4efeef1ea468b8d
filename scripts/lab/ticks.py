"""What a tick costs on its way through the board."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count, islice
from pathlib import Path
from statistics import median
from time import process_time

from lab.checkouts import Costs, costs_in
from vyomo_rt.domain.demand import Demand
from vyomo_rt.domain.moment import MarketMs
from vyomo_rt.domain.quote import Tick
from vyomo_rt.market.board import Board
from vyomo_rt.market.book import Book

_START_MS = 1_770_000_000_000
_SYMBOLS = [f"STOCK{number}" for number in range(200)]
_TICKS = 50_000


def costs() -> Costs:
    """Measure this checkout."""
    return {
        "one source": _cost_us(["a"], ["a"]),
        "two sources, the speaker's ticks": _cost_us(["a", "b"], ["a"]),
        "two sources, in turns": _cost_us(["a", "b"], ["a", "b"]),
    }


def costs_of(folder: Path) -> Costs:
    """Measure a checkout in a process of its own."""
    program = "import json, lab.ticks; print(json.dumps(lab.ticks.costs()))"
    return costs_in(folder, folder / "scripts", program)


def compared(folders: list[Path], repeat: int) -> list[Costs]:
    """The medians of checkouts that are measured in turns: a machine changes its pace."""
    rounds = [[costs_of(folder) for folder in folders] for _ in range(repeat)]
    return [
        {case: median(one[case] for one in of_folder) for case in of_folder[0]}
        for of_folder in map(list, zip(*rounds, strict=True))
    ]


def _cost_us(sources: list[str], speaking: list[str]) -> float:
    now_ms = [_START_MS]

    def now() -> MarketMs:
        return MarketMs(now_ms[0])

    heard = [0]

    def on_price(_: object) -> None:
        heard[0] += 1

    demand = Demand()
    demand.wanted(_SYMBOLS)
    books = [Book(source, 15_000, demand=demand, arrived=now) for source in sources]
    board = Board(books, now, on_price, demand=demand)
    ticks = list(islice(_ticks(speaking), _TICKS))
    return _timed_us(board.accept, ticks, now_ms)


def _ticks(speaking: list[str]) -> Iterator[Tick]:
    for number in count():
        symbol = _SYMBOLS[number // len(speaking) % len(_SYMBOLS)]
        price_e4 = 1_000_000 + number % 7 * 500
        yield Tick(symbol, price_e4, _START_MS + number, speaking[number % len(speaking)])


def _timed_us(accept: Callable[[Tick], str | None], ticks: list[Tick], now_ms: list[int]) -> float:
    begun_s = process_time()
    for tick in ticks:
        now_ms[0] += 1
        assert accept(tick) is None
    return (process_time() - begun_s) / len(ticks) * 1_000_000
