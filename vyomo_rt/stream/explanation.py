"""Why a connection gets messages, or does not, in words for a person."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from itertools import islice
from time import monotonic

from vyomo_rt.domain.moment import iso
from vyomo_rt.domain.quote import FeedState
from vyomo_rt.domain.session import SessionStatus
from vyomo_rt.stream.hub import Hub
from vyomo_rt.stream.peer import Peer
from vyomo_rt.stream.sessions import SessionTopic
from vyomo_rt.stream.subscriptions import subscription
from vyomo_rt.wire.commands import ALL_TYPES
from vyomo_rt.wire.connection import ConnectionDocument

_NAMED = 10


def explain(hub: Hub, peer: Peer) -> ConnectionDocument:
    """What the hub knows about a connection, and in words what follows from it."""
    # While it is ready its audiences write to it and count for it.
    audiences = peer.audiences if peer.ready else []
    wrote_at_s = max([peer.wrote_at_s, *(audience.wrote_at_s for audience in audiences)])
    return ConnectionDocument(
        connection_id=peer.id,
        transport=peer.framing.label,
        opened_at=_iso(hub, peer.opened_at_s),
        messages=peer.messages + sum(audience.messages for audience in audiences),
        bytes=peer.bytes + sum(audience.bytes for audience in audiences),
        # An audience may have been written to before this peer came.
        last_write_at=_iso(hub, wrote_at_s) if wrote_at_s >= peer.opened_at_s else None,
        paused_since=_iso(hub, peer.paused_at_s) if peer.paused else None,
        buffered_bytes=peer.buffered_bytes(),
        events_behind=0 if peer.topic is None else peer.topic.log.end - (peer.seq or 0),
        conflated=peer.conflated,
        subscription=subscription(peer),
        reasons=list(_reasons(hub, peer)),
    )


def _reasons(hub: Hub, peer: Peer) -> Iterator[str]:
    yield from _of_its_socket(hub, peer)
    if peer.pushes:
        yield "it pushes ticks: it gets an ack for each frame with an id, and otherwise refusals"
        return
    if peer.topic is None:
        yield "it watches no session: send subscribe_session, or name sessionId in an SSE address"
    else:
        yield from _of_its_session(hub, peer, peer.topic)
    if peer.watch_audience is not None:
        yield (
            "it watches all sessions that it may see: their figures come every "
            f"{peer.watch_interval_ms} ms, if they have changed"
        )
    if not peer.symbols:
        yield "it watches no prices: send subscribe_prices, or name symbols in an SSE address"
    else:
        yield from _of_its_prices(hub, peer)
    status = hub.sources.feed_status()
    if status.state is not FeedState.LIVE:
        yield f"the price source {status.source} is {status.state}: {status.message}"


def _of_its_socket(hub: Hub, peer: Peer) -> Iterator[str]:
    if peer.paused:
        yield (
            f"its socket has taken no more since {_iso(hub, peer.paused_at_s)}: the client, or the "
            "network or a proxy before it, does not read; when it reads again it gets every "
            "trade event it missed, and only the newest prices and figures"
        )
    elif peer.topic is not None and not peer.ready:
        yield "it is being sent the trade events that it missed"


def _of_its_session(hub: Hub, peer: Peer, topic: SessionTopic) -> Iterator[str]:
    name, state = f"session {topic.session_id}", topic.state
    if withheld := ALL_TYPES - peer.types:
        yield f"of {name} its types leave out {_named(sorted(withheld))}"
    if "session_update" in peer.types or "pnl_update" in peer.types:
        yield f"figures of {name} come every {peer.update_interval_ms} ms"
    if state.session.status is not SessionStatus.ACTIVE:
        yield f"{name} is {state.session.status}, so no trade is opened in it"
    if not state.open_trades:
        yield f"{name} has no open trade, so there is no pnl_update"
    symbols = {trade.symbol for trade in state.open_trades.values()}
    if unpriced := sorted(symbol for symbol in symbols if hub.sources.quote(symbol) is None):
        yield f"trades without pnl_update, for lack of a price: those in {_named(unpriced)}"
    yield from _of_refusals(hub, symbols.difference(peer.symbols))


def _of_its_prices(hub: Hub, peer: Peer) -> Iterator[str]:
    quotes = {symbol: hub.sources.quote(symbol) for symbol in peer.symbols}
    yield f"prices come every {peer.price_interval_ms} ms"
    if peer.only_changes:
        yield "with onlyChanges a price is sent only when it, or its staleness, has changed"
    if unpriced := [symbol for symbol, quote in quotes.items() if quote is None]:
        yield f"no price has come yet for {_named(unpriced)}"
    stale = {symbol for symbol, quote in quotes.items() if quote is not None and quote.stale}
    doubted = {symbol for symbol in stale if _is_doubted(hub, symbol)}
    if doubted:
        yield f"shown as stale, because they jumped and nothing has confirmed it: {_named(doubted)}"
    if old := stale - doubted:
        yield f"stale, because their source sends nothing newer, or late: {_named(old)}"
    if changed := {symbol for symbol in peer.symbols if _has_new_source(hub, symbol)}:
        yield (
            "of another source than before, so trades go by the former one's last price until "
            f"it has said a second one: {_named(changed)}"
        )
    yield from _of_refusals(hub, peer.symbols)


def _is_doubted(hub: Hub, symbol: str) -> bool:
    shown, confirmed = hub.sources.quote(symbol), hub.sources.confirmed(symbol)
    if shown is None or confirmed is None:
        return False
    return shown.source == confirmed.source and shown.price_e4 != confirmed.price_e4


def _has_new_source(hub: Hub, symbol: str) -> bool:
    shown, confirmed = hub.sources.quote(symbol), hub.sources.confirmed(symbol)
    return shown is not None and confirmed is not None and shown.source != confirmed.source


def _of_refusals(hub: Hub, symbols: Iterable[str]) -> Iterator[str]:
    reasons = {symbol: hub.sources.refusal(symbol) for symbol in sorted(symbols)}
    refused = {symbol: reason for symbol, reason in reasons.items() if reason is not None}
    for symbol, reason in islice(refused.items(), _NAMED):
        yield f"ticks of {symbol} come in but are refused: {reason}"
    if len(refused) > _NAMED:
        yield f"so are those of {len(refused) - _NAMED} more symbols"


def _named(names: Collection[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(sorted(names)[:_NAMED]) + more


def _iso(hub: Hub, at_s: float) -> str:
    """A moment of ``time.monotonic`` on the wall clock."""
    return iso(hub.now() - round((monotonic() - at_s) * 1000))
