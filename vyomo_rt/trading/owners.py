"""Who made which session: the one place that knows what is in a grant's reach."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Iterable

from vyomo_rt.domain.errors import NotFound
from vyomo_rt.domain.grant import Grant, Need
from vyomo_rt.domain.state import SessionState
from vyomo_rt.trading.journal import Journal
from vyomo_rt.trading.replica import Replica


class Owners:
    """The sessions of each subject, those in memory and, once somebody asks, those at rest.

    A question never looks at the session that it is about, so that the time for an answer says
    nothing about it.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._owned: defaultdict[str, set[int]] = defaultdict(set)
        self._complete: set[str] = set()
        self.is_shared = False
        """Whether other nodes make sessions, too: then what was read is never complete."""

    def note(self, session_id: int, owner: str | None) -> None:
        """A session is in memory."""
        if owner is not None:
            self._owned[owner].add(session_id)

    def ask(self, grant: Grant, need: Need, session_id: int) -> Awaitable[None] | None:
        """Ask a grant for a session. Raises Forbidden or NotFound.

        Unless it returns None the store has to be asked first what the subject owns: awaiting
        the result does that and raises the same, or Unavailable.
        """
        grant.ask(need)
        if self._reaches(grant, session_id):
            return None
        if self._is_complete_for(grant):
            raise NotFound.session(session_id)
        return self._load_then_ask(grant, session_id)

    async def in_reach(self, grant: Grant) -> Iterable[int]:
        """All sessions that a limited grant may reach, by id. Raises Unavailable."""
        if not self._is_complete_for(grant):
            await self._load(grant.subject)
        named = grant.sessions or frozenset()
        return sorted(named.union(self._owned.get(grant.subject or "", ())))

    def visible(self, grant: Grant, replica: Replica) -> Iterable[SessionState]:
        """The sessions in memory that are in a grant's reach."""
        if not grant.is_limited:
            return replica.states()
        ids = (grant.sessions or frozenset()).union(self._owned.get(grant.subject or "", ()))
        return [state for id_ in sorted(ids) if (state := replica.find(id_)) is not None]

    def _reaches(self, grant: Grant, session_id: int) -> bool:
        if grant.reaches(session_id, None):
            return True
        return grant.subject is not None and session_id in self._owned.get(grant.subject, ())

    def _is_complete_for(self, grant: Grant) -> bool:
        if not grant.is_limited or grant.subject is None:
            return True
        return grant.subject in self._complete and not self.is_shared

    async def _load_then_ask(self, grant: Grant, session_id: int) -> None:
        await self._load(grant.subject)
        if not self._reaches(grant, session_id):
            raise NotFound.session(session_id)

    async def _load(self, subject: str | None) -> None:
        """Sessions are made in memory, so what is read once stays complete."""
        assert subject is not None
        self._owned[subject].update(await self._journal.sessions_owned_by(subject))
        self._complete.add(subject)
