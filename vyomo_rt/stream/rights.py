"""What each peer may do, and until when: the one place where that changes."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from itertools import takewhile

from vyomo_rt.clockwork import Clockwork
from vyomo_rt.domain.audit import What
from vyomo_rt.domain.errors import LimitExceeded, NotFound, RateLimited, Unauthorized, Unavailable
from vyomo_rt.domain.grant import Grant, Need
from vyomo_rt.domain.limits import Tally
from vyomo_rt.stream.hub import Hub
from vyomo_rt.stream.peer import Peer
from vyomo_rt.stream.wheel import SLOT_MS
from vyomo_rt.wire.closing import CloseCode
from vyomo_rt.wire.connection import token_expiring
from vyomo_rt.wire.frame import Framing
from vyomo_rt.wire.refusal import error_frame

AUTH_WITHIN_S = 10.0
WARN_AHEAD_MS = 30_000
"""How long before its end a token is said to expire."""


@dataclass(frozen=True)
class Authority:
    """The port through which the streams ask who somebody is."""

    grant: Callable[[str, Peer], Awaitable[Grant]]
    """What a peer's token allows that has not expired.

    Raises Unauthorized, RateLimited or Unavailable.
    """
    stands: Callable[[Grant], bool]
    """Whether a grant's token has not been revoked."""
    note: Callable[[What, str | None, str, str], None]
    """Remembers what which subject did, from which address, in words."""


class Rights:
    """Gives peers their grants, takes them back in time, and ends peers that have none left.

    One row of the clock serves all: nothing is scheduled for a single peer.
    """

    def __init__(
        self, hub: Hub, clock: Clockwork, authority: Authority | None, *, max_streams: int
    ) -> None:
        """Without an ``authority`` nobody is asked who he is.

        A subject may have ``max_streams`` open.
        """
        self._hub = hub
        self._clock = clock
        self._authority = authority
        # Who has not said yet who they are, in the order in which they came.
        self._strangers: dict[Peer, float] = {}
        # Peers by the slot in which something of their token is due, and those slots as a heap.
        self._due: dict[int, set[Peer]] = {}
        self._slots: list[int] = []
        self._streams = Tally(max_streams)
        self._by_entry: defaultdict[str, set[Peer]] = defaultdict(set)

    def add(self, peer: Peer) -> None:
        """Take in a new peer; it may be closed at once, if its grant was revoked on the way."""
        grant = peer.grant
        if grant is Grant.NOTHING:
            self._wait_for(peer)
            return
        replaced = self._by_entry.get(grant.entry or "") if grant.one_stream else None
        if not self._has_room(peer, takes_over=bool(replaced)):
            return
        if self._authority is not None and not self._authority.stands(grant):
            self._end(peer)
            return
        if grant.entry is not None:
            if grant.one_stream:
                self.end_entry(grant.entry)
            self._by_entry[grant.entry].add(peer)
        self._schedule(peer)

    def remove(self, peer: Peer) -> None:
        """Forget a peer whose connection has ended."""
        self._strangers.pop(peer, None)
        self._unschedule(peer)
        if peer.grant.subject is not None:
            self._streams.leave(peer.grant.subject)
        if (entry := peer.grant.entry) is not None:
            self._by_entry[entry].discard(peer)
            if not self._by_entry[entry]:
                del self._by_entry[entry]

    def _has_room(self, peer: Peer, *, takes_over: bool = False) -> bool:
        """Count a stream whose subject is now known; one too many is closed.

        One that takes over the place of another always has room: that one is about to end.
        """
        subject = peer.grant.subject
        if subject is None:
            return True
        if self._streams.enter(subject) or takes_over:
            self.note(What.CONNECT, subject, peer.address, f"{peer.framing.label} {peer.id}")
            return True
        words = f"too many connections of {subject}: close others first"
        if peer.framing is Framing.SSE:
            peer.reply(error_frame(LimitExceeded(words), None))
        peer.close(CloseCode.TOO_MANY, "too many connections of this subject")
        return False

    def note(self, what: What, by: str | None, address: str, detail: str) -> None:
        """Remember it, if anybody has to say who they are."""
        if self._authority is not None:
            self._authority.note(what, by, address, detail)

    # -- a peer says who it is -----------------------------------------------------

    @property
    def are_asked(self) -> bool:
        """Whether peers have to say who they are."""
        return self._authority is not None

    async def authenticate(self, peer: Peer, token: object) -> Callable[[], None]:
        """Give a peer what its new token allows; returns what is to be done after the answer.

        Raises Unauthorized, RateLimited or Unavailable and changes nothing, but for the first
        time, and for another subject's token, a bad one ends the peer: call ``end_if_lost`` with
        the error.
        """
        assert self._authority is not None
        if not isinstance(token, str):
            raise Unauthorized("token: expected the text of a token")
        # Its time counts until it said so, not until the key of its token is known.
        was_waited_for = self._strangers.pop(peer, None) is not None
        try:
            grant = await self._authority.grant(token, peer)
        except Unavailable:
            if was_waited_for and not peer.closed:
                self._wait_for(peer)
            raise
        former = peer.grant
        if former is not Grant.NOTHING:
            if grant.subject != former.subject:
                raise _AnotherSubject("the token is of somebody else: open a new connection")
            grant = replace(grant, entry=former.entry, one_stream=former.one_stream)
        if not peer.closed:
            peer.grant = grant
            if former is not Grant.NOTHING or self._has_room(peer):
                self._schedule(peer)
        lost = self._leave_lost_session(peer)
        return lambda: self._tell_what_is_lost(peer, lost)

    def end_if_lost(self, peer: Peer, error: Exception) -> None:
        """End a peer whose ``auth`` was refused for good.

        A token beyond the limit of bad ones is bad, too, though its refusal does not say so.
        """
        is_bad = isinstance(error, Unauthorized | RateLimited)
        is_first = peer.grant is Grant.NOTHING and is_bad
        if is_first or isinstance(error, _AnotherSubject):
            peer.close(CloseCode.BAD_TOKEN, "invalid token")

    def _leave_lost_session(self, peer: Peer) -> int | None:
        """The session that the peer has watched and may not any more; the answer is without it."""
        topic = peer.topic
        if peer.closed or topic is None:
            return None
        if peer.grant.reaches(topic.session_id, topic.state.session.owner):
            return None
        self._hub.subscriptions.leave_session(peer)
        return topic.session_id

    def _tell_what_is_lost(self, peer: Peer, session_id: int | None) -> None:
        if peer.closed:
            return
        if not peer.grant.may(Need.SEE):
            peer.close(CloseCode.NO_RIGHT, "no right left")
            return
        self._hub.subscriptions.follow_rights(peer)
        if session_id is not None:
            peer.reply(error_frame(NotFound.session(session_id), None))
        self._hub.delivery.drain(peer)

    # -- a grant ends ----------------------------------------------------------------

    def end_where(self, condition: Callable[[Grant], bool]) -> None:
        """End all peers whose grants were taken back."""
        for peer in list(self._hub.peers):
            if condition(peer.grant):
                self._end(peer)

    def end_entry(self, entry: str) -> None:
        """End all that was opened with a ticket or a sign-in."""
        for peer in list(self._by_entry.get(entry, ())):
            self._end(peer)

    def sweep(self) -> None:
        """Do what is due by now; call it in every slot."""
        now_s = self._clock.time_s()
        for peer in list(takewhile(lambda p: self._strangers[p] <= now_s, self._strangers)):
            del self._strangers[peer]
            peer.close(CloseCode.NO_AUTH, f"no auth in {AUTH_WITHIN_S:g} s")
        slot = self._hub.now() // SLOT_MS
        while self._slots and self._slots[0] <= slot:
            for peer in self._due.pop(heapq.heappop(self._slots)):
                peer.rights_slot = None
                self._is_due(peer)

    def _is_due(self, peer: Peer) -> None:
        end_ms = peer.grant.expires_at_ms
        if peer.closed or end_ms is None:
            return
        if end_ms > self._hub.now():
            peer.reply(token_expiring(end_ms))
            self._put(peer, end_ms)
            return
        if peer.framing is Framing.SSE:
            peer.reply(error_frame(Unauthorized("the token has expired"), None))
        peer.close(CloseCode.EXPIRED, "token expired")

    def _schedule(self, peer: Peer) -> None:
        self._unschedule(peer)
        if (end_ms := peer.grant.expires_at_ms) is not None:
            self._put(peer, max(end_ms - WARN_AHEAD_MS, self._hub.now()))

    def _wait_for(self, peer: Peer) -> None:
        """Give a peer time to say who it is."""
        self._strangers[peer] = self._clock.time_s() + AUTH_WITHIN_S

    def _put(self, peer: Peer, at_ms: int) -> None:
        """Something is due in the first slot that does not begin before a moment."""
        slot = -(-at_ms // SLOT_MS)
        if slot not in self._due:
            self._due[slot] = set()
            heapq.heappush(self._slots, slot)
        self._due[slot].add(peer)
        peer.rights_slot = slot

    def _unschedule(self, peer: Peer) -> None:
        if peer.rights_slot is not None:
            self._due[peer.rights_slot].discard(peer)
            peer.rights_slot = None

    def _end(self, peer: Peer) -> None:
        peer.close(CloseCode.BAD_TOKEN, "the token was revoked")


class _AnotherSubject(Unauthorized):
    """A connection stays its subject's."""
