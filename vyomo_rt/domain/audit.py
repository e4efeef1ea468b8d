"""What is remembered of who came in, was refused, or was sent away."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from vyomo_rt.domain.moment import WallMs


class What(StrEnum):
    """What happened at the door."""

    SIGN_IN = "sign_in"
    SIGN_OUT = "sign_out"
    CONNECT = "connect"
    REFUSED = "refused"
    KICK = "kick"
    REVOCATION = "revocation"


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """``by`` is the subject that did it, None if it is not known; ``address`` is where from."""

    at_ms: WallMs
    by: str | None
    what: What
    address: str
    detail: str
