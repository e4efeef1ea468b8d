"""Makes the rooms, and hands each what it needs of the others."""

from __future__ import annotations

import logging
from collections.abc import Awaitable
from typing import TYPE_CHECKING

from vyomo_rt import config
from vyomo_rt.app.pricing import Pricing
from vyomo_rt.clockwork import Clockwork
from vyomo_rt.config import Settings
from vyomo_rt.demo import DemoTrader
from vyomo_rt.domain.curve import hour_of
from vyomo_rt.domain.demand import Demand
from vyomo_rt.domain.grant import Grant, Need
from vyomo_rt.domain.limits import Pace
from vyomo_rt.domain.moment import MINUTE_MS, Clocks, trading_day
from vyomo_rt.domain.quote import Quote
from vyomo_rt.exchange.calendar import Calendar
from vyomo_rt.exchange.instruments import instrument
from vyomo_rt.market.bar_keeping import BarKeeper
from vyomo_rt.market.bar_reading import BarReader
from vyomo_rt.market.bars import Bars
from vyomo_rt.market.feed import FeedContext
from vyomo_rt.market.relayed_board import Moments
from vyomo_rt.notices import notifier
from vyomo_rt.notices.notifier import Notifier
from vyomo_rt.notices.receiver import Receiver
from vyomo_rt.recording.day import RecordedDay
from vyomo_rt.replay.calls import Calls
from vyomo_rt.replay.clock import ReplayClock, from_ms, rate_of
from vyomo_rt.replay.player import Player, Speed
from vyomo_rt.store.access import SavedAccess
from vyomo_rt.store.audit import SavedAudit
from vyomo_rt.store.bars import SavedBars
from vyomo_rt.store.curves import SavedCurves
from vyomo_rt.store.history import History
from vyomo_rt.store.journal import MongoStore
from vyomo_rt.store.notices import SavedPlaces
from vyomo_rt.store.prices import SavedPrices
from vyomo_rt.stream.commands import Commands
from vyomo_rt.stream.heartbeat import Heartbeat
from vyomo_rt.stream.hub import Hub
from vyomo_rt.stream.peer import Peer
from vyomo_rt.stream.rights import Authority, Rights
from vyomo_rt.stream.sources import Sources
from vyomo_rt.trading.curves import Curves
from vyomo_rt.trading.days import Days
from vyomo_rt.trading.desk import Desk
from vyomo_rt.trading.replica import Replica
from vyomo_rt.web import origins
from vyomo_rt.web.addresses import Addresses
from vyomo_rt.web.admission import Admission
from vyomo_rt.web.connection import StreamServer
from vyomo_rt.web.ingest import Intake
from vyomo_rt.web.listening import FileLimits
from vyomo_rt.web.reading import Haste

log = logging.getLogger(__name__)

if TYPE_CHECKING:
    from vyomo_rt.access.gate import Gate

_LISTED = 1000
"""Sessions in one answer of a list."""


class Rooms:
    """What a server consists of; nothing runs yet."""

    def __init__(
        self,
        settings: Settings,
        calendar: Calendar,
        store: MongoStore,
        limits: FileLimits,
        clocks: Clocks,
    ) -> None:
        self.settings = settings
        self.calendar = calendar
        self.store = store
        self.limits = limits
        self.clocks = clocks
        self.clock = Clockwork(clocks.market)
        self.origins = _origins(settings)
        self.gate = self._gate() if settings.has_key else None
        self.demand = Demand()
        self.pricing = Pricing(
            FeedContext(settings, clocks.market, calendar),
            self.demand,
            self._on_price,
            clocks,
            on_moment=self._on_moment,
            # A replay's clock knows when a tick came, however late it was read.
            arrived=clocks.market if settings.replays else lambda: self.clock.last_on_time_ms,
            kept=SavedPrices(store),
            moments=self._moments() if settings.nats_url else None,
        )
        self.board = self.pricing.board
        self.bars = Bars(
            self.demand,
            clocks.market,
            is_open=self.pricing.is_open,
            most=settings.max_bar_symbols,
        )
        kept_bars = SavedBars(store)
        self.bar_keeper = BarKeeper(self.bars, kept_bars, clocks.market)
        self.bar_reader = BarReader(self.bars, kept_bars, self.pricing.opening_ms)
        self.monitor = self.pricing.monitor
        self.recorder = self.pricing.recorder(settings.record)
        self.history = History(store.events, page=store.lanes.pace.page).events
        self.replica = Replica(trading_day(clocks.market()))
        self.days = Days(self.replica, clocks.market)
        self.hub = self._hub()
        self.replica.followers.append(self.hub)
        self.desk = self._desk()
        self.curves = Curves(self.replica, self.board.confirmed, SavedCurves(store), clocks.market)
        self.demo = self._demo() if settings.demo else None
        self.notifier = self._notifier() if settings.notify_url is not None else None
        self.player = self._player() if settings.replays else None
        self.heartbeat = self._heartbeat()
        self.addresses = Addresses(settings.trusted_proxy, settings.max_connections_per_address)
        self.rights = Rights(
            self.hub,
            self.clock,
            self._authority(),
            max_streams=settings.max_connections_per_subject,
        )
        self.streaming = self._streaming()
        self.intake = Intake(self.board, self.pricing.posted_source)
        self.accepts = Pace(settings.accepts_per_s, _accepted_at_once(settings))
        self.admission = self._admission()

    def _on_moment(self, at_ms: int) -> None:
        self.desk.on_moment(at_ms)

    def _moments(self) -> Moments:
        return Moments(self.clocks.market, lambda: self.clock.last_on_time_ms)

    def require_standing(self, grant: Grant) -> None:
        """Raise Unauthorized if a grant was taken back."""
        if self.gate is not None:
            self.gate.require_standing(grant)

    async def know(self, grant: Grant) -> None:
        """Know the sign-in by which another node has found a grant. Raises Unavailable."""
        if self.gate is not None and grant.entry is not None:
            await self.gate.entries.know(grant.entry)

    def _on_price(self, quote: Quote) -> None:
        self.desk.on_quote(quote)
        self.hub.on_quote(quote)
        self.bars.on_quote(quote)

    def _hub(self) -> Hub:
        return Hub(
            self._sources(),
            now=self.clocks.wall,
            max_events_behind=self.settings.max_events_behind,
            max_symbols=self.settings.max_symbols,
        )

    def _sources(self) -> Sources:
        return Sources(
            ask_for_session=self._ask_for_session,
            state=self.replica.find,
            visible=lambda grant: self.desk.owners.visible(grant, self.replica),
            fetch_session=self._fetch_session,
            history=self.history,
            quote=self.board.quote,
            confirmed=self.board.confirmed,
            refusal=self.board.refusal,
            demand=self.demand,
            market_now=self.clocks.market,
            knows=self.pricing.knows,
            feed_status=self.monitor.status,
        )

    def _desk(self) -> Desk:
        return Desk(
            self.store,
            self.replica,
            clocks=self.clocks,
            quote=self.board.confirmed,
            knows=self.pricing.knows,
            max_open_trades=self.settings.max_open_trades,
            demand=self.demand,
            tick_e4=self._tick_e4,
            reserve=self.board.reserve,
            session_end_ms=self.pricing.session_end_ms,
            square_off_ms=self.pricing.square_off_ms,
            new_day_ms=self.pricing.new_day_ms,
            is_watched=lambda session_id: self.hub.topics.find(session_id) is not None,
        )

    def _tick_e4(self, symbol: str) -> int | None:
        now_ms, quote = self.clocks.market(), self.board.confirmed(symbol)
        price_e4 = None if quote is None else quote.price_e4
        return instrument(symbol, now_ms, self.calendar, price_e4).tick_e4

    def _ask_for_session(self, grant: Grant, need: Need, session_id: int) -> Awaitable[None] | None:
        return self.desk.owners.ask(grant, need, session_id)

    def _fetch_session(self, session_id: int, since: int) -> Awaitable[object] | None:
        return self.desk.sessions.fetch(session_id, since)

    def _demo(self) -> DemoTrader:
        return DemoTrader(
            self.desk,
            self.replica,
            quote=self.board.confirmed,
            history=self.store.events,
            now=self.clocks.market,
        )

    def _notifier(self) -> Notifier:
        records, settings = self.desk.records, self.settings
        assert settings.notify_url is not None
        return Notifier(
            Receiver(settings.notify_url, settings.notify_key, self.clocks.wall),
            SavedPlaces(self.store),
            notifier.Sources(
                sessions=self.replica.states,
                session=records.session,
                above=lambda id_: records.sessions(id_, None, _LISTED, Grant.EVERYTHING),
                history=self.history,
            ),
            settings.notify_types,
        )

    async def _on_minute(self) -> None:
        await self.days.roll_over()
        minute = self.clocks.market() // MINUTE_MS
        if hour_of(minute) != hour_of(minute - 1):
            await self.curves.save()  # a replay may pass hours faster than they are saved
        await self.curves.take()

    def _player(self) -> Player:
        clock, settings = self.clocks.market, self.settings
        assert isinstance(clock, ReplayClock)
        assert settings.replays is not None
        day = RecordedDay(settings.replays)
        for name in ("market_hours", "trade_on_delayed"):
            if getattr(day.header, name) and not getattr(settings, name):
                flag = name.replace("_", "-")
                log.warning("the recorded server ran with --%s: add it for the same events", flag)
        calls = Calls(self.desk)
        self.replica.followers.append(calls)
        player = Player(
            day,
            clock,
            Speed(rate_of(settings.speed), from_ms(clock.at_ms, settings.start_at)),
            feed=self.pricing.best,
            board=self.board,
            desk=self.desk,
            calls=calls,
            on_minute=self._on_minute,
        )
        self.monitor.replay = player.state
        return player

    def _heartbeat(self) -> Heartbeat:
        return Heartbeat(
            self.hub,
            self.clock,
            ping_interval_s=self.settings.ping_interval_s,
            pong_timeout_s=self.settings.pong_timeout_s,
            sse_keep_alive_s=self.settings.sse_keep_alive_s,
            slow_timeout_s=self.settings.slow_timeout_s,
        )

    def _gate(self) -> Gate:
        # Only with a key: it loads a library of cryptography.
        from vyomo_rt.access.gate import Gate  # noqa: PLC0415

        return Gate(
            self.settings,
            SavedAccess(self.store),
            SavedAudit(self.store, self.settings.audit_entries),
            self.clocks.wall,
            self.clock.time_s,
        )

    def _authority(self) -> Authority | None:
        gate = self.gate
        if gate is None:
            return None

        async def grant(token: str, peer: Peer) -> Grant:
            with gate.attempts.counted(peer.address_key, peer.address):
                return await gate.by_fresh_token(token)

        return Authority(grant, gate.stands, gate.audit.note)

    def _streaming(self) -> StreamServer:
        settings = self.settings
        return StreamServer(
            self.hub,
            Commands(self.hub, self.rights),
            self.heartbeat,
            self.rights,
            self.addresses.seats,
            Haste(Pace(settings.messages_per_s, settings.message_burst), self.clock.time_s),
            settings.max_message_bytes,
        )

    def _admission(self) -> Admission:
        return Admission(
            self.clock,
            self.limits,
            self.streaming.connections,
            self.addresses,
            request_timeout_s=self.settings.request_timeout_s,
            idle_timeout_s=self.settings.idle_timeout_s,
        )


def _accepted_at_once(settings: Settings) -> int:
    """A twentieth of a second's: time that the loop was busy with others is made up for."""
    return 1 + settings.accepts_per_s // 20


def _origins(settings: Settings) -> origins.Origins:
    return origins.Origins(
        frozenset(settings.allowed_origins),
        frozenset(settings.allowed_hosts),
        loopback=config.is_loopback(settings.host) and not settings.has_key,
        has_key=settings.has_key,
    )
