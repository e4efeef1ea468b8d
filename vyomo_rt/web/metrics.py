"""``/metrics``: what the rooms count, in the form that Prometheus reads."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from aiohttp import web
from prometheus_client import (
    CollectorRegistry,
    Gauge,
    GCCollector,
    Info,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.aiohttp import make_aiohttp_handler
from prometheus_client.registry import Collector


class Reading(NamedTuple):
    """A figure that is looked up when somebody asks for it."""

    name: str
    about: str
    read: Callable[[], float]


def metrics_route(
    version: str, collectors: Iterable[Collector], readings: Iterable[Reading]
) -> web.RouteDef:
    """The route to a registry of one server's own: a process may run several in tests."""
    # Else each counter has a second series, of when it began, that nobody reads.
    disable_created_metrics()  # type: ignore[no-untyped-call]
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    Info("vyomo_rt_build", "The server", registry=registry).info({"version": version})
    for collector in collectors:
        registry.register(collector)
    for reading in readings:
        gauge = Gauge(f"vyomo_rt_{reading.name}", reading.about, registry=registry)
        gauge.set_function(reading.read)
    return web.get("/metrics", make_aiohttp_handler(registry))
