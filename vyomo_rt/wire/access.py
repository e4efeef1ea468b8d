"""Who the caller is and what it may do, as calls carry it."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from vyomo_rt.domain.grant import Grant, Role
from vyomo_rt.domain.moment import iso
from vyomo_rt.wire.encoding import Data
from vyomo_rt.wire.values import Id, Timestamp


class Me(Data):
    """What the caller's token says."""

    sub: Annotated[str | None, Meta(description="Null without access control")]
    role: Role
    sessions: Annotated[
        list[Id] | Literal["*"],
        Meta(description="Besides those that the caller has made; `*`: all"),
    ]
    expires_at: Timestamp | None


def me(grant: Grant) -> Me:
    """A grant as its holder sees it."""
    return Me(
        sub=grant.subject,
        role=grant.role,
        sessions="*" if not grant.is_limited else sorted(grant.sessions or ()),
        expires_at=None if grant.expires_at_ms is None else iso(grant.expires_at_ms),
    )
