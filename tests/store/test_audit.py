"""The audit is kept in order, over restarts, and trimmed in batches."""

from __future__ import annotations

import pytest

from vyomo_rt.access import audit as audit_queue
from vyomo_rt.access.audit import Audit
from vyomo_rt.domain.audit import AuditEntry, What
from vyomo_rt.domain.moment import WallMs
from vyomo_rt.store import audit as audit_module
from vyomo_rt.store.audit import SavedAudit
from vyomo_rt.store.journal import MongoStore

AT_MS = 1_795_000_000_000


def entry(number: int, by: str | None = "asha", what: What = What.SIGN_IN) -> AuditEntry:
    return AuditEntry(WallMs(AT_MS + number), by, what, "203.0.113.7", f"number {number}")


async def test_the_newest_come_first_of_one_subject_or_since_a_moment_also_after_a_restart(
    store: MongoStore,
) -> None:
    await SavedAudit(store, 100).append([entry(1), entry(2, None), entry(3, "ravi")])
    trail = SavedAudit(store, 100)
    await trail.append([entry(4, what=What.KICK)])
    expected = [entry(4, what=What.KICK), entry(3, "ravi"), entry(2, None), entry(1)]
    assert await trail.newest(9, since_ms=0, by=None) == expected
    assert await trail.newest(2, since_ms=0, by=None) == expected[:2]
    assert await trail.newest(9, since_ms=0, by="asha") == [expected[0], expected[3]]
    assert await trail.newest(9, since_ms=AT_MS + 3, by=None) == expected[:2]


async def test_the_same_entries_again_are_kept_once(store: MongoStore) -> None:
    """As after a write whose answer was lost."""
    trail = SavedAudit(store, 100)
    await trail.append([entry(0)])
    await SavedAudit(store, 100).append([entry(1), entry(2)])
    await trail.append([entry(1), entry(2), entry(3)])
    assert [each.at_ms - AT_MS for each in await trail.newest(9, since_ms=0, by=None)] == [
        3, 2, 1, 0,
    ]  # fmt: skip


async def test_it_is_trimmed_in_batches(store: MongoStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_module, "_TRIMMED_AT_ONCE", 5)
    trail = SavedAudit(store, 10)
    kept = []
    for number in range(1, 24):
        await trail.append([entry(number)])
        kept.append(len(await trail.newest(99, since_ms=0, by=None)))
    assert max(kept) == 14
    assert min(kept[10:]) == 10, kept
    restarted = SavedAudit(store, 10)
    await restarted.append([entry(number) for number in range(24, 60)])
    found = await restarted.newest(99, since_ms=0, by=None)
    assert 10 <= len(found) < 15
    assert found[0] == entry(59)


async def test_while_the_store_is_away_entries_wait_and_those_beyond_the_room_are_counted_once(
    store: MongoStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(audit_queue, "_MOST_WAITING", 250)
    trail = SavedAudit(store, 1000)
    audit = Audit(trail, lambda: WallMs(AT_MS))
    store.fence.close()
    for number in range(300):
        audit.note(What.REFUSED, None, "203.0.113.7", f"number {number}")
    await audit.write()
    await audit.write()
    assert [each.detail for each in await audit.newest(2, since_ms=0, by=None)] == [
        "number 249", "number 248",
    ]  # fmt: skip
    store.fence.extend(store.fence.now(), 60)
    await audit.write()
    audit.note(What.SIGN_IN, "asha", "203.0.113.7", "")
    found = await audit.newest(999, since_ms=0, by=None)
    assert [each.detail for each in found] == ["", *(f"number {n}" for n in range(249, -1, -1))]
    assert len(await trail.newest(999, since_ms=0, by=None)) == 250
    levels = [record for record in caplog.records if "audit" in record.message]
    assert [record.message.split(":")[0] for record in levels] == [
        "the audit cannot be written as fast as it grows",
        "the audit is written later",
        "50 audit entries were dropped",
    ]
