"""The rooms as an aiohttp application: its routes, its middlewares, its goodbye."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from aiohttp import web
from prometheus_client.registry import Collector

from vyomo_rt.app.cluster import Cluster
from vyomo_rt.app.rooms import Rooms
from vyomo_rt.domain.quote import FeedState
from vyomo_rt.notices.notifier import Notifier
from vyomo_rt.recording.calls import CallLog
from vyomo_rt.recording.recorder import Recorder
from vyomo_rt.version import version
from vyomo_rt.web import origins
from vyomo_rt.web.access import AccessRoutes
from vyomo_rt.web.audit import AuditRoutes
from vyomo_rt.web.bars import BarRoutes
from vyomo_rt.web.cluster import ClusterRoutes
from vyomo_rt.web.command import CALL_LOG, carry_out
from vyomo_rt.web.contracts import ContractRoutes
from vyomo_rt.web.guard import Guard
from vyomo_rt.web.halts import HaltRoutes
from vyomo_rt.web.http import add_headers
from vyomo_rt.web.ingest import IngestRoutes
from vyomo_rt.web.limits import LimitRoutes
from vyomo_rt.web.loading import Loading
from vyomo_rt.web.long_answers import LongAnswers
from vyomo_rt.web.market import MarketRoutes
from vyomo_rt.web.metrics import MetricsRoutes, Reading
from vyomo_rt.web.orders import OrderRoutes
from vyomo_rt.web.pages import PageRoutes
from vyomo_rt.web.problems import problems
from vyomo_rt.web.pushing import take_all
from vyomo_rt.web.replay import ReplayRoutes
from vyomo_rt.web.reports import ReportRoutes
from vyomo_rt.web.rest import RestRoutes
from vyomo_rt.web.streams import StreamRoutes
from vyomo_rt.web.trade_lists import TradeListRoutes
from vyomo_rt.web.ways_in import WaysIn

_GOODBYE_S = 0.8


def application(rooms: Rooms, loading: Loading, cluster: Cluster | None = None) -> web.Application:
    """The application; requests that need sessions wait until these are loaded.

    With several nodes the ``cluster`` carries the commands out.
    """
    app = web.Application(
        middlewares=[problems, rooms.admission.track, rooms.addresses.locate, loading.middleware]
    )
    origins.install(app, rooms.origins)
    if rooms.recorder is not None and rooms.settings.with_commands:
        app[CALL_LOG] = CallLog(rooms.recorder, rooms.clocks.market)
        rooms.replica.followers.append(app[CALL_LOG])
    app.on_response_prepare.append(add_headers)
    pages = _pages(rooms, loading)
    long_answers = LongAnswers(rooms.history, rooms.board.quotes, rooms.clocks.wall)
    other_streams = None if cluster is None else cluster.streams
    routes = [
        *StreamRoutes(rooms.streaming, rooms.limits.streams, other_streams).routes(),
        *IngestRoutes(rooms.intake, rooms.streaming, rooms.limits.streams).routes(),
        *_rest(rooms, long_answers, cluster).routes(),
        *OrderRoutes(rooms.desk, rooms.desk.records).routes(),
        *HaltRoutes(rooms.desk).routes(),
        *AccessRoutes(rooms.gate, rooms.rights, rooms.origins, rooms.clocks.wall).routes(),
        *AuditRoutes(rooms.gate).routes(),
        *LimitRoutes(rooms.settings).routes(),
        *TradeListRoutes(rooms.desk.records, long_answers).routes(),
        *_reports(rooms, long_answers).routes(),
        *ClusterRoutes(None if cluster is None else cluster.document).routes(),
        *_market(rooms).routes(),
        *BarRoutes(rooms.bar_reader, long_answers, rooms.pricing.knows).routes(),
        *ReplayRoutes(rooms.player).routes(),
        *pages.routes(),
        *_metrics(rooms, cluster).routes(),
    ]
    routes += ContractRoutes(routes, version()).routes()
    ways_in = WaysIn(rooms.gate, rooms.origins)
    admit = Guard(ways_in, rooms.desk.owners, rooms.desk.records).admit
    carry = carry_out if cluster is None else cluster.forwarding.carry
    app.add_routes([route.for_aiohttp(admit, carry) for route in routes])
    if cluster is not None:
        cluster.forwarding.routes = {
            route.name: route for route in routes if route.takes is not None
        }
    pages.install(app)

    async def say_goodbye(_app: web.Application) -> None:
        rooms.hub.shut_down()
        await rooms.streaming.close_all(_GOODBYE_S)

    app.on_shutdown.append(say_goodbye)
    return app


def _reports(rooms: Rooms, long_answers: LongAnswers) -> ReportRoutes:
    return ReportRoutes(rooms.desk.reports, rooms.desk.records, rooms.curves, long_answers)


def _market(rooms: Rooms) -> MarketRoutes:
    return MarketRoutes(
        rooms.calendar,
        rooms.board,
        previous_close=rooms.pricing.previous_close,
        now=rooms.clocks.market,
    )


def _rest(rooms: Rooms, long_answers: LongAnswers, cluster: Cluster | None) -> RestRoutes:
    here = partial(take_all, board=rooms.board, source=rooms.intake.source)
    return RestRoutes(
        rooms.desk,
        rooms.desk.records,
        long_answers,
        rooms.board,
        posted_source=rooms.intake.source,
        push=here if cluster is None else cluster.prices.pushing.push,
        clocks=rooms.clocks,
    )


def _pages(rooms: Rooms, loading: Loading) -> PageRoutes:
    return PageRoutes(
        version=version(),
        demo_session=lambda: rooms.demo.session_id if rooms.demo else None,
        loaded=loading.is_over,
        trade_on_delayed=rooms.settings.trade_on_delayed,
        store_available=lambda: rooms.store.available,
        notices_wait=_notices_wait(rooms.notifier),
        feed_status=rooms.monitor.status,
    )


def _notices_wait(notifier: Notifier | None) -> Callable[[], bool] | None:
    return None if notifier is None else lambda: notifier.is_behind


def _record_reading(recorder: Recorder | None) -> list[Reading]:
    if recorder is None:
        return []
    return [Reading("record_lost_lines", "Lines that the record lacks", lambda: recorder.lost)]


def _metrics(rooms: Rooms, cluster: Cluster | None) -> MetricsRoutes:
    desk, replica, store, monitor = rooms.desk, rooms.replica, rooms.store, rooms.monitor
    readings = [
        Reading("sessions", "Sessions that are not STOPPED", lambda: desk.sessions.live_count),
        Reading("open_trades", "Open trades of all sessions", lambda: replica.open_count),
        Reading("exits_waiting", "Exits that are not yet stored", lambda: desk.waiting),
        Reading("store_up", "1 if a write would probably succeed", lambda: store.available),
        Reading(
            "feed_up",
            "1 if prices come in as promised",
            lambda: monitor.status().state is FeedState.LIVE,
        ),
        *_record_reading(rooms.recorder),
        Reading("symbols", "Symbols whose last price is held", lambda: len(rooms.board)),
        Reading("feed_age_seconds", "Since the last accepted tick", monitor.age_s),
    ]
    if cluster is not None:
        readings += [Reading(*reading) for reading in cluster.readings()]
    collectors: list[Collector] = [
        rooms.hub.traffic,
        rooms.clock.lag,
        rooms.board.ticks,
        rooms.monitor.up,
        rooms.intake.frames,
        store.write_time,
        store.write_failures,
    ]
    if rooms.notifier is not None:
        collectors.append(rooms.notifier)
    return MetricsRoutes(version(), collectors, readings)
