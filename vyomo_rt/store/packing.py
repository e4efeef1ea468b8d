"""Stored events as bytes for other nodes: the very documents of the store."""

from __future__ import annotations

from collections.abc import Sequence

import bson
from bson.codec_options import CodecOptions

from vyomo_rt.domain.event import Event
from vyomo_rt.store import documents

_OPTIONS: CodecOptions[dict[str, object]] = CodecOptions(tz_aware=True)


def pack_events(events: Sequence[Event]) -> bytes:
    """Some events of one session, in order."""
    return bson.encode({"events": [documents.from_event(event) for event in events]})


def unpack_events(message: bytes) -> list[Event]:
    """What ``pack_events`` was given. Raises NewerData."""
    found = bson.decode(message, _OPTIONS)["events"]
    assert isinstance(found, list)
    return [documents.to_event(document) for document in found]
