"""The audit as an administrator reads it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

from msgspec import Meta

from vyomo_rt.domain.audit import AuditEntry, What
from vyomo_rt.domain.moment import iso
from vyomo_rt.wire.decoding import Body
from vyomo_rt.wire.encoding import Data
from vyomo_rt.wire.moment import ClientMoment
from vyomo_rt.wire.values import Timestamp


class AuditQuery(Body):
    since: ClientMoment | None = None
    by: Annotated[str, Meta(max_length=256)] | None = None
    limit: Annotated[int, Meta(ge=1, le=1000)] = 100


class AuditData(Data):
    """What somebody did, or was refused."""

    at: Timestamp
    by: Annotated[str | None, Meta(description="Whose `sub`; null if it is not known")]
    what: What
    address: Annotated[str, Meta(description="Where it came from")]
    detail: str


class AuditList(Data):
    """Newest first."""

    entries: list[AuditData]


def audit_list(entries: Iterable[AuditEntry]) -> AuditList:
    return AuditList([AuditData(iso(e.at_ms), e.by, e.what, e.address, e.detail) for e in entries])
