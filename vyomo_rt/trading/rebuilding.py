"""A session's state from what the journal holds: at start, the events are the truth."""

from __future__ import annotations

from collections.abc import Sequence

from vyomo_rt.domain.moment import trading_day
from vyomo_rt.domain.session import Figures, Session, SessionState
from vyomo_rt.domain.trade import TradeEvent
from vyomo_rt.trading.journal import Journal


async def rebuild(journal: Journal, session: Session, checkpoint: Figures | None) -> SessionState:
    """Fold the events after the checkpoint over it, and mend their trades' readable copies.

    The open trades of the checkpoint are taken from the readable copies. Those
    may be newer than the checkpoint, which does no harm: the events after it
    say the same once more.
    """
    session_id = session.session_id
    figures = checkpoint or Figures(seq=0, today=trading_day(session.created_at_ms))
    open_trades = await journal.open_trades(session_id) if checkpoint else ()
    state = SessionState(session, figures, {trade.trade_id: trade for trade in open_trades})
    while events := await journal.events(session_id, state.seq):
        await _repair_copies(journal, events)
        for event in events:
            state = state.after(event)
    return state


async def _repair_copies(journal: Journal, events: Sequence[TradeEvent]) -> None:
    """A crash may fall between an event and the readable copy of its trade."""
    newest = {event.trade.trade_id: event for event in events}
    projected = await journal.projected_seqs(list(newest))
    for trade_id, event in newest.items():
        if projected.get(trade_id, 0) < event.seq:
            await journal.save_trade(event.trade, event.seq)
