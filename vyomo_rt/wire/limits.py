"""The server's limits, as clients may ask for them."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from vyomo_rt.wire.encoding import Data
from vyomo_rt.wire.values import Count


class LimitsDocument(Data):
    """Each is a setting, which has the same name."""

    messages_per_s: Annotated[Count, Meta(description="Of one WebSocket, in the long run")]
    message_burst: Annotated[Count, Meta(description="Of one WebSocket, at once")]
    max_message_bytes: Count
    max_symbols: Annotated[Count, Meta(description="That one connection may watch")]
    max_connections: Annotated[Count, Meta(description="Streams of all clients")]
    max_connections_per_address: Count
    max_connections_per_subject: Annotated[Count, Meta(description="Streams of one `sub`")]
    accepts_per_s: Annotated[Count, Meta(description="New connections; others wait their turn")]
    failed_tokens_per_minute: Annotated[Count, Meta(description="Of one address")]
    calls_per_s: Annotated[Count, Meta(description="REST calls of one `sub`, in the long run")]
    call_burst: Annotated[Count, Meta(description="REST calls of one `sub`, at once")]
    max_open_trades: Annotated[Count, Meta(description="Of one session")]
