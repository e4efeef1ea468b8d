"""The market: its segments, what goes on in them, their sessions, and what is traded."""

from __future__ import annotations

from datetime import date
from enum import StrEnum
from typing import NamedTuple


class Segment(StrEnum):
    """A part of the market with its own hours; EQ_FNO are the stocks with F&O."""

    EQ_FNO = "EQ_FNO"
    EQ = "EQ"
    FNO = "FNO"
    INDEX = "INDEX"


class MarketState(StrEnum):
    """What goes on in a segment; in the two auctions nothing trades continuously."""

    OPEN = "OPEN"
    CLOSED = "CLOSED"
    PREOPEN = "PREOPEN"
    AUCTION = "AUCTION"


class MarketSession(NamedTuple):
    """A segment's session of one date, in epoch milliseconds; open from ``open_ms`` on."""

    segment: Segment
    preopen_ms: int
    """As ``open_ms`` where there is no pre-open."""
    open_ms: int
    close_ms: int
    """Continuous trading ends before this moment."""
    auction_end_ms: int
    """As ``close_ms`` where there is no closing auction."""

    def state(self, moment_ms: int) -> MarketState:
        """What goes on at a moment of this date."""
        if not self.preopen_ms <= moment_ms < self.auction_end_ms:
            return MarketState.CLOSED
        if moment_ms < self.open_ms:
            return MarketState.PREOPEN
        return MarketState.OPEN if moment_ms < self.close_ms else MarketState.AUCTION


class PreviousClose(NamedTuple):
    """The last price of the session before, in units of ₹0.0001, and the date of that session."""

    price_e4: int
    date: date


class Instrument(NamedTuple):
    """What is known of a symbol; None for what is not known."""

    symbol: str
    segment: Segment
    lot: int | None
    tick_e4: int | None
    """None also if it depends on an unknown price."""
    expiry: date | None
    """The last date on which a contract is traded; None if it never expires."""
