"""How the server, its store and its feed are doing."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, UnsetType

from vyomo_rt.domain.market import MarketState
from vyomo_rt.domain.moment import iso
from vyomo_rt.domain.quote import FeedState, FeedStatus
from vyomo_rt.wire.encoding import Data, Message, encode, unless_none
from vyomo_rt.wire.frame import Frame, make_frame
from vyomo_rt.wire.replay import Rate, shown_rate
from vyomo_rt.wire.values import Timestamp


class SourceData(Data):
    """How one of several price sources is doing."""

    source: str
    state: FeedState
    message: str


class FeedStatusData(Data):
    source: str
    state: FeedState
    message: str
    timestamp: Timestamp
    market_state: Annotated[
        MarketState | UnsetType,
        Meta(description="Of the index segment; where prices follow the hours of the exchange"),
    ] = UNSET
    market_time: Annotated[
        Timestamp | UnsetType, Meta(description="The market's clock; in a replay, each second")
    ] = UNSET
    rate: Rate | UnsetType = UNSET
    paused: Annotated[bool | UnsetType, Meta(description="Only in a replay")] = UNSET
    sources: Annotated[
        list[SourceData] | UnsetType,
        Meta(description="Each by itself, the best first; only if there are several"),
    ] = UNSET


class FeedStatusMessage(Message, tag="feed_status"):
    """How the price source is doing; several are as well as the best of them."""

    data: FeedStatusData


class Liveness(Data):
    status: Literal["ok"]


class FeedReadiness(Data):
    source: str
    state: FeedState
    message: str


class Readiness(Data):
    status: Literal["ok", "loading", "unavailable"]
    store: Literal["ok", "unavailable"]
    feed: FeedReadiness
    notices: Annotated[
        Literal["ok", "waiting"] | UnsetType,
        Meta(description="Whether their receiver takes them; absent if there is none"),
    ] = UNSET


FEED_STATUS = "feed_status"


def feed_status(status: FeedStatus) -> Frame:
    return make_frame(FEED_STATUS, _feed_status(status))


def feed_status_text(status: FeedStatus) -> str:
    """The JSON of the message, as it is posted."""
    return _feed_status(status).decode()


def _feed_status(status: FeedStatus) -> bytes:
    replay = status.replay
    data = FeedStatusData(
        source=status.source,
        state=status.state,
        message=status.message,
        timestamp=iso(status.since_ms),
        market_state=unless_none(status.market_state),
        market_time=UNSET if replay is None else iso(replay.market_ms),
        rate=UNSET if replay is None else shown_rate(replay.rate),
        paused=UNSET if replay is None else replay.is_paused,
        sources=[SourceData(*source) for source in status.sources] or UNSET,
    )
    return encode(FeedStatusMessage(data=data))
