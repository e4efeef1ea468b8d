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

from vyomo_rt.web.routes import Route, Text


class Reading(NamedTuple):
    """A figure that is looked up when somebody asks for it."""

    name: str
    about: str
    read: Callable[[], float]


class MetricsRoutes:
    """The figures of one server, in its own registry, because tests run several in a process."""

    def __init__(
        self, version: str, collectors: Iterable[Collector], readings: Iterable[Reading]
    ) -> None:
        # Otherwise each counter has a second series, its creation time, that nobody reads.
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
        self._answer = make_aiohttp_handler(registry)

    def routes(self) -> list[Route]:
        return [Route("GET", "/metrics", None, self.show_metrics, "health", Text("text/plain"))]

    async def show_metrics(self, request: web.Request) -> web.StreamResponse:
        """Show figures for Prometheus."""
        return await self._answer(request)
