"""What stands for a token where one cannot be sent, and what takes tokens back."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from vyomo_rt.domain.grant import Grant
from vyomo_rt.domain.moment import WallMs

FRONT_DOOR = "/"
"""The path of tickets that are good for a sign-in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A ticket, which is for one path and query, or a sign-in, which has no path.

    ``hash`` is that of the secret which its holder has; ``grant`` is that of its token. A ticket
    that is not ``used`` before ``use_by_ms`` is void.
    """

    hash: str
    grant: Grant
    path: str | None = None
    query: str = ""
    use_by_ms: WallMs | None = None
    used: bool = True


class RevokedBy(Enum):
    """What names the tokens that are taken back; the value is the member of its document."""

    JTI = "jti"
    SUBJECT = "sub"
    ISSUED_BEFORE = "issuedBefore"


@dataclass(frozen=True, slots=True, kw_only=True)
class Revocation:
    """Takes back a token by its id, a subject's up to ``at_ms``, or all issued before a moment."""

    by: RevokedBy
    value: str | WallMs
    at_ms: WallMs
    until_ms: WallMs
    """Until when it has to be kept: then all of these tokens have expired."""

    def takes_back(self, grant: Grant) -> bool:
        """Whether it revokes a grant's token."""
        issued_at_ms = grant.issued_at_ms or 0
        match self.by:
            case RevokedBy.JTI:
                return grant.token_id == self.value
            case RevokedBy.SUBJECT:
                return grant.subject == self.value and issued_at_ms <= self.at_ms
            case RevokedBy.ISSUED_BEFORE:
                assert isinstance(self.value, int)
                return issued_at_ms < self.value
