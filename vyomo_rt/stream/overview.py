"""Figures of all sessions, for peers that watch them all: encoded once, sent as they change."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Iterator
from typing import NamedTuple, TypeVar

from vyomo_rt.domain.grant import REACHES_ALL, Grant, Reach
from vyomo_rt.domain.moment import WallClock, iso
from vyomo_rt.domain.session import SessionStatus
from vyomo_rt.domain.state import SessionState
from vyomo_rt.stream.audience import Audience, Audiences, Slices, slices
from vyomo_rt.stream.changes import Changes
from vyomo_rt.stream.peer import NOTHING_WATCHED, Peer
from vyomo_rt.stream.sources import Sources
from vyomo_rt.stream.traffic import Traffic
from vyomo_rt.stream.wheel import Beat, Wheel, beat_from
from vyomo_rt.wire.frame import Frame, Framing, with_stamps
from vyomo_rt.wire.session import watched_update

PAGE = 64
"""Sessions looked at before a write: few enough that a slow peer is noticed after one."""

FIGURES = "session_update"

K = TypeVar("K")


class _Shown:
    """A session's figures as a frame that is kept until they change."""

    __slots__ = ("drawn", "frame", "state", "symbols")

    def __init__(self, state: SessionState, unrealised_paise: int) -> None:
        self.state = state
        self.drawn = (state, unrealised_paise)
        self.frame: Frame = watched_update(state, unrealised_paise)
        self.symbols: frozenset[str] = frozenset()

    def draw(self, unrealised_paise: int) -> bool:
        """Remake the frame; True if it shows other figures than before.

        A stopped session is final; only the date that it is shown for may change.
        """
        state, before = self.drawn
        if state is self.state and before == unrealised_paise:
            return False
        if state.session.status is self.state.session.status is SessionStatus.STOPPED:
            return False
        self.drawn = (self.state, unrealised_paise)
        former, self.frame = self.frame, watched_update(self.state, unrealised_paise)
        return former != self.frame

    @property
    def is_stopped(self) -> bool:
        return self.state.session.status is SessionStatus.STOPPED


class _View:
    """The sessions of one reach, as all see them whose grants have it."""

    def __init__(self, reach: Reach) -> None:
        self.reach = reach
        self.changes = Changes()
        self.peers: set[Peer] = set()
        self.stopped: set[int] = set()
        """Sessions that stay until everybody was told that they were stopped."""


class _AudienceKey(NamedTuple):
    beat: Beat
    view: _View
    framing: Framing


class _Page(NamedTuple):
    """Figures that follow a place, joined for all peers that stand there."""

    upto: int
    data: bytes
    messages: int


class Overview:
    """Sends each watching peer what has changed since it was last sent something.

    A price only marks its symbol. A beat looks at the sessions that have trades in a marked
    symbol or had an event, encodes those whose figures differ, and joins them for all peers
    that have the same reach and have seen the same. So a beat costs what has changed, and a
    slow peer no memory: what it is owed follows from its place.
    """

    def __init__(self, sources: Sources, *, now: WallClock, traffic: Traffic) -> None:
        self._sources = sources
        self._now = now
        self._traffic = traffic
        self._slices = Slices()
        self._wheel: Wheel[Audience[_AudienceKey]] = Wheel()
        self._audiences = Audiences(self._wheel)
        self._views: dict[Reach, _View] = {}
        self._views_of_owner: dict[str, set[_View]] = {}
        self._views_of_session: dict[int, set[_View]] = {}
        self._shown: dict[int, _Shown] = {}
        self._holders: dict[str, set[int]] = {}
        """The sessions with trades in a symbol."""
        self._moved: set[str] = set()
        self._unseen: set[int] = set()
        """Sessions whose figures may have changed."""

    # -- who watches ---------------------------------------------------------------

    def watched(self) -> Collection[int]:
        """The sessions that somebody watches in this way."""
        return self._shown.keys() if self._views else ()

    def join(self, peer: Peer) -> None:
        """Begin to watch, from nothing; all figures are due."""
        view = self._views.get(peer.grant.reach) or self._make(peer.grant)
        view.peers.add(peer)
        peer.watch_place = 0
        peer.watch_began = view.changes.newest
        # All with one interval have their beat in the same slot.
        key = _AudienceKey(beat_from(0, peer.watch_interval_ms), view, peer.framing)
        peer.watch_audience, _ = self._audiences.join(key, peer)

    def leave(self, peer: Peer) -> None:
        """Watch no more; nothing is due any more."""
        audience = peer.watch_audience
        if audience is None:
            return
        self._audiences.leave(audience, peer)
        peer.watch_audience, peer.due_watched = None, NOTHING_WATCHED
        view = audience.key.view
        view.peers.discard(peer)
        if not view.peers:
            self._end(view)

    def has_right_view(self, peer: Peer) -> bool:
        """Whether what the peer watches is what its grant reaches."""
        audience = peer.watch_audience
        return audience is None or audience.key.view.reach == peer.grant.reach

    # -- what happens ----------------------------------------------------------------

    def on_quote(self, symbol: str) -> None:
        """The price of a symbol has changed."""
        if symbol in self._holders:
            self._moved.add(symbol)

    def on_state(self, state: SessionState) -> None:
        """A session is new, or has changed."""
        if not self._views:
            return
        session_id = state.session.session_id
        is_stopped = state.session.status is SessionStatus.STOPPED
        if (shown := self._shown.get(session_id)) is not None:
            shown.state = state
            self._unseen.add(session_id)
            if is_stopped:
                # At once, so that whoever comes now is not told of it.
                self._look(session_id)
            return
        for view in self._views_with(state):
            if is_stopped:
                view.changes.drop(session_id)
            elif session_id not in view.changes:
                view.changes.note(session_id)

    # -- what is sent ----------------------------------------------------------------

    async def beat(self) -> None:
        """Send what has changed to those whose interval has passed."""
        due = self._wheel.turn()
        if not due:
            return
        with self._traffic.watch_fan_out.time():
            self._mark()
            for session_id in list(self._unseen):
                self._look(session_id)
                if self._slices.fill(1):
                    await asyncio.sleep(0)
            for audience in due:
                await self._write(audience)
        for view in self._views.values():
            self._forget_stopped(view)
            view.changes.tidy()

    def pay(self, peer: Peer) -> bool:
        """Send one peer a page of what is due; False if there is more."""
        assert peer.watch_audience is not None
        view: _View = peer.watch_audience.key.view
        ids, peer.due_watched = peer.due_watched - {_subscribed(peer)}, NOTHING_WATCHED
        self._mark()
        frames = [
            shown.frame.data[peer.framing]
            for session_id in ids
            if session_id in view.changes
            and (shown := self._look(session_id)) is not None
            and view.changes.place(session_id) <= peer.watch_place
        ]
        self._tell(peer, self._join(frames, peer.watch_place))
        if not peer.paused:
            self._tell(peer, self._page(view, peer))
        return peer.watch_place >= view.changes.newest

    async def _write(self, audience: Audience[_AudienceKey]) -> None:
        """Bring the ready peers up to date, a page at a time.

        While the loop ran, a peer may have left, or been sent something by itself: each is
        looked at, and its place says what comes next.
        """
        view = audience.key.view
        upto = view.changes.newest
        peers = list(audience.roll().peers)
        while peers:
            behind: list[Peer] = []
            pages: dict[tuple[int, int | None], _Page] = {}
            for part in slices(len(peers)):
                for peer in peers[part]:
                    if peer.watch_audience is not audience or not peer.ready:
                        continue
                    place = (peer.watch_place, _subscribed(peer))
                    if place not in pages:
                        pages[place] = self._page(view, peer)
                    self._tell(peer, pages[place])
                    if peer.watch_place < upto:
                        behind.append(peer)
                if self._slices.fill(len(peers[part])):
                    await asyncio.sleep(0)
                    pages.clear()
            peers = behind

    def _page(self, view: _View, peer: Peer) -> _Page:
        """What follows the peer's place: a page of sessions, without the subscribed one."""
        self._mark()
        frames: list[bytes] = []
        upto, subscribed = peer.watch_place, _subscribed(peer)
        for count, (place, session_id) in enumerate(view.changes.after(upto)):
            if count == PAGE:
                return self._join(frames, upto)
            upto = place
            shown = self._look(session_id)
            if shown is None:
                view.changes.drop(session_id)
            elif view.changes.place(session_id) > place or session_id == subscribed:
                continue  # it has changed again just now, and comes later; or not from here
            elif not shown.is_stopped or place > peer.watch_began:
                frames.append(shown.frame.data[peer.framing])
        return self._join(frames, view.changes.newest)

    def _join(self, frames: list[bytes], upto: int) -> _Page:
        return _Page(upto, with_stamps(b"".join(frames), iso(self._now())), len(frames))

    def _tell(self, peer: Peer, page: _Page) -> None:
        # Before the write, which may pause the peer.
        peer.watch_place = page.upto
        if page.messages:
            self._traffic.add(FIGURES, peer.framing, page.messages, len(page.data))
            peer.send_joined(page.data, page.messages)

    # -- what has changed --------------------------------------------------------------

    def _mark(self) -> None:
        """The sessions with trades in symbols that moved have to be looked at."""
        for symbol in self._moved:
            self._unseen.update(self._holders.get(symbol, ()))
        self._moved.clear()

    def _look(self, session_id: int) -> _Shown | None:
        """A session as it is now; if its figures differ, they are due to all that see it."""
        shown = self._shown.get(session_id)
        if shown is None:
            state = self._sources.state(session_id)
            if state is None:
                return None
            shown = self._shown[session_id] = _Shown(state, self._unrealised_paise(state))
            self._hold(session_id, shown)
        elif session_id in self._unseen:
            self._unseen.discard(session_id)
            self._renew(session_id, shown)
        return shown

    def _renew(self, session_id: int, shown: _Shown) -> None:
        self._hold(session_id, shown)
        if not shown.draw(self._unrealised_paise(shown.state)):
            return
        for view in self._views_with(shown.state):
            if session_id in view.changes:
                view.changes.note(session_id)
                if shown.is_stopped:
                    view.stopped.add(session_id)

    def _unrealised_paise(self, state: SessionState) -> int:
        return state.unrealised_paise(self._sources.confirmed)

    def _hold(self, session_id: int, shown: _Shown) -> None:
        """Note in which symbols a session has trades."""
        symbols = shown.state.exposures.keys()
        if symbols == shown.symbols:
            return
        for symbol in symbols - shown.symbols:
            self._holders.setdefault(symbol, set()).add(session_id)
        for symbol in shown.symbols - symbols:
            self._release(symbol, session_id)
        shown.symbols = frozenset(symbols)

    def _release(self, symbol: str, session_id: int) -> None:
        holders = self._holders[symbol]
        holders.discard(session_id)
        if not holders:
            del self._holders[symbol]

    # -- views ---------------------------------------------------------------------------

    def _make(self, grant: Grant) -> _View:
        view = self._views[grant.reach] = _View(grant.reach)
        if view.reach.owner is not None:
            self._views_of_owner.setdefault(view.reach.owner, set()).add(view)
        for session_id in view.reach.sessions or ():
            self._views_of_session.setdefault(session_id, set()).add(view)
        for state in self._sources.visible(grant):
            if state.session.status is not SessionStatus.STOPPED:
                view.changes.note(state.session.session_id)
        return view

    def _end(self, view: _View) -> None:
        """Nobody has this view any more."""
        reach = view.reach
        del self._views[reach]
        if reach.owner is not None:
            _discard(self._views_of_owner, reach.owner, view)
        for session_id in reach.sessions or ():
            _discard(self._views_of_session, session_id, view)
        self._forget_unwatched(view.changes)

    def _views_with(self, state: SessionState) -> Iterator[_View]:
        """All views in whose reach a session is."""
        session = state.session
        found = {self._views[REACHES_ALL]} if REACHES_ALL in self._views else set()
        found |= self._views_of_session.get(session.session_id, set())
        if session.owner is not None:
            found |= self._views_of_owner.get(session.owner, set())
        return iter(found)

    def _forget_stopped(self, view: _View) -> None:
        """Forget stopped sessions of which everybody was told."""
        if not view.stopped:
            return
        oldest = min(peer.watch_place for peer in view.peers)
        told = {each for each in view.stopped if view.changes.place(each) <= oldest}
        view.stopped -= told
        for session_id in told:
            view.changes.drop(session_id)
        self._forget_unwatched(told)

    def _forget_unwatched(self, session_ids: Iterable[int]) -> None:
        for session_id in session_ids:
            shown = self._shown.get(session_id)
            if shown is None or any(session_id in v.changes for v in self._views_with(shown.state)):
                continue
            for symbol in shown.symbols:
                self._release(symbol, session_id)
            self._unseen.discard(session_id)
            del self._shown[session_id]


def _subscribed(peer: Peer) -> int | None:
    """The session whose figures the peer gets from its own stream."""
    if peer.topic is None or FIGURES not in peer.types:
        return None
    return peer.topic.session_id


def _discard(index: dict[K, set[_View]], key: K, view: _View) -> None:
    index[key].discard(view)
    if not index[key]:
        del index[key]
