"""The prices at which nothing happens in a session, so that it need not be asked."""

from __future__ import annotations

from vyomo_rt.domain.pace import Pace
from vyomo_rt.domain.pending import PendingEntry
from vyomo_rt.domain.state import SessionState
from vyomo_rt.domain.trailing import Band, quiet_band


def quiet_prices(state: SessionState, pace: Pace, symbol: str) -> Band | None:
    """The prices of a symbol at which nothing happens; None if none of its trades is open."""
    entries = [entry for entry in state.pending.values() if entry.symbol == symbol]
    if symbol not in state.exposures and not entries:
        return None
    if state.session.closing is not None:
        return _NEVER_QUIET
    band = Band()
    for entry in entries:
        band = band.narrowed(_waiting_band(entry))
    for trade in state.open_trades.values():
        if trade.symbol == symbol:
            band = band.narrowed(quiet_band(pace.newest(trade)))
    return band


_NEVER_QUIET = Band(0, 0)


def _waiting_band(entry: PendingEntry) -> Band:
    """The prices at which a pending entry is not filled."""
    if entry.fills_at(0):
        return Band(low=entry.price_e4)
    return Band(high=entry.price_e4)
