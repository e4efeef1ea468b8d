"""The nodes that serve the same sessions, as an administrator reads them."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from vyomo_rt.wire.encoding import Data
from vyomo_rt.wire.values import Count


class NodeDocument(Data):
    """A living node, as the store knows it."""

    node: str
    host: str
    pid: Count
    version: str
    reads: Annotated[Count, Meta(description="Newest shape of events that it can read")]
    shards: Annotated[Count, Meta(description="Of 64, in each of which it decides")]
    prices: Annotated[bool, Meta(description="Whether it runs the sources of prices")]


class ClusterDocument(Data):
    """What a node knows of itself and the others."""

    node: Annotated[str | None, Meta(description="The one that answers; null: it is alone")]
    bus: Annotated[bool, Meta(description="Whether it is connected to NATS")]
    deciding: Annotated[Count, Meta(description="Shards that it has taken up")]
    gaps_repaired: Annotated[Count, Meta(description="Events and prices that it had to ask for")]
    doubled: Annotated[Count, Meta(description="Events and prices that it got again")]
    dropped: Annotated[Count, Meta(description="Messages that it could not handle in time")]
    hops: Annotated[Count, Meta(description="Commands that others carried out for its clients")]
    shape: Annotated[Count, Meta(description="Of events as they are written: all nodes read it")]
    prices_ms: Annotated[int | None, Meta(description="Since it heard of prices; null: its own")]
    nodes: list[NodeDocument]
