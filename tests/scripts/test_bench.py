"""The benchmark as its user runs it, with few connections and short; no time is judged."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec
import pytest
from msgspec.structs import replace

from lab.bench.cases import SCENARIOS, Case
from lab.bench.measure import Bench
from lab.bench.options import parse
from lab.bench.report import Report, Row, nodes_compared, ratios, tables
from lab.cli import Bar

SCRIPT = Path(__file__).parents[2] / "scripts" / "bench.py"
MARK = "BENCH_TEST_MARK"

pytestmark = pytest.mark.xdist_group("bench")


async def start(*flags: str, mark: str = "") -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, str(SCRIPT), "--duration", "0.5", *flags),
        env=os.environ | {MARK: mark},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


@pytest.fixture(scope="module")
def paced(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """The table and the report of a short benchmark."""

    async def run() -> str:
        bench = await start("paced", "--scale", "0.01", "--json", str(file))
        table, progress = await bench.communicate()
        assert bench.returncode == 0, progress
        return table.decode()

    file = tmp_path_factory.mktemp("bench") / "report.json"
    return asyncio.run(run()), file


def test_messages_are_counted_over_both_transports_beside_the_floor(
    paced: tuple[str, Path],
) -> None:
    table, file = paced
    report: dict[str, Any] = json.loads(file.read_text())
    assert report["parameters"]["scenarios"] == ["paced"]
    assert [row["transport"] for row in report["rows"]] == ["ws", "sse"]
    for row in report["rows"]:
        (measured,) = row["rounds"]
        figures = row["figures"]
        assert measured["connected"] == row["connections"] == 10
        assert not any("connected" in doubt or "dropped" in doubt for doubt in measured["doubts"])
        # One symbol ten times a second for each; the window may catch a beat more.
        assert 0 < figures["messagesPerS"] < 10 * 10 / 0.5
        assert 150 < figures["bytesPerMessage"] < 400
        assert figures["cpuUsPerMessage"] > 0
        assert figures["netCpuUsPerMessage"] < figures["cpuUsPerMessage"]
        assert figures["connectsPerS"] > 0
        assert figures["collectYoungMs"] > 0
        assert figures["collectAllMs"] > 0
        assert 0 <= figures["priceDelays.p50Ms"] <= figures["priceDelays.maxMs"]
        (floor,) = row["floors"]
        assert floor["sends"] >= 10
        assert floor["cpuS"] > 0
        assert figures["timesFloor"] == pytest.approx(
            figures["cpuUsPerMessage"] * floor["sends"] / floor["cpuS"] / 1e6
        )
        assert f"{figures['cpuUsPerMessage']:.2f}" in table


def test_a_report_against_itself_shows_ratios_of_one(paced: tuple[str, Path]) -> None:
    report = msgspec.json.decode(paced[1].read_bytes(), type=Report)
    lines = [line.split() for line in ratios(report, report).splitlines()]
    compared = [line[3:] for line in lines if line[:1] == ["paced"]]
    assert len(compared) == 2
    assert {cell for line in compared for cell in line} <= {"1.00", "-"}


def test_what_cannot_be_compared_is_named(paced: tuple[str, Path]) -> None:
    report = msgspec.json.decode(paced[1].read_bytes(), type=Report)
    other = msgspec.json.decode(paced[1].read_bytes(), type=Report)
    other.machine["python"] = "2.7"
    other.rows[0].connections = 1000
    other.rows[1].case = "tick"
    text = ratios(report, other)
    assert "ANOTHER PYTHON: now 3." in text
    assert "then 2.7" in text
    assert "paced over ws: cannot be compared, now 10 connections" in text
    assert "paced over sse: cannot be compared, it is in one of the reports only" in text
    assert "tick over sse: cannot be compared, it is in one of the reports only" in text


async def test_each_event_is_followed_to_the_last_subscriber() -> None:
    case = replace(SCENARIOS["event"][0].scaled(0.003), trades_per_s=20)
    assert (case.watchers, case.subscribers) == (30, 3)
    cores = os.sched_getaffinity(0)
    bench = Bench(1.0, 2, Bar(), asyncio.Event())
    measured = await bench.measure(case, "sse", "a test")
    assert os.sched_getaffinity(0) == cores
    assert measured is not None
    assert measured.connected == 33
    assert not any("missing" in doubt or "trade" in doubt for doubt in measured.doubts)
    posted, stored = measured.posted_to_last, measured.stored_to_last
    assert posted.samples == stored.samples >= 4
    assert posted.max_ms is not None
    assert stored.max_ms is not None
    assert stored.max_ms >= 0
    assert posted.max_ms > 0


async def test_pushed_ticks_are_counted_by_the_server_while_clients_get_prices() -> None:
    case = replace(SCENARIOS["ingest"][1].scaled(0.02), ticks_per_s=5000)
    measured = await Bench(0.5, 1, Bar(), asyncio.Event()).measure(case, "ws", "a test")
    assert measured is not None
    assert measured.connected == 2
    assert measured.ticks_per_s is not None
    assert 0 < measured.ticks_per_s < 15_000
    assert measured.cpu_us_per_tick is not None
    assert measured.cpu_us_per_tick > 0
    assert measured.price_delays.samples > 0


@pytest.mark.slow(50)
@pytest.mark.timeout(400)
async def test_nodes_are_measured_beside_a_server_alone() -> None:
    bench = await start("cluster", "--scale", "0.02", "--duration", "1", "--json", "-")
    text, progress = await bench.communicate()
    assert bench.returncode == 0, progress
    found = {row["case"]: row["figures"] for row in json.loads(text)["rows"]}
    for name in ("watched", "watched-follows"):
        assert found[name]["cpuUsPerMessage"] > 0
    for name in ("pushed", "pushed-owns", "pushed-follows"):
        assert found[name]["ticksPerS"] > 1000
        assert found[name]["messagesPerS"] > 0
    assert found["foreign"]["later.samples"] > 0
    for told in (b"A message costs a node", b"To publish", b"To follow them", b"An event reaches"):
        assert told in progress


def test_what_several_nodes_cost_is_compared_round_by_round(paced: tuple[str, Path]) -> None:
    report = msgspec.json.decode(paced[1].read_bytes(), type=Report)
    row = report.rows[0]

    def measured(case: str, *us: float) -> Row:
        rounds = [replace(row.rounds[0], cpu_us_per_message=each) for each in us]
        return replace(row, case=case, rounds=rounds)

    rows = [measured("watched", 1, 2, 4), measured("watched-follows", 1.1, 2.6, 4.8)]
    assert list(nodes_compared(rows)) == [
        "A message costs a node 1.20 × what it costs a server alone: at most 1.10."
    ]


async def test_after_ctrl_c_there_are_figures_so_far_and_no_process(
    paced: tuple[str, Path],
) -> None:
    mark = uuid4().hex
    flags = ("mixed", "--scale", "0.02", "--against", str(paced[1]), "--json", "-")
    bench = await start(*flags, mark=mark)
    assert bench.stderr is not None
    assert bench.stdout is not None
    async for line in bench.stderr:
        if b": measuring" in line:
            assert len(processes_with(mark)) >= 3  # itself, a load process, the server
            bench.send_signal(signal.SIGINT)
            break
    said = (await bench.stderr.read()).decode()
    report = json.loads(await bench.stdout.read())
    assert await bench.wait() == 130
    assert report["interrupted"]
    assert [row["case"] for row in report["rows"]] == ["mixed"]
    assert report["rows"][0]["rounds"] == []
    assert "(interrupted)" in said
    assert "paced over ws: cannot be compared" in said
    assert processes_with(mark) == []


def processes_with(mark: str) -> list[str]:
    """The processes that have inherited a variable."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if f"{MARK}={mark}".encode() in (process / "environ").read_bytes():
                found.append(process.name)
        except OSError:
            continue
    return found


def test_a_failure_is_told_below_what_was_measured(paced: tuple[str, Path]) -> None:
    report = msgspec.json.decode(paced[1].read_bytes(), type=Report)
    report.failure = "a load process ended with code 1"
    assert tables(report).endswith("ENDED EARLY: a load process ended with code 1")


def test_a_scale_keeps_a_connection_for_each_transport() -> None:
    case = Case("mixed", 1000, stalled_share=0.05)
    assert (case.scaled(0.5).connections, case.scaled(0.5).stalled) == (500, 25)
    assert case.scaled(0.0001).connections == 2


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        ("tock", "no scenario tock; there are paced, tick, "),
        ("--repeat 0", "--repeat: must be a whole number from 1 to 1000, not 0"),
        ("--scale none", "--scale: must be a number from 0.0001 to 10, not none"),
        ("--duration 0.1", "--duration: must be a number from 0.5 to 3600, not 0.1"),
        ("--json no/such/file", "--json: there is no folder no/such"),
        ("--against no/such/file", "--against: cannot read no/such/file: No such file"),
        (f"--against {SCRIPT}", f"--against: {SCRIPT} is no report that --json wrote"),
    ],
)
def test_a_wrong_flag_is_named_with_what_it_takes(
    flags: str, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(flags.split(), "")
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith(f"bench: {reason}")


def test_connections_that_do_not_fit_are_refused_before_the_work(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resource.getrlimit", lambda _: (1024, 4096))
    with pytest.raises(SystemExit):
        parse(["tick", "idle"], "")
    assert (
        "idle-5000: a process here may open 4096 files, 5064 are needed" in capsys.readouterr().err
    )
