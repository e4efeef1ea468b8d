"""The REST call for the nodes."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web

from vyomo_rt.domain.event import SHAPE
from vyomo_rt.domain.grant import Need
from vyomo_rt.domain.shard import SHARDS
from vyomo_rt.web.answers import json_answer
from vyomo_rt.web.routes import API, Route
from vyomo_rt.wire.cluster import ClusterDocument

_ALONE = ClusterDocument(
    node=None,
    bus=False,
    deciding=SHARDS,
    gaps_repaired=0,
    doubled=0,
    dropped=0,
    hops=0,
    shape=SHAPE,
    prices_ms=None,
    nodes=[],
)


class ClusterRoutes:
    """The handler of the call for the nodes."""

    def __init__(self, document: Callable[[], ClusterDocument] | None) -> None:
        self._document = document

    def routes(self) -> list[Route]:
        """The table of the call."""
        return [
            Route("GET", f"{API}/cluster", Need.ADMINISTER, self.show_cluster, "health",
                  ClusterDocument),
        ]  # fmt: skip

    async def show_cluster(self, _: web.Request) -> web.Response:
        """Show the nodes that serve the same sessions, and how this one follows the others."""
        return json_answer(_ALONE if self._document is None else self._document())
