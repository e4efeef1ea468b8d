"""Records: what is in the file, whatever happens to the process that writes it."""

from __future__ import annotations

import gzip
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.kit.waiting import until
from tests.recording.records import lines, prices
from vyomo_rt.domain.errors import CannotStart
from vyomo_rt.domain.moment import DAY_MS
from vyomo_rt.recording import recorder as module
from vyomo_rt.recording.files import RecordFile
from vyomo_rt.recording.recorder import Recorder
from vyomo_rt.wire.record import CallLine, RecordHeader

BEGIN_MS = 1_795_664_700_000  # 2026-11-26, 09:15 in India
ENDINGS = ("ndjson", "ndjson.gz", "ndjson.zst")


def begun(path: Path, now_ms: int = BEGIN_MS) -> Recorder:
    recorder = Recorder(RecordFile(path, RecordHeader(source="ingest")), now_ms)
    recorder.start()
    return recorder


def take(recorder: Recorder, count: int, begin_ms: int = BEGIN_MS) -> None:
    for number in range(count):
        recorder.take_tick("NIFTY", 221_500_000 + number, begin_ms + number, begin_ms + number)


def expected(count: int) -> list[float]:
    return [(221_500_000 + number) / 10_000 for number in range(count)]


def torn(path: Path, left_out: int) -> None:
    """As a crash leaves the file: without its last bytes."""
    os.truncate(path, path.stat().st_size - left_out)


@pytest.mark.parametrize("ending", ENDINGS)
def test_every_tick_is_in_the_record_in_its_order_behind_a_header(
    tmp_path: Path, ending: str
) -> None:
    path = tmp_path / f"day.{ending}"
    recorder = begun(path)
    take(recorder, 10_000)
    recorder.close()
    header, *ticks = lines(path)
    assert header == {"v": 1, "tz": "UTC", "date": "2026-11-26", "source": "ingest"}
    assert ticks[0] == {"symbol": "NIFTY", "price": 22150, "ts": BEGIN_MS}
    assert ticks[1] == {"symbol": "NIFTY", "price": 22150.0001, "ts": BEGIN_MS + 1}
    assert [tick["ts"] for tick in ticks] == [BEGIN_MS + number for number in range(10_000)]
    assert prices(path) == expected(10_000)


def test_a_packed_record_is_a_file_for_gzip(tmp_path: Path) -> None:
    path = tmp_path / "day.ndjson.gz"
    for _ in range(2):
        recorder = begun(path)
        take(recorder, 3)
        recorder.close()
    assert gzip.decompress(path.read_bytes()).count(b"\n") == 7


@pytest.mark.parametrize("ending", ENDINGS)
async def test_what_came_can_be_read_before_the_record_ends(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"day.{ending}"
    recorder = begun(path)
    take(recorder, 3)
    await until(lambda: prices(path) == expected(3))
    recorder.close()


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("left_out", [1, 9, 40])
def test_a_record_goes_on_the_same_day_behind_what_a_crash_has_left(
    tmp_path: Path, ending: str, left_out: int
) -> None:
    path = tmp_path / f"day.{ending}"
    recorder = begun(path)
    take(recorder, 100)
    recorder.close()
    torn(path, left_out)
    left = prices(path)
    assert left == expected(100)[: len(left)]
    again = begun(path, BEGIN_MS + 60_000)
    take(again, 100, BEGIN_MS + 60_000)
    again.close()
    assert prices(path) == left + expected(100)
    assert len([line for line in lines(path) if "v" in line]) == 1


@pytest.mark.parametrize("ending", ENDINGS)
def test_older_days_get_their_date_before_the_ending(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"my.day.{ending}"
    recorder = begun(path)
    take(recorder, 2)
    take(recorder, 3, BEGIN_MS + DAY_MS)
    recorder.close()
    later = begun(path, BEGIN_MS + 2 * DAY_MS)
    take(later, 4, BEGIN_MS + 2 * DAY_MS)
    later.close()
    found = {each.name: len(prices(each)) for each in tmp_path.iterdir()}
    assert found == {
        f"my.day.2026-11-26.{ending}": 2,
        f"my.day.2026-11-27.{ending}": 3,
        f"my.day.{ending}": 4,
    }
    assert lines(path)[0]["date"] == "2026-11-28"


def test_a_file_of_an_older_day_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "day.ndjson"
    (tmp_path / "day.2026-11-26.ndjson").write_text("precious")
    recorder = begun(path)
    take(recorder, 1)
    take(recorder, 1, BEGIN_MS + DAY_MS)
    recorder.close()
    assert (tmp_path / "day.2026-11-26.ndjson").read_text() == "precious"
    assert prices(tmp_path / "day.2026-11-26-2.ndjson") == expected(1)


def test_a_tick_that_came_much_later_says_when(tmp_path: Path) -> None:
    path = tmp_path / "day.ndjson"
    recorder = begun(path)
    for late_ms, after_ms in ((0, 0), (4_000, 5_000), (90_000, 99_000), (89_000, 100_000)):
        recorder.take_tick("A", 10_000, BEGIN_MS + after_ms - late_ms, BEGIN_MS + after_ms)
    recorder.close()
    assert [line.get("at", 0) - BEGIN_MS for line in lines(path) if "at" in line] == [99_000]
    assert [line["ts"] - BEGIN_MS for line in lines(path)[1:]] == [0, 1_000, 9_000, 11_000]


def test_a_call_has_its_place_from_when_it_is_carried_out_and_only_if_it_had_an_effect(
    tmp_path: Path,
) -> None:
    path = tmp_path / "day.ndjson"
    recorder = begun(path)
    take(recorder, 1)
    effective, refused = recorder.begin_call(BEGIN_MS), recorder.begin_call(BEGIN_MS)
    take(recorder, 1)
    refused.is_over = True
    recorder.end_call(refused)
    effective.line = CallLine(at=BEGIN_MS, call="POST /sessions", made=1)
    recorder.end_call(effective)
    recorder.close()
    kinds = ["call" if "call" in line else "tick" for line in lines(path)[1:]]
    assert kinds == ["tick", "call", "tick"]


def test_two_processes_do_not_record_into_one_file(tmp_path: Path) -> None:
    path = tmp_path / "day.ndjson"
    recorder = begun(path)
    with pytest.raises(CannotStart, match="being written by another process: choose another file"):
        begun(path)
    recorder.close()


@pytest.mark.parametrize("text", ["[project]\nname = 1\n", '{"a": 1}\n', "\x1f\x8b\n"])
def test_a_file_that_is_no_record_is_left_alone(tmp_path: Path, text: str) -> None:
    path = tmp_path / "day.ndjson"
    path.write_text(text)
    with pytest.raises(CannotStart, match="is no record"):
        begun(path)
    assert path.read_text() == text


def test_a_folder_that_takes_no_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CannotStart, match="cannot be written: No such file or directory"):
        begun(tmp_path / "nowhere" / "day.ndjson")


async def test_while_the_disk_takes_nothing_lines_wait_and_beyond_a_bound_they_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_WAITING", 500)
    monkeypatch.setattr(module, "_RETRY_S", 0.01)
    full, met = threading.Event(), threading.Event()
    full.set()
    write = os.pwrite

    def pwrite(fd: int, text: bytes, offset: int) -> int:
        if full.is_set() and offset:
            met.set()
            raise OSError(28, "No space left on device")
        return write(fd, text, offset)

    monkeypatch.setattr(os, "pwrite", pwrite)
    recorder = begun(tmp_path / "day.ndjson")
    take(recorder, 1)
    await until(met.is_set)
    take(recorder, 700)
    assert recorder.lost == 200
    full.clear()
    recorder.close()
    assert prices(tmp_path / "day.ndjson") == expected(1) + expected(500)


def read_by(path: Path, parse: Callable[[Path], object]) -> str:
    with pytest.raises(CannotStart) as raised:
        parse(path)
    return str(raised.value)


def test_a_damaged_or_missing_record_is_named(tmp_path: Path) -> None:
    damaged = tmp_path / "day.ndjson.gz"
    damaged.write_text("no gzip")
    assert "is damaged, or not packed as its name says" in read_by(damaged, lines)
    missing = tmp_path / "missing.ndjson"
    assert "cannot be read: No such file or directory" in read_by(missing, lines)
