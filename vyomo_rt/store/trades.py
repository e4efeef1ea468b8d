"""Readable copies of the trades: what the events say, one document per trade."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping

from pymongo import DESCENDING

from vyomo_rt.domain.moment import DAY_MS, day_start_ms, to_datetime
from vyomo_rt.domain.trade import Trade, TradeStatus
from vyomo_rt.domain.trade_filter import TradeFilter
from vyomo_rt.store.client import INT64_MAX, where
from vyomo_rt.store.copies import Copies
from vyomo_rt.store.database import BATCH, reading
from vyomo_rt.store.documents import Document
from vyomo_rt.store.trade_documents import to_trade

_LOOKED_AT = 500
"""The embedded server needs 10 ms to look at so many and find them all."""


class Trades(Copies):
    """The collection ``trades``."""

    async def trade(self, trade_id: int) -> Trade | None:
        async with self.lanes.read():
            with reading():
                found = await self.database["trades"].find_one(where(_id=trade_id))
        return None if found is None else to_trade(found)

    async def session_of_trade(self, trade_id: int) -> int | None:
        async with self.lanes.read():
            with reading():
                only = {"sessionId": 1}
                found = await self.database["trades"].find_one(where(_id=trade_id), only)
        return None if found is None else int(found["sessionId"])

    async def trades(
        self, session_id: int, wanted: TradeFilter, before_id: int | None, limit: int
    ) -> list[Trade]:
        found: list[Document] = []
        before_id = INT64_MAX if before_id is None else before_id
        while len(found) < limit:
            size = min(limit - len(found), self.lanes.pace.trades)
            async with self.lanes.history_read():
                with reading():
                    lowest_id = await self._lowest_looked_at(session_id, wanted, before_id)
                    page = await self._page(
                        _filter(session_id, wanted)
                        | where(tradeId={"$lt": before_id, "$gte": lowest_id}),
                        size,
                    )
            found += page
            if len(page) == size:
                before_id = page[-1]["tradeId"]
            elif lowest_id:
                before_id = lowest_id
            else:
                break
        return [to_trade(document) for document in found]

    async def _page(
        self,
        filter_: Document,
        size: int,
        *,
        skip: int = 0,
        fields: Mapping[str, int] | None = None,
    ) -> list[Document]:
        found = self.database["trades"].find(filter_, fields, batch_size=BATCH)
        return await found.sort("tradeId", DESCENDING).skip(skip).limit(size).to_list(size)

    async def _lowest_looked_at(self, session_id: int, wanted: TradeFilter, before_id: int) -> int:
        """The lowest id that the next page may have; 0 for no bound.

        What no index knows is looked for among so many trades at a time: otherwise a search
        that finds little would hold up writes until it has seen the whole session.
        """
        if wanted.side is None and wanted.tag is None and not wanted.has_days:
            return 0
        before = where(sessionId=session_id, tradeId={"$lt": before_id})
        last = await self._page(before, 1, skip=_LOOKED_AT - 1, fields={"tradeId": 1})
        return int(last[0]["tradeId"]) if last else 0

    async def open_trades(self) -> AsyncIterator[Trade]:
        async for document in self.with_status("trades", "tradeId", TradeStatus.OPEN):
            yield to_trade(document)


def _filter(session_id: int, wanted: TradeFilter) -> Document:
    """With days, only of trades that are closed."""
    filter_ = where(sessionId=session_id)
    if wanted.status is not None:
        filter_ |= where(status=wanted.status.value)
    if wanted.symbol is not None:
        filter_ |= where(symbol=wanted.symbol)
    if wanted.tag is not None:
        # Not as ``$eq``: in this form the embedded server looks into the array, too.
        filter_["tags"] = wanted.tag
    if wanted.side is not None:
        filter_ |= where(side=wanted.side.value)
    moments: Document = {}
    if wanted.first_day is not None:
        moments["$gte"] = to_datetime(day_start_ms(wanted.first_day))
    if wanted.last_day is not None:
        moments["$lt"] = to_datetime(day_start_ms(wanted.last_day) + DAY_MS)
    return filter_ | where(closedAt=moments) if moments else filter_
