"""Who the caller is and what it may do, as calls carry it."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, UnsetType

from vyomo_rt.domain.entry import FRONT_DOOR, Revocation, RevokedBy
from vyomo_rt.domain.errors import BadRequest
from vyomo_rt.domain.grant import Grant, Role
from vyomo_rt.domain.moment import WallMs, iso
from vyomo_rt.wire.decoding import Body
from vyomo_rt.wire.encoding import Data
from vyomo_rt.wire.moment import ClientMoment, moment_ms
from vyomo_rt.wire.values import ConnectionId, Id, Timestamp

_STREAMS = ("/sse/", "/ws/")
_AHEAD_MS = 30_000
"""How much the clock of who revokes may be ahead."""
_MAX_NAME_LENGTH = 256


class Me(Data):
    """What the caller's token says."""

    sub: Annotated[str | None, Meta(description="Null without access control")]
    role: Role
    sessions: Annotated[
        list[Id] | Literal["*"],
        Meta(description="Besides those that the caller has made; `*`: all"),
    ]
    expires_at: Timestamp | None


class NewTicket(Body):
    """What a ticket is to be good for: an address of a stream, or `/` for a sign-in."""

    path: Annotated[str, Meta(examples=["/sse/prices"])]
    query: Annotated[str, Meta(description="What follows the `?`")] = ""

    def require_use(self) -> None:
        """Raise BadRequest if it would open nothing."""
        if "?" in self.path or not (self.path == FRONT_DOOR or self.path.startswith(_STREAMS)):
            words = "expected that of a stream, such as /sse/prices, without a query, or /"
            raise BadRequest(f"path: {words}", "path")
        if self.query.startswith("?"):
            raise BadRequest("query: leave out the ? itself", "query")
        if self.path == FRONT_DOOR and self.query:
            raise BadRequest("query: leave it out for a sign-in", "query")


class Ticket(Data):
    """A ticket, to be used by ``expiresAt`` as `?ticket=`, or for a sign-in."""

    ticket: str
    expires_at: Timestamp


class SignIn(Body):
    """One of the two."""

    token: str | UnsetType = UNSET
    ticket: str | UnsetType = UNSET

    def __post_init__(self) -> None:
        if (self.token is UNSET) == (self.ticket is UNSET):
            raise ValueError("give token or ticket")


class NewRevocation(Body):
    """One of the three: a token's id, a subject, or the moment before which tokens were issued."""

    jti: str | UnsetType = UNSET
    sub: str | UnsetType = UNSET
    issued_before: ClientMoment | UnsetType = UNSET

    def read(self, now_ms: WallMs) -> tuple[RevokedBy, str | WallMs]:
        """What is to be revoked. Raises BadRequest."""
        given = {
            by: value
            for by, value in (
                (RevokedBy.JTI, self.jti),
                (RevokedBy.SUBJECT, self.sub),
                (RevokedBy.ISSUED_BEFORE, self.issued_before),
            )
            if not isinstance(value, UnsetType)
        }
        if len(given) != 1:
            raise BadRequest("give one of jti, sub and issuedBefore", "body")
        ((by, value),) = given.items()
        if by is RevokedBy.ISSUED_BEFORE:
            moment = WallMs(moment_ms(value, by.value))
            if moment > now_ms + _AHEAD_MS:
                raise BadRequest("issuedBefore: expected a moment that has been", by.value)
            return by, moment
        if not isinstance(value, str) or not 0 < len(value) <= _MAX_NAME_LENGTH:
            words = f"{by.value}: expected 1 to {_MAX_NAME_LENGTH} characters"
            raise BadRequest(words, by.value)
        return by, value


class RevocationDocument(Data):
    """What was revoked, at which moment, and until when that is remembered."""

    at: Timestamp
    until: Timestamp
    jti: str | UnsetType = UNSET
    sub: str | UnsetType = UNSET
    issued_before: Timestamp | UnsetType = UNSET


class OpenConnection(Data):
    """An open stream, and whose it is."""

    connection_id: ConnectionId
    sub: Annotated[
        str | None, Meta(description="Null without access control, or before it says who it is")
    ]
    address: str


class ConnectionList(Data):
    """All open streams."""

    connections: list[OpenConnection]


def me(grant: Grant) -> Me:
    """A grant as its holder sees it."""
    return Me(
        sub=grant.subject,
        role=grant.role,
        sessions="*" if not grant.is_limited else sorted(grant.sessions or ()),
        expires_at=None if grant.expires_at_ms is None else iso(grant.expires_at_ms),
    )


def revocation_document(revocation: Revocation) -> RevocationDocument:
    """A revocation as its maker sees it."""
    document = RevocationDocument(at=iso(revocation.at_ms), until=iso(revocation.until_ms))
    value = revocation.value
    if isinstance(value, int):
        document.issued_before = iso(value)
    elif revocation.by is RevokedBy.JTI:
        document.jti = value
    else:
        document.sub = value
    return document
