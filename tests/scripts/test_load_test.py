"""The load test as its user runs it: against servers that are well, and some that are not."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from lab.load.options import PRESETS, parse
from lab.load.report import Report, broken_budgets
from lab.load.run import run
from lab.site.machine import DISTURBED_PERCENT, listening_pid, process_name, usage
from lab.site.target import TargetError, connected
from lab.site.trader import BusyTrader
from tests.kit.rest import Rest
from tests.kit.waiting import until
from tests.scripts.spoiler import SpoilingProxy

SCRIPT = Path(__file__).parents[2] / "scripts" / "load_test.py"


class Outcome(NamedTuple):
    code: int
    table: str
    progress: str
    report: dict[str, Any]


async def load_test(
    folder: Path, *flags: str, on_progress: Callable[[Process], Awaitable[None]] | None = None
) -> Outcome:
    """Run the script; ``on_progress`` is called once it has begun to measure."""
    file = folder / "report.json"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(SCRIPT), "--json", str(file), *flags),
        env=os.environ | {"VYOMO_RT_PORT": "nonsense"},  # its own server must not see this
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    progress = b""
    async for line in process.stderr:
        progress += line
        if on_progress and line.startswith(b"measuring"):
            await on_progress(process)
            on_progress = None
    table = (await process.stdout.read()).decode()
    report = json.loads(file.read_text()) if file.exists() else {}
    return Outcome(await process.wait(), table, progress.decode(), report)


async def interrupt(process: Process) -> None:
    """What Ctrl-C does."""
    process.send_signal(signal.SIGINT)


@pytest.fixture
async def proxy(server: Rest) -> AsyncIterator[SpoilingProxy]:
    """Before a server that takes ticks."""
    proxy = SpoilingProxy(server.url)
    yield proxy
    await proxy.stop()


@pytest.mark.quiet(4)
async def test_twenty_clients_on_a_server_of_its_own_get_everything_in_time(tmp_path: Path) -> None:
    flags = ("--clients", "20", "--interval-ms", "200", "--duration", "2", "--symbols", "4")
    outcome = await load_test(tmp_path, *flags, "--trades-per-s", "5", "--processes", "2")
    report = outcome.report
    assert outcome.code == 0, outcome
    assert (report["connected"], report["failed"], report["dropped"]) == (20, {}, {})
    assert report["parameters"]["sseClients"] == 10
    # What other programs keep waiting does less in the time.
    server_waited = report["server"]["waitedPercent"]
    is_disturbed = max(server_waited, *report["loadWaitedPercent"]) > DISTURBED_PERCENT
    least, most_s, most_ms = (0.1, 30, 30_000) if is_disturbed else (0.8, 3, 5000)
    assert 1 < report["windowS"] < most_s
    due = 20 * 4 * 5
    assert report["pricesDuePerS"] == due
    assert least * due < report["pricesPerS"] < 1.2 * due
    # Beside the prices: each event with the figures after it, figures and P&L every 2 s.
    each_gets = due / 20 + 2 * BusyTrader.EVENTS_PER_TRADE * 5 + 1
    assert least < report["messagesPerS"] / (20 * each_gets) < 1.2

    events, trades = report["events"], report["trades"]
    wrong = ("lost", "doubled", "outOfOrder", "altered")
    assert {name: events[name] for name in wrong} == dict.fromkeys(wrong, 0)
    assert trades["opened"] == trades["closed"] >= (1 if is_disturbed else 5)
    assert trades["failed"] == {}
    assert events["stored"] == BusyTrader.EVENTS_PER_TRADE * trades["opened"]
    assert sorted(events["kinds"]) == [
        *("order_ended", "order_placed", "session_changed"),
        *("trade_changed", "trade_closed", "trade_opened", "trade_reduced"),
    ]
    assert 10 * 20 < events["due"] <= events["stored"] * 20
    for delays in (report["priceDelays"], report["eventDelays"], report["connects"]):
        assert delays["samples"] >= 20
        assert 0 <= delays["p50Ms"] <= delays["p99Ms"] <= delays["maxMs"] < most_ms

    assert report["server"]["cpuPercent"] > 0
    assert 20e6 < report["server"]["memoryBeforeBytes"] <= report["server"]["memoryAfterBytes"]
    assert report["server"]["logProblems"] == []
    assert len(report["loadCpuPercent"]) == 2
    assert "20 of 20" in outcome.table
    assert "0 lost, 0 doubled, 0 out of order, 0 altered" in outcome.table


async def test_lost_doubled_swapped_and_altered_events_are_found_and_a_budget_is_held(
    server: Rest, proxy: SpoilingProxy, tmp_path: Path
) -> None:
    """Of each of six clients' events one is lost, one doubled, one late and one altered."""
    await server.tick("NIFTY", 22150.5)
    flags = ("--url", await proxy.start(), "--clients", "6", "--symbols", "1")
    more = ("--trades-per-s", "10", "--duration", "1.5", "--p99-ms", "0")
    outcome = await load_test(tmp_path, *flags, *more)
    assert outcome.code == 1, outcome
    events = outcome.report["events"]
    assert (events["lost"], events["doubled"], events["outOfOrder"]) == (6, 6, 6)
    assert events["altered"] >= 1
    found = 18 + events["altered"]
    over = [line for line in outcome.table.splitlines() if line.startswith("OVER BUDGET")]
    assert f"OVER BUDGET: {found} events lost, doubled, out of order or altered" in over[0]
    assert "the p99 delay of prices is" in over[1]
    assert "the p99 delay of trades is" in over[2]
    assert len(over) == len(outcome.report["broken"]) == 3
    report = msgspec.convert(outcome.report, Report)
    assert broken_budgets(report, p99_ms=10_000, lost=found) == []
    assert len(broken_budgets(report, p99_ms=None, lost=found - 1)) == 1


async def test_clients_that_lose_their_server_are_counted(
    server: Rest, proxy: SpoilingProxy, tmp_path: Path
) -> None:
    await server.tick("NIFTY", 22150.5)
    flags = ("--url", await proxy.start(), "--clients", "4", "--symbols", "1", "--duration", "60")
    outcome = await load_test(tmp_path, *flags, on_progress=lambda _: proxy.stop())
    assert outcome.code == 1, outcome
    assert sum(outcome.report["dropped"].values()) == 4
    assert "OVER BUDGET: dropped by the server: " in outcome.table
    assert "what clients must have been told is not known" in outcome.table


async def test_after_ctrl_c_there_is_a_report_so_far(server: Rest, tmp_path: Path) -> None:
    await server.tick("NIFTY", 22150.5)
    flags = ("--url", server.url, "--clients", "4", "--symbols", "1", "--duration", "60")
    outcome = await load_test(tmp_path, *flags, on_progress=interrupt)
    assert outcome.code == 130, outcome
    assert outcome.report["interrupted"]
    assert outcome.report["connected"] == 4
    assert "(interrupted)" in outcome.table
    _, answer = await server.call("GET", "/sessions")
    assert [session["status"] for session in answer["sessions"]] == ["STOPPED"]
    assert answer["sessions"][0]["openTrades"] == 0


@pytest.mark.parametrize(
    ("symbols", "reason"),
    [("3", "prices of only 1 symbols"), ("TCS", "no price of TCS; it has NIFTY")],
)
async def test_symbols_without_a_price_are_refused(server: Rest, symbols: str, reason: str) -> None:
    await server.tick("NIFTY", 22150.5)
    options = parse(["--url", server.url, "--symbols", symbols], "")
    with pytest.raises(TargetError, match=reason):
        await run(options, asyncio.Event())


async def test_without_a_server_it_ends_with_a_reason(tmp_path: Path) -> None:
    outcome = await load_test(tmp_path, "--url", "http://127.0.0.1:1")
    assert outcome.code == 2
    assert outcome.progress.startswith("load_test: cannot connect to http://127.0.0.1:1: ")
    assert len(outcome.progress.splitlines()) == 1


async def test_what_a_process_uses_is_found_by_its_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        assert listening_pid(port) == os.getpid()
    assert listening_pid(port) is None
    before = usage(os.getpid())
    assert before is not None
    assert before.memory_bytes > 20e6

    def busier() -> bool:
        now = usage(os.getpid())
        return now is not None and now.cpu_s > before.cpu_s

    await until(busier)
    assert process_name(os.getpid()).startswith(f"{os.getpid()} (")


async def test_the_clock_of_a_server_elsewhere_is_estimated(server: Rest) -> None:
    """Here both clocks are one, so what it finds must be nothing, give or take what it says."""
    async with connected(server.url) as target:
        assert target.is_local
        offset_ms, uncertainty_ms = await target.clock_offset()
    assert abs(offset_ms) <= uncertainty_ms


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        ("--clients 0", "--clients: must be a whole number from 1 to 1e+06, not 0"),
        ("--clients many", "--clients: must be a whole number"),
        ("--sse-share 1.5", "--sse-share: must be a number from 0 to 1, not 1.5"),
        ("--interval-ms 250", "--interval-ms: must be a multiple of 100, not 250"),
        ("--interval-ms 50", "--interval-ms: must be a whole number from 100 to 60000, not 50"),
        ("--symbols ,", "--symbols: name at least one, or how many"),
        ("--duration nan", "--duration: must be a number"),
        ("--url localhost:4025", "--url: must be like http://localhost:4025, not localhost:4025"),
        ("--url http://localhost:4025/x", "--url: must end after host and port"),
        ("--url http://localhost:99999", "--url: must be like http://localhost:4025"),
        ("--clients 2 --processes 3", "--processes: 3 is more than the clients"),
        ("--clients 900000 --url http://localhost:1", "--clients: "),
        ("--json no/such/file", "--json: there is no folder no/such"),
        ("--preset none", "--preset: invalid choice"),
    ],
)
def test_a_wrong_flag_is_named_with_what_it_takes(
    flags: str, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(flags.split(), "")
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith(f"load_test: {reason}")


def test_a_preset_sets_flags_and_flags_win_over_it() -> None:
    original = vars(parse(["--preset", "original"], ""))
    assert original == original | PRESETS["original"]
    assert (original["clients"], original["sse_share"]) == (100, 0)
    mixed = parse(["--preset", "original", "--clients", "7", "--symbols", "tcs,TCS, INFY"], "")
    assert (mixed.clients, mixed.interval_ms, mixed.symbols) == (7, 1000, ["TCS", "INFY"])
