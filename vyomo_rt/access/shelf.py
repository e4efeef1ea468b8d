"""What access needs of a store; ``vyomo_rt.store`` has the implementation."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from vyomo_rt.domain.entry import Entry, Revocation


class Shelf(Protocol):
    """Tickets, sign-ins and revocations over restarts. Every method raises Unavailable."""

    async def load_entries(self) -> Sequence[Entry]: ...

    async def save_entry(self, entry: Entry) -> None: ...

    async def mark_used(self, hashes: Collection[str]) -> None: ...

    async def remove_entries(self, hashes: Collection[str]) -> None: ...

    async def find_entry(self, hash_: str) -> Entry | None: ...

    async def claim_entry(self, hash_: str) -> bool:
        """Remove one that is used once; False if it was removed before."""

    async def load_revocations(self) -> Sequence[Revocation]: ...

    async def save_revocation(self, revocation: Revocation) -> None: ...

    async def remove_revocations(self, before_ms: int) -> None:
        """Remove those that need not be kept any longer."""
