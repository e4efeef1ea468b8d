"""Prices at each peer's interval: one join of frames for all peers with the same symbols."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from itertools import count
from typing import NamedTuple

from vyomo_rt.domain.demand import Demand
from vyomo_rt.domain.moment import WallClock
from vyomo_rt.domain.quote import Quote
from vyomo_rt.stream.audience import Audience, Audiences, Slices, slices
from vyomo_rt.stream.peer import NOTHING_DUE, Peer
from vyomo_rt.stream.traffic import Traffic
from vyomo_rt.stream.wheel import Beat, Wheel
from vyomo_rt.wire.frame import Frame, Framing
from vyomo_rt.wire.price import price_update

PRICES = "price_update"

_FRAME_MS = 10
"""A frame's timestamp may be this much older than its sending."""

_MAX_FRAMES = 10_000
"""Frames kept; frames of symbols without a price must not pile up."""


class _AudienceKey(NamedTuple):
    beat: Beat
    symbols: tuple[str, ...]
    framing: Framing
    only_changes: bool


class _KeptFrame(NamedTuple):
    """A frame for all peers that get this price within a few milliseconds."""

    quote: Quote
    built_ms: int
    frame: Frame


class _News(NamedTuple):
    """What is new to peers that have seen the same prices."""

    seen: dict[str, tuple[int, bool]]
    data: bytes
    messages: int


class _NewestBytes(dict[str, bytes]):
    """Symbols' newest frames in one framing; empty where there is no price yet.

    They hold for one turn of the loop, since a tick may come in the next. Different
    subscriptions share them: each joins what others have looked up.
    """

    def __init__(
        self, current: Callable[[str], tuple[Quote, Frame] | None], framing: Framing
    ) -> None:
        super().__init__()
        self._current = current
        self._framing = framing

    def __missing__(self, symbol: str) -> bytes:
        current = self._current(symbol)
        found = self[symbol] = b"" if current is None else current[1].data[self._framing]
        return found


class Prices:
    """Sends the newest price of each subscribed symbol, every interval."""

    def __init__(
        self,
        *,
        now: WallClock,
        quote: Callable[[str], Quote | None],
        demand: Demand,
        traffic: Traffic,
        slices: Slices,
    ) -> None:
        self._now = now
        self._quote = quote
        self._demand = demand
        self._traffic = traffic
        self._unpriced: dict[str, set[Peer]] = {}
        self._frames: dict[str, _KeptFrame] = {}
        self._newest = [_NewestBytes(self._current, framing) for framing in Framing]
        self._stamps = count(1)
        self._slices = slices
        self.wheel: Wheel[Audience[_AudienceKey]] = Wheel()
        self._audiences = Audiences(self.wheel)

    def join(self, peer: Peer, beat: Beat) -> None:
        """Add a peer with its symbols, of which there is at least one."""
        key = _AudienceKey(beat, peer.symbols, peer.framing, peer.only_changes)
        peer.price_audience, is_new = self._audiences.join(key, peer)
        if is_new:
            # From here on the board does not forget these symbols.
            self._demand.wanted(key.symbols)
        for symbol in peer.symbols:
            if self._quote(symbol) is None:
                self._unpriced.setdefault(symbol, set()).add(peer)

    def leave(self, peer: Peer) -> None:
        audience = peer.price_audience
        if audience is None:
            return
        if self._audiences.leave(audience, peer):
            self._demand.released(audience.key.symbols)
        peer.price_audience = None
        for symbol in peer.symbols:
            if peers := self._unpriced.get(symbol):
                peers.discard(peer)
                if not peers:
                    del self._unpriced[symbol]

    def on_quote(self, quote: Quote) -> None:
        """A symbol's first price goes at once to those who wait for it."""
        for peer in self._unpriced.pop(quote.symbol, ()):
            if peer.ready:
                self.send(peer, (quote.symbol,))
            else:
                peer.due_prices |= {quote.symbol}

    def pay(self, peer: Peer) -> None:
        """Send one peer the prices that it is owed, as they are now."""
        due, peer.due_prices = peer.due_prices, NOTHING_DUE
        if peer.seen is not None:
            # Meanwhile a price may have come back to what the peer has seen.
            due = due.intersection(self._changed(peer))
        self.send(peer, sorted(due))

    def send(self, peer: Peer, symbols: Iterable[str]) -> None:
        """Send one peer the newest prices of some symbols."""
        frames = []
        sent = {}
        for symbol in symbols:
            if current := self._current(symbol):
                quote, frame = current
                frames.append(frame)
                sent[symbol] = (quote.price_e4, quote.stale)
        peer.send(frames)
        if peer.seen is not None:
            # A new dict, because others may share the old one.
            peer.seen = peer.seen | sent
        # A beat that began before this must not follow with older prices.
        peer.price_stamp = next(self._stamps)
        if peer.price_audience is not None:
            peer.price_audience.forget_roll()

    # A beat writes a slice of peers, lets the loop run, and goes on. In between a peer may leave,
    # pause, change its symbols, or be sent a newer price separately. Three things still hold: no
    # peer gets an older price after a newer one, none gets the beat of an audience that it has
    # left, and none misses what it still wants.
    #
    # - An audience keeps its roll, the same object, until one of its peers changes. So while
    #   `audience.roll() is roll` the remaining peers are written to without looking at them.
    #   Once it is another object, each of them is looked at.
    # - Stamps order what was written. A beat takes one when it joins its bytes, and a peer takes
    #   one whenever it is sent prices separately. If the peer's is higher, it already has newer
    #   prices and is left out.
    # - A peer that is left out gets separately what it still wants of the beat: at once, or as a
    #   debt.
    # - The whole roll is counted at the beginning, since each write may pause its peer, which
    #   then banks the totals; a peer that is left out is subtracted again.
    # - With onlyChanges, peers that were served together share the dict of what they have seen.
    #   The same dict means the same difference, so that is joined once for all of them.

    async def beat(self) -> None:
        """Send prices to those whose interval has passed, a slice of peers at a time."""
        due = self.wheel.turn()
        if not due:
            return
        # A frame made for a newcomer a moment ago would make all the others' look late.
        self._frames.clear()
        self._forget_newest()
        with self._traffic.price_fan_out.time(), self._slices.of_beat():
            for audience in due:
                self._owe(audience)
                if audience.key.only_changes:
                    await self._beat_changes(audience)
                else:
                    await self._beat_all(audience)

    def _owe(self, audience: Audience[_AudienceKey]) -> None:
        """Owe these symbols to the peers that are not ready, at whatever price they have then."""
        key = audience.key
        for peer in audience.waiting:
            due_symbols = self._changed(peer) if key.only_changes else key.symbols
            peer.due_prices = peer.due_prices.union(due_symbols)
            peer.conflated += len(due_symbols)
            self._traffic.conflated += len(due_symbols)

    async def _beat_all(self, audience: Audience[_AudienceKey]) -> None:
        key = audience.key
        frames = list(filter(None, map(self._newest[key.framing].__getitem__, key.symbols)))
        if not frames:
            return
        data = b"".join(frames)
        stamp = next(self._stamps)
        roll = audience.roll()
        audience.count(data, len(frames))
        self._traffic.add(PRICES, key.framing, len(frames), len(data), len(roll.peers))
        for part in slices(len(roll.peers)):
            writes = roll.writes[part]
            if audience.roll() is roll:
                for write in writes:
                    write(data)
            else:
                # While the loop ran, some may have got newer prices than these, or left.
                for peer in roll.peers[part]:
                    if peer.price_audience is audience and peer.price_stamp < stamp and peer.ready:
                        peer.write(data)
                    else:
                        peer.messages -= len(frames)
                        peer.bytes -= len(data)
                        self._traffic.add(PRICES, key.framing, len(frames), len(data), -1)
                        self._send_to_changed(peer, key)
            if self._fills_slice(len(writes)):
                await asyncio.sleep(0)

    def _send_to_changed(self, peer: Peer, key: _AudienceKey) -> None:
        """Give a peer that changed since its beat began what it still wants of it."""
        if peer.price_beat != key.beat or peer.only_changes:
            return
        wanted = set(key.symbols).intersection(peer.symbols)
        if peer.ready:
            self.send(peer, sorted(wanted))
        else:
            peer.due_prices |= wanted

    async def _beat_changes(self, audience: Audience[_AudienceKey]) -> None:
        """Like ``_beat_all``, but each peer gets what differs from what it has seen.

        Peers that were served together have seen the same, and share the dict
        that says so; what differs from it is joined once for all of them.
        """
        key = audience.key
        current = {s: at for s in key.symbols if (at := self._current(s)) is not None}
        view = {symbol: (quote.price_e4, quote.stale) for symbol, (quote, _) in current.items()}
        stamp = next(self._stamps)
        joins: dict[int, _News] = {}
        sent_messages = sent_bytes = 0
        peers = audience.roll().peers
        for part in slices(len(peers)):
            for peer in peers[part]:
                if peer.price_audience is not audience or not peer.ready:
                    continue
                if peer.price_stamp > stamp:
                    self.send(peer, self._changed(peer))
                    continue
                seen = peer.seen or {}
                news = joins.get(id(seen))
                if news is None or news.seen is not seen:
                    frames = [
                        frame.data[key.framing]
                        for symbol, (_, frame) in current.items()
                        if seen.get(symbol) != view[symbol]
                    ]
                    news = _News(seen, b"".join(frames), len(frames))
                    joins[id(seen)] = news
                peer.seen = view
                if news.messages:
                    sent_messages += news.messages
                    sent_bytes += len(news.data)
                    peer.send_joined(news.data, news.messages)
            if self._fills_slice(len(peers[part])):
                await asyncio.sleep(0)
        self._traffic.add(PRICES, key.framing, sent_messages, sent_bytes)

    def _fills_slice(self, written: int) -> bool:
        """Whether the loop has to run now."""
        if not self._slices.fill(written):
            return False
        self._forget_newest()
        return True

    def _forget_newest(self) -> None:
        for newest in self._newest:
            newest.clear()

    def _changed(self, peer: Peer) -> list[str]:
        """The symbols whose price or staleness differs from what the peer was last sent."""
        seen = peer.seen if peer.seen is not None else {}
        return [
            symbol
            for symbol in peer.symbols
            if (current := self._current(symbol))
            and seen.get(symbol) != (current[0].price_e4, current[0].stale)
        ]

    def _current(self, symbol: str) -> tuple[Quote, Frame] | None:
        """A symbol's quote and its frame, which is kept for a few milliseconds."""
        quote = self._quote(symbol)
        if quote is None:
            return None
        now_ms = self._now()
        kept = self._frames.get(symbol)
        if kept is None or kept.quote != quote or not 0 <= now_ms - kept.built_ms < _FRAME_MS:
            kept = _KeptFrame(quote, now_ms, price_update(quote, now_ms))
            if len(self._frames) >= _MAX_FRAMES:
                self._frames.clear()
            self._frames[symbol] = kept
        return kept.quote, kept.frame
