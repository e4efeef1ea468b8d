"""Readable copies of the pending entries: what the events say, one document per order."""

from __future__ import annotations

from collections.abc import AsyncIterator

from pymongo import DESCENDING

from vyomo_rt.domain.pending import OrderStatus, PendingEntry
from vyomo_rt.store.client import where
from vyomo_rt.store.copies import Copies
from vyomo_rt.store.database import BATCH, reading
from vyomo_rt.store.documents import Document
from vyomo_rt.store.trade_documents import to_entry


class Orders(Copies):
    """The collection ``orders``."""

    async def order(self, order_id: int) -> PendingEntry | None:
        async with self.lanes.read():
            with reading():
                found = await self.database["orders"].find_one(where(_id=order_id))
        return None if found is None else to_entry(found)

    async def orders(
        self, session_id: int, status: OrderStatus | None, before_id: int | None, limit: int
    ) -> list[PendingEntry]:
        filter_ = where(sessionId=session_id)
        if status is not None:
            filter_ |= where(status=status.value)
        if before_id is not None:
            filter_ |= where(orderId={"$lt": before_id})
        found: list[Document] = []
        while len(found) < limit:
            size = min(limit - len(found), self.lanes.pace.trades)
            async with self.lanes.history_read():
                with reading():
                    page = (
                        await self.database["orders"]
                        .find(filter_, batch_size=BATCH)
                        .sort("orderId", DESCENDING)
                        .limit(size)
                        .to_list(size)
                    )
            found += page
            if len(page) < size:
                break
            filter_ |= where(orderId={"$lt": page[-1]["orderId"]})
        return [to_entry(document) for document in found]

    async def pending_entries(self) -> AsyncIterator[PendingEntry]:
        async for document in self.with_status("orders", "orderId", OrderStatus.PENDING):
            yield to_entry(document)
