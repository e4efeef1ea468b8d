"""Which sessions a price may concern."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from heapq import heapify, heappop, heappush
from itertools import count

from vyomo_rt.domain.decisions import Moment
from vyomo_rt.domain.event import Event, SessionEvent, TradeEvent
from vyomo_rt.domain.moment import SECOND_MS, MarketClock
from vyomo_rt.domain.pending import PendingEntry
from vyomo_rt.domain.quiet import quiet_prices
from vyomo_rt.domain.quote import Quote
from vyomo_rt.domain.session import Session, SessionStatus
from vyomo_rt.domain.square_off import SquareOffMs, due_ms
from vyomo_rt.domain.state import Priced, SessionState
from vyomo_rt.domain.trade import Trade
from vyomo_rt.domain.trailing import Band
from vyomo_rt.trading.ledger import Ledger
from vyomo_rt.trading.results import Results


class Positions:
    """Passes each price to the sessions in which it may decide something.

    For each symbol and session it knows the band of prices that do nothing, so that a price
    looks at no trade as long as it stays there.
    """

    def __init__(
        self,
        now: MarketClock,
        quote: Callable[[str], Quote | None],
        square_off_ms: SquareOffMs,
    ) -> None:
        self._now = now
        self._quote = quote
        self._square_off_ms = square_off_ms
        self._bands: dict[str, dict[Ledger, Band | None]] = {}
        """None: to be found anew."""
        self._due: list[tuple[int, int, Ledger]] = []
        """When moves that wait may be stored, orders end, trades are squared off: a heap."""
        self._count = count()
        self._known_due: set[tuple[int, Ledger]] = set()
        self._square_offs: set[tuple[int, Ledger]] = set()
        """Which of them are square-offs."""
        self.undecided: set[Ledger] = set()
        """Where moments were taken since somebody has cleared this."""
        self._followed: dict[Ledger, set[str]] = {}
        """The symbols of which each session gets prices."""
        self._results = Results(quote, now)
        self._unpriced: dict[str, dict[Ledger, None]] = {}
        """The symbols whose first price some session's square-off waits for."""

    def add(self, state: SessionState, ledger: Ledger) -> None:
        """A session is written here from now on."""
        for trade in state.open_trades.values():
            self._follow_square_off(trade, state.session, ledger)
        for symbol in state.exposures:
            self.expect(symbol, ledger)
        for entry in state.pending.values():
            self._follow_entry(entry, ledger)
        if state.session.status is not SessionStatus.ACTIVE and state.pending:
            self._push_due(0, ledger)
        self._follow_session(state.session, ledger)

    def expect(self, symbol: str, ledger: Ledger) -> None:
        """Something in a symbol may begin in a session: every price counts for it from now on."""
        self._bands.setdefault(symbol, {})[ledger] = None
        self._followed.setdefault(ledger, set()).add(symbol)

    def last_prices(self, ledger: Ledger) -> dict[str, Priced]:
        """The last known prices of a session's symbols."""
        return {**self._priced(self._followed.get(ledger, ()))}

    def _priced(self, symbols: Iterable[str]) -> dict[str, Quote]:
        """The last known prices of those symbols that have one."""
        found = {symbol: self._quote(symbol) for symbol in symbols}
        return {symbol: quote for symbol, quote in found.items() if quote is not None}

    def follow(self, events: Sequence[Event], ledger: Ledger) -> None:
        """Events were applied."""
        for event in events:
            if isinstance(event, TradeEvent):
                if event.trade.exit is None and event.is_opening:
                    self._follow_square_off(event.trade, ledger.state.session, ledger)
                self.expect(event.trade.symbol, ledger)
            if isinstance(event, SessionEvent):
                for trade in ledger.state.open_trades.values():
                    self._follow_square_off(trade, ledger.state.session, ledger)
            for record in event.records:
                if isinstance(record, PendingEntry):
                    self._follow_entry(record, ledger)
        self._follow_session(ledger.state.session, ledger)

    def _follow_session(self, session: Session, ledger: Ledger) -> None:
        if session.halt is not None:
            self._push_due(session.halt.ends_at_ms, ledger)
        self._results.follow(ledger)

    def _follow_square_off(self, trade: Trade, session: Session, ledger: Ledger) -> None:
        due = due_ms(session, trade.symbol, trade.opened_at_ms, self._square_off_ms)
        if due is not None:
            self._square_offs.add((due, ledger))
            self._push_due(due, ledger)

    def _follow_entry(self, entry: PendingEntry, ledger: Ledger) -> None:
        if entry.is_open and entry.ends_at_ms is not None:
            self._push_due(entry.ends_at_ms, ledger)
        self.expect(entry.symbol, ledger)

    def _push_due(self, due_ms: int, ledger: Ledger) -> None:
        if (due_ms, ledger) not in self._known_due:
            self._known_due.add((due_ms, ledger))
            heappush(self._due, (due_ms, next(self._count), ledger))

    def wait(self, ledger: Ledger) -> None:
        """What waits in a session has changed."""
        for symbol in ledger.state.exposures:
            self.expect(symbol, ledger)
        if (due_ms := ledger.pace.due_ms) is not None:
            # Late prices are of seconds long past; for their moves the clock's next one counts.
            next_ms = (self._now() // SECOND_MS + 1) * SECOND_MS
            due_ms = due_ms if due_ms > self._now() else next_ms
            self._push_due(due_ms, ledger)

    @property
    def due_ms(self) -> float:
        """The next moment for which something waits; infinite if nothing does."""
        return self._due[0][0] if self._due else math.inf

    def pass_time(self, at_ms: int) -> None:
        """The market has come to a moment: what waited for it is stored."""
        while self._due and self._due[0][0] <= at_ms:
            due_ms, _, ledger = heappop(self._due)
            self._known_due.discard((due_ms, ledger))
            is_square_off = (due_ms, ledger) in self._square_offs
            self._square_offs.discard((due_ms, ledger))
            self._take(
                ledger, Moment(at_ms, last=self._last_prices(ledger) if is_square_off else {})
            )

    def _last_prices(self, ledger: Ledger) -> dict[str, Quote]:
        """The prices at which a square-off closes; it waits for those that are not known."""
        found = self._priced(ledger.state.exposures)
        for symbol in ledger.state.exposures.keys() - found.keys():
            self._unpriced.setdefault(symbol, {})[ledger] = None
        return found

    def _take(self, ledger: Ledger, moment: Moment) -> None:
        self.undecided.add(ledger)
        ledger.take(moment)

    def on_quote(self, quote: Quote) -> None:
        """Let an accepted price decide what it may; a stale price decides nothing."""
        at_ms = self._now() if quote.stale else quote.as_of_ms
        for ledger in self._unpriced.pop(quote.symbol, ()):
            self._take(ledger, Moment(at_ms, last={quote.symbol: quote}))
        bands, due = self._bands.get(quote.symbol, {}), self._results.on_price(quote)
        if quote.stale:
            self._close_at_last(quote, bands)
            return
        self.pass_time(quote.as_of_ms)
        moment = Moment(quote.as_of_ms, quote.symbol, quote.price_e4)
        if bands:
            self._pass_on(moment, bands)
        for ledger in due:  # after the exits of other sessions
            has_taken_it = ledger in bands and ledger.is_busy
            if not has_taken_it:
                self._take(ledger, moment)

    def _pass_on(self, moment: Moment, bands: dict[Ledger, Band | None]) -> None:
        """Give a price to the sessions in which it is not quiet, or that are busy."""
        symbol, price_e4 = moment.symbol, moment.price_e4
        assert symbol is not None
        for ledger, known in list(bands.items()):
            if ledger.is_busy:
                self._take(ledger, moment)
                continue
            band = known or quiet_prices(ledger.state, ledger.pace, symbol)
            if band is None:
                del bands[ledger]
                self._followed[ledger].discard(symbol)
            elif band.low < price_e4 < band.high:
                bands[ledger] = band
            else:
                self._take(ledger, moment)
        if not bands:
            del self._bands[symbol]

    def catch_up(self, prices: Iterable[tuple[int, Quote]], decided: Mapping[Ledger, int]) -> None:
        """Let prices of late act in sessions that were decided about elsewhere, up to a moment.

        Each comes with the moment at which it was accepted, in order.
        """
        for at_ms, quote in prices:
            if quote.stale:
                continue
            moment = Moment(quote.as_of_ms, quote.symbol, quote.price_e4)
            for ledger in list(self._bands.get(quote.symbol, ())):
                if at_ms > decided.get(ledger, at_ms) and self._may_act(ledger, quote):
                    self._take(ledger, moment)

    def _may_act(self, ledger: Ledger, quote: Quote) -> bool:
        if ledger.is_busy or ledger.state.session.rules.judge_results:
            return True
        bands, symbol = self._bands[quote.symbol], quote.symbol
        band = bands[ledger] = bands[ledger] or quiet_prices(ledger.state, ledger.pace, symbol)
        return band is not None and not band.low < quote.price_e4 < band.high

    def resume(self) -> None:
        """Go on with what a halt has begun, and with what time has ended, before any price."""
        self.pass_time(self._now())
        for symbol, bands in list(self._bands.items()):
            if (last := self._quote(symbol)) is not None:
                self._close_at_last(last, bands)

    def _close_at_last(self, last: Quote, ledgers: Iterable[Ledger]) -> None:
        """Where a halt closes everything, any price will do."""
        for ledger in ledgers:
            session = ledger.state.session
            # Rules go by the prices that came before each of those that wait.
            is_needed = ledger.is_busy and session.rules.judge_results
            if session.closing is not None or is_needed:
                moment = Moment(self._now(), last.symbol, last.price_e4, is_stale=last.stale)
                self._take(ledger, moment)

    def forget(self, ledger: Ledger) -> None:
        """A session is no longer written here."""
        for symbol in self._followed.pop(ledger, ()):
            self._bands[symbol].pop(ledger, None)
        self._results.forget(ledger)
        for waiting in self._unpriced.values():
            waiting.pop(ledger, None)
        self.undecided.discard(ledger)
        self._due = [due for due in self._due if due[2] is not ledger]
        heapify(self._due)
        self._known_due = {(due_ms, one) for due_ms, _, one in self._due}
        self._square_offs &= self._known_due
