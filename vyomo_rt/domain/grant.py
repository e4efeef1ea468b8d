"""Who may do what: every request, every command and every connection carries a grant."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import ClassVar, NamedTuple

from vyomo_rt.domain.errors import Forbidden, NotFound, Unauthorized
from vyomo_rt.domain.moment import WallMs


class Role(StrEnum):
    """What a caller is here for."""

    VIEWER = "viewer"
    TRADER = "trader"
    FEED = "feed"
    ADMIN = "admin"


class Need(Enum):
    """What a call or a command requires, in words that fit after "may not"."""

    ENTER = "enter"
    SEE = "see sessions and prices"
    TRADE = "make, change or trade sessions"
    PUSH = "push prices"
    ADMINISTER = "administer this server"


_MAY: dict[Role, frozenset[Need]] = {
    Role.VIEWER: frozenset({Need.ENTER, Need.SEE}),
    Role.TRADER: frozenset({Need.ENTER, Need.SEE, Need.TRADE}),
    Role.FEED: frozenset({Need.ENTER, Need.PUSH}),
    Role.ADMIN: frozenset(Need),
}


class Reach(NamedTuple):
    """Which sessions a grant reaches: those that its subject made, and named ones, or all."""

    owner: str | None
    sessions: frozenset[int] | None


REACHES_ALL = Reach(None, None)


@dataclass(frozen=True, slots=True)
class Grant:
    """What a subject may do, and until when.

    It reaches ``sessions`` and those that the subject has made; all sessions if ``sessions`` is
    None or the role is admin. ``issued_at_ms`` and ``token_id`` are those of its token, by which
    it may be revoked. ``entry`` is the ticket or the sign-in that stood for the token; what came
    by it is ``one_stream`` at a time, or any number.
    """

    subject: str | None
    role: Role
    sessions: frozenset[int] | None
    expires_at_ms: WallMs | None
    issued_at_ms: WallMs | None = None
    token_id: str | None = None
    entry: str | None = None
    one_stream: bool = False

    EVERYTHING: ClassVar[Grant]
    """What everybody has without access control."""
    NOTHING: ClassVar[Grant]
    """What a connection has that has not said yet who it is."""

    @property
    def is_limited(self) -> bool:
        """Whether there are sessions that it does not reach."""
        return self.sessions is not None and self.role is not Role.ADMIN

    @property
    def reach(self) -> Reach:
        """Equal for grants that reach the same sessions."""
        return Reach(self.subject, self.sessions) if self.is_limited else REACHES_ALL

    def may(self, need: Need) -> bool:
        """Whether the role includes it."""
        return need in _MAY[self.role]

    def ask(self, need: Need, session_id: int | None = None, owner: str | None = None) -> None:
        """The one question about rights: first the role, then the session, if one is named.

        ``owner`` made that session, as far as is known. Raises Forbidden. For a session out of
        reach it raises the same error as for one that does not exist. Raises Unauthorized if
        nobody knows who asks.
        """
        if self is Grant.NOTHING:
            raise Unauthorized("say who you are first: send auth with a token")
        if not self.may(need):
            raise Forbidden(f"the role {self.role} may not {need.value}", "Authorization")
        if session_id is not None and not self.reaches(session_id, owner):
            raise NotFound.session(session_id)

    def reaches(self, session_id: int, owner: str | None) -> bool:
        """Whether a session made by this owner is in reach, whatever may be done there."""
        if self.sessions is None or self.role is Role.ADMIN or session_id in self.sessions:
            return True
        return owner is not None and owner == self.subject


Grant.EVERYTHING = Grant(subject=None, role=Role.ADMIN, sessions=None, expires_at_ms=None)
Grant.NOTHING = Grant(subject=None, role=Role.VIEWER, sessions=frozenset(), expires_at_ms=None)
