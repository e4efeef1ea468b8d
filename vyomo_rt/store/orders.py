"""Readable copies of the pending entries: what the events say, one document per order."""

from __future__ import annotations

from collections.abc import AsyncIterator

from vyomo_rt.domain.pending import OrderStatus, PendingEntry
from vyomo_rt.store.client import where
from vyomo_rt.store.copies import Copies
from vyomo_rt.store.database import reading
from vyomo_rt.store.trade_documents import to_entry


class Orders(Copies):
    """The collection ``orders``."""

    async def order(self, order_id: int) -> PendingEntry | None:
        async with self.lanes.read():
            with reading():
                found = await self.database["orders"].find_one(where(_id=order_id))
        return None if found is None else to_entry(found)

    async def pending_entries(self) -> AsyncIterator[PendingEntry]:
        async for document in self.with_status("orders", "orderId", OrderStatus.PENDING):
            yield to_entry(document)
