"""A small strategy that trades the demo's session, so that every kind of message appears."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import cycle
from typing import NamedTuple

from vyomo_rt.domain.charges import ChargePlan
from vyomo_rt.domain.errors import VyomoError
from vyomo_rt.domain.event import Event, EventKind, OrderEvent, SessionEvent, TradeEvent
from vyomo_rt.domain.halt import HaltOrder
from vyomo_rt.domain.moment import DAY_MS, IST_AHEAD_MS, MINUTE_MS, MarketClock, minute_of
from vyomo_rt.domain.money import Side
from vyomo_rt.domain.order import ChangeOrder, ClosingOrder, Operation, SessionOrder, TradeOrder
from vyomo_rt.domain.pending import AlreadyEnded, EntryTerms, EntryType, Validity
from vyomo_rt.domain.quote import Quote
from vyomo_rt.domain.session import ChangeReason, Session, SessionStatus
from vyomo_rt.domain.trade import AlreadyClosed
from vyomo_rt.trading.desk import Desk
from vyomo_rt.trading.replica import Replica

log = logging.getLogger(__name__)

History = Callable[[int, int], Awaitable[Sequence[Event]]]
"""A session's events after a number."""

SESSION_ID = 6
_SESSION = SessionOrder(
    starting_capital_paise=50_000 * 100, name="Demo", charges=ChargePlan.NSE_OPTIONS
)
_KEY = "demo-"
"""The strategy's operations begin with this, so it knows its own trades after a restart."""

_STEP_S = 4.0
_MAX_OPEN = 5
_MAX_AGE_MS = 100_000
_LIMIT_AFTER_MS, _SQUARE_OFF_AFTER_MS, _KILL_AFTER_MS = 6 * 60_000, 15 * 60_000, 25 * 60_000
_DRILL_EVERY_MS = 25 * 60_000
_STREAK = 3
_HALTED_S = 12.0
_LOOK_BACK = 500
_TICK_E4 = 500


class _Idea(NamedTuple):
    """What to trade next.

    ``away_e4`` is how far stop and target are from the price, in parts of 10 000; a stop that
    ``trails`` follows the price at this distance.
    """

    symbol: str
    side: Side
    quantity: int
    away_e4: int | None
    trails: bool = False


# An index takes hours to move half a per cent, an option's premium a minute.
_IDEAS = (
    _Idea("NIFTY26DEC24000CE", Side.BUY, 65, 30),
    _Idea("BANKNIFTY26DEC52000PE", Side.SELL, 30, 40),
    _Idea("RELIANCE", Side.BUY, 50, None),
    _Idea("NIFTY26DEC24000PE", Side.BUY, 65, 50, trails=True),
    _Idea("NIFTY26DEC24000CE", Side.SELL, 65, 40),
    _Idea("BANKNIFTY", Side.SELL, 30, None),
)


_WAITS_FOR = _Idea("NIFTY26DEC24000CE", Side.BUY, 65, 30)
"""What it buys a little cheaper than now, by a pending entry."""
_CHEAPER_E4 = 10


class DemoTrader:
    """Opens a trade every few seconds; its stop, its target or, later, the strategy closes it.

    Half of a trade is closed at half of that time, and an order waits for a lower price. Now and
    then a losing streak halts the session, a square-off and the kill switch close everything; these
    two not where they would close what is not the strategy's own.
    """

    def __init__(
        self,
        desk: Desk,
        replica: Replica,
        *,
        quote: Callable[[str], Quote | None],
        history: History,
        now: MarketClock,
    ) -> None:
        self._desk = desk
        self._replica = replica
        self._quote = quote
        self._history = history
        self._now = now
        self._ideas = cycle(_IDEAS)
        self._own: set[int] = set()
        self._orders: set[int] = set()
        began_ms = now()
        self._limit_ms = began_ms + _LIMIT_AFTER_MS
        self._square_off_ms = began_ms + _SQUARE_OFF_AFTER_MS
        self._kill_ms = began_ms + _KILL_AFTER_MS
        self._square_off_min: int | None = None
        self._squared_off_ms = 0
        self._trouble = ""
        self.session_id = SESSION_ID

    async def prepare(self) -> None:
        """Make or find the session, and the trades that an earlier run left open in it."""
        await self._desk.ensure_session(SESSION_ID, _SESSION)
        await self._leave_stopped_session()
        await self._find_own()

    async def run(self) -> None:
        """Trade until cancelled."""
        while True:
            try:
                await self._step()
                self._trouble = ""
            except VyomoError as error:
                if str(error) != self._trouble:
                    self._trouble = str(error)
                    log.info("the demo pauses: %s", error)
            await asyncio.sleep(_STEP_S)

    async def _step(self) -> None:
        await self._leave_stopped_session()
        state = self._replica.state(self.session_id)
        filled = (t for t in state.open_trades.values() if t.order_id in self._orders)
        self._own |= {trade.trade_id for trade in filled}
        self._own &= state.open_trades.keys()
        await self._close_old()
        await self._limit_losses()
        await self._square_off()
        await self._kill()
        await self._wait_for_less()
        await self._open_next()

    async def _leave_stopped_session(self) -> None:
        """Move on to the next session if a visitor has stopped this one, which is final."""
        while await self._is_stopped():
            stopped = self.session_id
            operation = Operation(f"{_KEY}after-{stopped}", "")
            made, _ = await self._desk.create_session(operation, lambda: _SESSION)
            self.session_id = made.session.session_id
            self._own.clear()
            self._orders.clear()
            log.info("session %d is STOPPED: the demo trades session %d", stopped, self.session_id)

    async def _is_stopped(self) -> bool:
        state = await self._desk.records.session(self.session_id)
        return state.session.status is SessionStatus.STOPPED

    async def _find_own(self) -> None:
        state = self._replica.state(self.session_id)
        # Its trades stay open for a minute or two, and nobody trades as much meanwhile.
        events = await self._history(self.session_id, max(0, state.seq - _LOOK_BACK))
        own = [event for event in events if event.operation_id.startswith(_KEY)]
        self._own = {
            event.trade.trade_id
            for event in own
            if isinstance(event, TradeEvent) and event.kind is EventKind.OPENED
        }
        self._orders = {event.entry.order_id for event in own if isinstance(event, OrderEvent)}
        # A square-off that it did not live to see would stop it until midnight.
        for event in own:
            if isinstance(event, SessionEvent):
                self._square_off_min = event.standing.rules.square_off_min

    async def _close_old(self) -> None:
        open_trades = self._replica.state(self.session_id).open_trades
        for trade in [open_trades[trade_id] for trade_id in self._own]:
            age_ms, half = self._now() - trade.opened_at_ms, trade.quantity // 2
            if age_ms > _MAX_AGE_MS:
                await self._close(trade.trade_id, ClosingOrder())
            elif age_ms > _MAX_AGE_MS // 2 and half and trade.reduced is None:
                await self._close(trade.trade_id, ClosingOrder(quantity=half))

    async def _close(self, trade_id: int, order: ClosingOrder) -> None:
        with suppress(AlreadyClosed):
            operation = Operation.internal(_KEY)
            await self._desk.close_trade(trade_id, operation, lambda: order)

    async def _limit_losses(self) -> None:
        """Have a rule against losing streaks until it halts the session, and lift that halt."""
        session = self._session
        halted = session.halt is not None and session.status_reason is ChangeReason.LOSING_STREAK
        if halted and session.rules.losing_streak == _STREAK:
            await asyncio.sleep(_HALTED_S)
            lift = ChangeOrder(status=SessionStatus.ACTIVE, rules={"losing_streak": None})
            await self._change(lift)
        elif self._now() > self._limit_ms:
            self._limit_ms = self._now() + _DRILL_EVERY_MS
            await self._change(ChangeOrder(rules={"losing_streak": _STREAK}))

    async def _square_off(self) -> None:
        """Have everything squared off at the next minute, and go on after that."""
        minute = self._session.rules.square_off_min
        if minute is None:
            if self._now() > self._square_off_ms and self._may_close_everything():
                self._squared_off_ms = minute_of(self._now()) + MINUTE_MS
                self._square_off_ms = self._now() + _DRILL_EVERY_MS
                minute = (self._squared_off_ms + IST_AHEAD_MS) % DAY_MS // MINUTE_MS
                self._square_off_min = minute
                await self._change(ChangeOrder(rules={"square_off_min": minute}))
        elif minute == self._square_off_min:
            is_over = self._now() > self._squared_off_ms + _STEP_S * 1000
            if is_over or self._foreign():
                await self._change(ChangeOrder(rules={"square_off_min": None}))

    async def _kill(self) -> None:
        """Use the kill switch, and lift the halt a step later."""
        if self._now() < self._kill_ms or not self._may_close_everything():
            return
        self._kill_ms = self._now() + _DRILL_EVERY_MS
        kill = HaltOrder(halt=True, close_all=True, detail="a drill of the demo")
        await self._desk.close_all(self.session_id, Operation.internal(_KEY), lambda: kill)
        await asyncio.sleep(_STEP_S)
        await self._change(ChangeOrder(status=SessionStatus.ACTIVE))

    @property
    def _session(self) -> Session:
        return self._replica.state(self.session_id).session

    def _may_close_everything(self) -> bool:
        return self._session.status is SessionStatus.ACTIVE and not self._foreign()

    def _foreign(self) -> set[int]:
        """Open trades and pending orders, by their ids, that are not the strategy's own."""
        state = self._replica.state(self.session_id)
        return state.open_trades.keys() - self._own or state.pending.keys() - self._orders

    async def _change(self, change: ChangeOrder) -> None:
        operation = Operation.internal(_KEY)
        await self._desk.change_session(self.session_id, operation, lambda: change)

    async def _wait_for_less(self) -> None:
        """Have one order pending; cancel it when it has waited for too long."""
        pending = self._replica.state(self.session_id).pending
        waiting = [pending[order_id] for order_id in self._orders & pending.keys()]
        for entry in waiting:
            if self._now() - entry.placed_at_ms > _MAX_AGE_MS:
                with suppress(AlreadyEnded):
                    operation = Operation.internal(_KEY)
                    await self._desk.cancel_order(entry.order_id, operation, lambda: None)
        quote = self._quote(_WAITS_FOR.symbol)
        if waiting or quote is None or quote.stale:
            return
        terms = _terms(quote.price_e4)
        operation = Operation.internal(_KEY)
        entered = await self._desk.place_order(self.session_id, operation, lambda: terms)
        self._orders.add(entered.entry.order_id)

    async def _open_next(self) -> None:
        if len(self._own) >= _MAX_OPEN:
            return
        idea = next(self._ideas)
        quote = self._quote(idea.symbol)
        if quote is not None and not quote.stale:
            order = _order(idea, quote.price_e4)
            operation = Operation.internal(_KEY)
            trade, _ = await self._desk.open_trade(self.session_id, operation, lambda: order)
            self._own.add(trade.trade_id)


def _order(idea: _Idea, price_e4: int) -> TradeOrder:
    order = TradeOrder(symbol=idea.symbol, side=idea.side, quantity=idea.quantity)
    if idea.away_e4 is None:
        return order
    away_e4 = _part_e4(price_e4, idea.away_e4) * idea.side.sign
    order = replace(order, target_e4=price_e4 + away_e4)
    if idea.trails:
        return replace(order, trailing_stop_e4=abs(away_e4))
    return replace(order, stop_loss_e4=price_e4 - away_e4)


def _terms(price_e4: int) -> EntryTerms:
    limit_e4 = price_e4 - _part_e4(price_e4, _CHEAPER_E4)
    assert _WAITS_FOR.away_e4 is not None
    away_e4 = _part_e4(price_e4, _WAITS_FOR.away_e4)
    return EntryTerms(
        symbol=_WAITS_FOR.symbol,
        side=_WAITS_FOR.side,
        quantity=_WAITS_FOR.quantity,
        type=EntryType.LIMIT,
        price_e4=limit_e4,
        validity=Validity.DAY,
        stop_loss_e4=limit_e4 - away_e4,
        target_e4=limit_e4 + away_e4,
    )


def _part_e4(price_e4: int, part_e4: int) -> int:
    """A part of a price, in whole ticks."""
    return price_e4 * part_e4 // 10_000 // _TICK_E4 * _TICK_E4
