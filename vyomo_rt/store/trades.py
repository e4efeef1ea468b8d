"""Readable copies of the trades: what the events say, one document per trade."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from pymongo import ASCENDING, DESCENDING
from pymongo.errors import DuplicateKeyError

from vyomo_rt.domain.errors import Unavailable
from vyomo_rt.domain.trade import Trade, TradeStatus
from vyomo_rt.store import documents
from vyomo_rt.store.client import where
from vyomo_rt.store.database import BATCH, Database, reading, settling
from vyomo_rt.store.documents import Document

_TRIES = 20
"""More than there are writers of one copy: its session's, and late ones of former owners."""


class Trades(Database):
    """The collection ``trades``."""

    async def save_trade(self, trade: Trade, seq: int) -> None:
        document = documents.from_copy(trade, seq)
        this = where(_id=trade.trade_id)
        for _ in range(_TRIES):
            with self.writing():
                try:
                    await self.database["trades"].replace_one(
                        this | where(seq={"$lt": seq}), document, upsert=True
                    )
                except DuplicateKeyError:
                    # Either the copy there is as new or newer, so that the filter misses it and
                    # the insert of the upsert meets its _id; or another one came in between.
                    with settling():
                        there = await self.database["trades"].find_one(this)
                else:
                    return
            if there is not None and there["seq"] >= seq:
                return
        raise Unavailable(f"the copy of trade {trade.trade_id} is written by too many at once")

    async def trade(self, trade_id: int) -> Trade | None:
        async with self.lanes.read():
            with reading():
                found = await self.database["trades"].find_one(where(_id=trade_id))
        return None if found is None else documents.to_trade(found)

    async def trades(
        self, session_id: int, status: TradeStatus | None, before_id: int | None, limit: int
    ) -> list[Trade]:
        filter_ = where(sessionId=session_id)
        if status is not None:
            filter_ |= where(status=status.value)
        if before_id is not None:
            filter_ |= where(tradeId={"$lt": before_id})
        found: list[Document] = []
        while len(found) < limit:
            size = min(limit - len(found), self.lanes.pace.page)
            async with self.lanes.history_read():
                with reading():
                    page = (
                        await self.database["trades"]
                        .find(filter_, batch_size=BATCH)
                        .sort("tradeId", DESCENDING)
                        .limit(size)
                        .to_list(size)
                    )
            found += page
            if len(page) < size:
                break
            filter_ |= where(tradeId={"$lt": page[-1]["tradeId"]})
        return [documents.to_trade(document) for document in found]

    async def open_trades(self) -> AsyncIterator[Trade]:
        after_id = 0
        while True:
            with reading():
                page = (
                    await self.database["trades"]
                    .find(
                        where(status=TradeStatus.OPEN.value, tradeId={"$gt": after_id}),
                        batch_size=BATCH,
                    )
                    .sort("tradeId", ASCENDING)
                    .limit(BATCH)
                    .to_list(BATCH)
                )
            for document in page:
                yield documents.to_trade(document)
            if len(page) < BATCH:
                return
            after_id = page[-1]["tradeId"]

    async def highest_trade_id(self) -> int:
        with reading():
            found = (
                await self.database["trades"]
                .find({}, {"tradeId": 1})
                .sort("tradeId", DESCENDING)
                .limit(1)
                .to_list(1)
            )
        return int(found[0]["tradeId"]) if found else 0

    async def projected_seqs(self, trade_ids: Sequence[int]) -> dict[int, int]:
        found = await self.among(self.database["trades"], trade_ids, {"seq": 1})
        return {document["_id"]: document["seq"] for document in found}
