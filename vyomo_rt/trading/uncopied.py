"""What other nodes have stored lately, whose readable copies they may still owe."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Sequence

from vyomo_rt.domain.event import Event, Record
from vyomo_rt.domain.shard import shard_of
from vyomo_rt.trading.copying import R

_KEPT_S = 60.0
_MOST = 20_000


class Uncopied:
    """The newest of each record, for a minute: by then its owner has written the copy, or died."""

    def __init__(self) -> None:
        self._found: dict[tuple[type[Record], int], tuple[Record, int, float]] = {}

    def add(self, events: Sequence[Event]) -> None:
        """Events of a session that another node writes were applied."""
        now = time.monotonic()
        for event in events:
            for record in event.records:
                key = type(record), record.record_id
                self._found.pop(key, None)
                self._found[key] = record, event.seq, now
        while self._found:
            oldest = next(iter(self._found))
            if len(self._found) <= _MOST and self._found[oldest][2] > now - _KEPT_S:
                return
            del self._found[oldest]

    def find(self, kind: type[R], id_: int) -> R | None:
        """A record of a kind, by its id."""
        record = self._found.get((kind, id_), (None,))[0]
        return record if isinstance(record, kind) else None

    def of_session(self, kind: type[R], session_id: int) -> Iterator[R]:
        """All records of a kind of a session."""
        for record, _, _ in self._found.values():
            if isinstance(record, kind) and record.session_id == session_id:
                yield record

    def of_shards(self, shards: Collection[int]) -> list[Record]:
        """The records of some shards."""
        records = (record for record, _, _ in self._found.values())
        return [record for record in records if shard_of(record.session_id) in shards]

    def pop(self, shards: Collection[int]) -> Iterator[tuple[Record, int]]:
        """Take out the records of some shards, each with the number of its event."""
        for key, (record, seq, _) in list(self._found.items()):
            if shard_of(record.session_id) in shards:
                del self._found[key]
                yield record, seq
