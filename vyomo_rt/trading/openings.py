"""Decides which trades may be opened: on request, and when a pending entry's price has come."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from vyomo_rt.domain.charges import Charge
from vyomo_rt.domain.decisions import Moment, NewDayMs
from vyomo_rt.domain.errors import BadRequest, Conflict, SessionFull
from vyomo_rt.domain.guarding import DEFAULT_TICK_E4, opening_guards
from vyomo_rt.domain.moment import DAY_MS, MarketClock, day_of, iso
from vyomo_rt.domain.order import TradeOrder
from vyomo_rt.domain.pending import PendingEntry
from vyomo_rt.domain.quote import Quote
from vyomo_rt.domain.ruling import check_opening
from vyomo_rt.domain.session import Session, SessionStatus
from vyomo_rt.domain.square_off import SquareOffMs, is_over
from vyomo_rt.domain.state import SessionState
from vyomo_rt.domain.trade import Trade
from vyomo_rt.trading.fills import Fills
from vyomo_rt.trading.ids import Ids


class Openings(Fills):
    """Checks an opening against the session and the market, and gives the trade its id."""

    def __init__(
        self,
        ids: Ids,
        *,
        quote: Callable[[str], Quote | None],
        knows: Callable[[str], bool],
        reserve: Callable[[str], bool],
        tick_e4: Callable[[str], int | None],
        charge: Charge,
        square_off_ms: SquareOffMs,
        new_day_ms: NewDayMs,
        most: int,
        now: MarketClock,
    ) -> None:
        """``most`` is how many trades a session may have open."""
        self._ids = ids
        self.last_price = self._quote = quote
        self.knows = knows
        self.reserve = reserve
        self._tick_e4 = tick_e4
        self.charge = charge
        self.square_off_ms = square_off_ms
        self.new_day_ms = new_day_ms
        self._most = most
        self._now = now

    @property
    def is_ready(self) -> bool:
        """Whether a trade can be opened without drawing an id."""
        return bool(self._ids)

    async def get_ready(self, count: int) -> None:
        await self._ids.draw(count)

    def open_entry(self, state: SessionState, entry: PendingEntry, moment: Moment) -> Trade:
        order = replace(entry.opening, entry_price_e4=moment.price_e4)
        return replace(self.decide(state, order, moment.at_ms), order_id=entry.order_id)

    def decide(self, state: SessionState, order: TradeOrder, at_ms: int | None = None) -> Trade:
        """The trade that an order opens, by default now. Raises BadRequest and Conflict."""
        at_ms = self._now() if at_ms is None else at_ms
        session = state.session
        if not self.knows(order.symbol):
            raise BadRequest(f"symbol: the price feed does not know {order.symbol}", "symbol")
        if session.status is not SessionStatus.ACTIVE:
            raise Conflict(f"{_standstill(session)}: opening needs ACTIVE", "sessionId")
        if len(state.open_trades) >= self._most:
            raise SessionFull(
                f"session {session.session_id} has {self._most} open trades, the most"
                " that it may have: close one first",
                "sessionId",
            )
        self._require_hours(session, order.symbol, at_ms)
        entry_price_e4 = order.entry_price_e4 or self._fresh_price_e4(order.symbol)
        check_opening(state, order.quantity, entry_price_e4, at_ms)
        guards = opening_guards(order, order.side, entry_price_e4, self.step_of(order.symbol))
        if any(guards.values()) and not self.reserve(order.symbol):
            # A stop that no price could ever reach would be worse than none.
            raise Conflict(
                f"symbol: all places for prices are in use, so no stopLoss or target in "
                f"{order.symbol} could fire: open without them, or in another symbol",
                "symbol",
            )
        return Trade(
            trade_id=self._ids.take(),
            session_id=session.session_id,
            symbol=order.symbol,
            side=order.side,
            quantity=order.quantity,
            entry_price_e4=entry_price_e4,
            **guards,
            opened_at_ms=at_ms,
            tags=order.tags,
            note=order.note,
            entry_charges=self.charge(
                session.charges, order.side, order.quantity, entry_price_e4, at_ms
            ),
        )

    def _require_hours(self, session: Session, symbol: str, at_ms: int) -> None:
        """Nothing opens that a square-off of the same date would have closed."""
        if is_over(session, symbol, at_ms, self.square_off_ms):
            until = iso(day_of(at_ms) + DAY_MS)
            words = f"session {session.session_id} has squared off for today: no opening until"
            raise Conflict(f"squareOff: {words} {until}", "sessionId")

    def _fresh_price_e4(self, symbol: str) -> int:
        quote = self._quote(symbol)
        if quote is None or quote.stale:
            last = f" (the last is as of {iso(quote.as_of_ms)})" if quote else ""
            what = "no fresh price" if quote else "no price"
            do = (
                "give entryPrice"
                if quote
                else "watch it first (subscribe_prices) or give entryPrice"
            )
            raise Conflict(f"{what} of {symbol} is known{last}: {do}", "entryPrice")
        return quote.price_e4

    def step_of(self, symbol: str) -> Callable[[], int]:
        """The step of a symbol's prices, which is asked for only where it matters."""
        return lambda: self._tick_e4(symbol) or DEFAULT_TICK_E4


def _standstill(session: Session) -> str:
    """Why nothing can be opened; a rule's halt says which rule, and until when."""
    words = f"session {session.session_id} is {session.status}"
    if session.halt is None:
        return words
    return f"{words} by {session.halt.reasons[-1]} until {iso(session.halt.ends_at_ms)}"
