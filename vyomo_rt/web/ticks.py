"""Ticks from outside, taken to the board a few at a time."""

from __future__ import annotations

from collections.abc import Iterator
from time import perf_counter
from typing import Any

from msgspec import UNSET

from vyomo_rt.domain.errors import BadJson, BadRequest, Conflict, VyomoError
from vyomo_rt.domain.quote import parse_symbol
from vyomo_rt.market.board import Board
from vyomo_rt.wire.tick import (
    RejectedTick,
    TicksAnswer,
    quick_tick,
    read_row,
    row_symbol,
    to_tick,
)
from vyomo_rt.wire.tick_rows import Rows


def required(posted_source: str | None) -> str:
    """The source of pushed ticks. Raises Conflict if none may be pushed."""
    if posted_source is None:
        words = "prices come from elsewhere: name ingest among the feeds (--feed ingest) to push"
        raise Conflict(words, "path")
    return posted_source


class Batch:
    """The ticks of one request or frame, in their order, and what became of them so far."""

    def __init__(self, rows: Rows, board: Board, source: str) -> None:
        self._left: Iterator[tuple[int, Any]] = enumerate(rows)
        self._board = board
        self._source = source
        self._symbols: set[str] = set()
        self._accepted = 0
        self.rejected: list[RejectedTick] = []

    def take(self, until_s: float) -> bool:
        """Take ticks until this moment of ``perf_counter``; True once there are no more.

        A row takes some microseconds, or a millisecond if it fills a megabyte.
        """
        for index, row in self._left:
            tick = quick_tick(row, self._source)
            if tick is None:
                self._take_slowly(index, row)
            else:
                self._symbols.add(tick.symbol)
                reason = self._board.accept(tick)
                if reason is None:
                    self._accepted += 1
                else:
                    self.rejected.append(RejectedTick(index, row_symbol(read_row(row)), reason))
            if perf_counter() >= until_s:
                return False
        return True

    def _take_slowly(self, index: int, text: Any) -> None:
        row = read_row(text)
        symbol: str | None
        reason: str | None
        try:
            tick = to_tick(row, self._source)
        except VyomoError as error:
            symbol, reason = _symbol_of(row), str(error)
            # The log repeats no text that was not understood: it may be anything.
            told = "a line is not valid JSON" if isinstance(error, BadJson) else reason
            self._board.refuse(self._source, symbol, told)
        else:
            symbol, reason = tick.symbol, self._board.accept(tick)
        if symbol is not None:
            self._symbols.add(symbol)
        if reason is None:
            self._accepted += 1
        else:
            self.rejected.append(RejectedTick(index, row_symbol(row), reason))

    def answer(self) -> TicksAnswer:
        """What became of the ticks that were taken."""
        held = sorted(one for one in self._symbols if self._board.is_held(one, self._source))
        return TicksAnswer(self._accepted, self.rejected, held or UNSET)


def _symbol_of(row: Any) -> str | None:
    """The symbol that a row names, whatever else is wrong with it."""
    try:
        return parse_symbol(row_symbol(row) or "")
    except BadRequest:
        return None
