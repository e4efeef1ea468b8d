"""The soak test: a short one as its user runs it, and whether it would find what it looks for."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path
from typing import Any

import msgspec
import pytest

import soak
from lab.soak.truth import CAPITAL, SessionTruth
from lab.soak.violated import Violated
from tests.kit.store import folder_in_memory

SCRIPT = Path(__file__).parents[2] / "scripts" / "soak.py"


async def run_soak(*flags: str, interrupt_at: bytes = b"") -> tuple[int, str, str]:
    """Exit code, report and progress of a soak, whose store waits for no disk that others use."""
    with folder_in_memory() as folder:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, str(SCRIPT), *flags),
            # Its server must not see the port.
            env=os.environ | {"VYOMO_RT_PORT": "nonsense", "TMPDIR": str(folder)},
            stdout=PIPE,
            stderr=PIPE,
        )
        code, report, progress = await _outcome(process, interrupt_at)
        if "VIOLATED" in report:  # what the folder told of it goes with the folder
            for log in sorted(folder.rglob("server.log")):
                lines = [line for line in log.read_text().splitlines() if " INFO " not in line]
                progress += "\n".join([f"{log}:", *lines, ""])
        return code, report, progress


async def _outcome(process: Process, interrupt_at: bytes) -> tuple[int, str, str]:
    assert process.stdout is not None
    assert process.stderr is not None
    progress = b""
    async for line in process.stderr:
        progress += line
        if interrupt_at and interrupt_at in line:
            process.send_signal(signal.SIGINT)
            interrupt_at = b""  # a second one would end it at once
    report = (await process.stdout.read()).decode()
    return await process.wait(), report, progress.decode()


@pytest.mark.quiet(12)
@pytest.mark.timeout(300)
async def test_a_short_soak_with_kills_crowds_and_a_bad_feed_finds_nothing(tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    flags = ("--minutes", "0.1", "--seed", "1", "--storm", "100", "--json", str(file))
    code, report, progress = await run_soak(*flags)
    assert code == 0, report + progress
    assert "every invariant held" in report
    found = json.loads(file.read_text())
    assert found["seed"] == "1"
    assert found["violated"] == []
    assert sum(found["faults"].values()) >= 3
    assert found["checks"] >= 3
    assert 0 < found["closed"] <= found["opened"] < found["events"]
    assert found["seen"]["events seen"] > found["events"]
    assert found["seen"]["resumptions"] > 0
    assert found["seen"]["halts"] > 0
    assert found["seen"]["trips"] >= 2
    assert found["seen"]["reports compared"] >= 3
    assert found["seen"]["figures of other sessions seen"] > 0
    assert found["folder"] is None or any(" ERROR " in line for line in found["warnings"])


@pytest.mark.slow(62)
async def test_a_short_soak_of_three_nodes_with_a_bus_that_lies_finds_nothing(
    tmp_path: Path,
) -> None:
    file = tmp_path / "report.json"
    flags = ("--nodes", "3", "--minutes", "0.2", "--seed", "1", "--storm", "20")
    code, report, progress = await run_soak(*flags, "--json", str(file))
    assert code == 0, report + progress
    found = json.loads(file.read_text())
    assert found["violated"] == []
    assert found["verified"] == "clean"
    told = ("dropped", "doubled", "delayed", "reordered")
    assert all(found["bus"][name] for name in (*told, "gaps repaired", "hops"))
    assert found["seen"]["trades closed by a spike"] >= 64
    assert found["seen"]["resumptions"] > 0


async def test_after_ctrl_c_there_is_a_report_so_far() -> None:
    flags = ("--minutes", "5", "--seed", "2", "--storm", "10", "--json", "-")
    code, report, progress = await run_soak(*flags, interrupt_at=b" s  ")
    assert code == 130, progress
    found = json.loads(report)
    assert found["interrupted"]
    assert found["violated"] == []
    assert found["ranS"] < 60
    assert "every invariant held so far" in progress


def test_a_violation_is_named_with_its_seed_and_the_data_are_kept(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A server that loses an event could not be had, so one that is stored is forgotten here."""
    take = SessionTruth.take

    def lose(self: SessionTruth, texts: list[bytes], since: int) -> None:
        take(self, texts[:1] + texts[2:], since)

    monkeypatch.setattr(SessionTruth, "take", lose)
    assert soak.main(["--minutes", "1", "--seed", "3", "--storm", "2"]) == 1
    *_, violated, kept = capsys.readouterr().out.splitlines()
    assert violated.startswith("VIOLATED (seed 3): event numbers have no gap: session ")
    folder = Path(kept.partition(": ")[2])
    assert "serves feed ingest" in (folder / "server.log").read_text()
    assert (folder / "db").is_dir()
    shutil.rmtree(folder)


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        ("--minutes 0", "--minutes: must be more than 0"),
        ("--minutes nan", "--minutes: must be more than 0"),
        ("--storm 1", "--storm: must be from 2 to 5000"),
        ("--nodes 0", "--nodes: must be from 1 to 9"),
        ("--json no/such/file", "--json: there is no folder no/such"),
    ],
)
def test_a_wrong_flag_is_named_with_what_it_takes(
    flags: str, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        soak.main(flags.split())
    assert ended.value.code == 2
    assert reason in capsys.readouterr().err


# -- what it looks for -------------------------------------------------------------------

OPENED = {"tradeId": 1, "entryPrice": 100, "timestamp": "2026-11-23T01:00:00.000Z"}
CLOSED = OPENED | {"exitPrice": 101, "pnl": 50.5, "exitReason": "MANUAL"}
ORDER = {"tradeId": 2, "orderId": 7}
KILL = ("session_changed", {"status": "HALTED", "reason": "KILL"})
LIFT = ("session_changed", {"status": "ACTIVE", "reason": "MANUAL"})
SESSION = {
    "sessionId": 6,
    "timestamp": "2026-11-23T02:00:00.000Z",
    "seq": 2,
    "totalTrades": 1,
    "openTrades": 0,
    "winningTrades": 1,
    "losingTrades": 0,
    "totalPnL": 50.5,
    "todayPnL": 50.5,
    "currentCapital": CAPITAL + 50.5,
    "winRate": 100,
}


def text(seq: int, type_: str, data: dict[str, Any]) -> bytes:
    return msgspec.json.encode({"type": type_, "data": data, "seq": seq})


def truth(*, closed: dict[str, Any] = CLOSED) -> SessionTruth:
    """A trade was opened and closed, told, acknowledged and stored."""
    found = SessionTruth(6)
    texts = [text(1, "trade_opened", OPENED), text(2, "trade_closed", closed)]
    for seq, told in enumerate(texts, 1):
        found.tell(seq, told)
    found.acknowledge_opening("key", 1)
    found.closed[1] = closed
    found.take(texts, 0)
    return found


def test_what_agrees_violates_nothing() -> None:
    found = truth()
    found.take([text(2, "trade_closed", CLOSED)], 1)
    found.check_told(2)
    found.check_trades(found.acknowledged())
    found.check_figures(SESSION)
    found.check_nothing_else()


@pytest.mark.parametrize(
    ("wrong", "invariant"),
    [
        (lambda t: t.take([text(2, "trade_closed", CLOSED | {"pnl": 1})], 1), "same bytes"),
        (lambda t: t.take([text(4, "trade_opened", OPENED)], 2), "no gap"),
        (lambda t: t.take([text(1, "trade_opened", OPENED)], 0), "stays stored"),
        (lambda t: t.tell(2, b"{}"), "see the same"),
        (lambda t: (t.tell(3, b"{}"), t.check_told(3)), "told of what is not stored"),
        (lambda t: t.acknowledge_opening("key", 2), "opens nothing twice"),
        (
            lambda t: (t.acknowledge_opening("k", 2), t.check_trades(t.acknowledged())),
            "what is acknowledged is stored: opening 'k', trade 2",
        ),
        (
            lambda t: (t.closed.update({1: OPENED}), t.check_trades(t.acknowledged())),
            "what is acknowledged is stored: the close of trade 1",
        ),
        (
            lambda t: (
                t.take([text(3, "trade_closed", CLOSED)], 2),
                t.check_trades(t.acknowledged()),
            ),
            "opens and closes once",
        ),
        (
            lambda t: (
                t.take([text(3, "trade_opened", {"tradeId": 2})], 2),
                t.check_nothing_else(),
            ),
            "only what was asked for",
        ),
        (
            lambda t: (t.acknowledge_order("k", 7), t.check_orders(t.acknowledged())),
            "what is acknowledged is stored: placing 'k', order 7",
        ),
        (
            lambda t: (
                t.take([text(3, "order_ended", ORDER), text(4, "trade_opened", ORDER)], 2),
                t.check_orders(t.acknowledged()),
            ),
            "an order ends once",
        ),
        (
            lambda t: (t.take([text(3, "trade_opened", ORDER)], 2), t.check_nothing_else()),
            "only what was asked for",
        ),
        (
            lambda t: (
                t.take([text(3, *KILL), text(4, "trade_opened", ORDER)], 2),
                t.check_halts(),
            ),
            "nothing begins in a halt",
        ),
        (
            lambda t: (
                t.take([text(3, "trade_opened", ORDER), text(4, *KILL), text(5, *LIFT)], 2),
                t.check_halts(),
            ),
            "a halt closes everything",
        ),
        (
            lambda t: t.check_figures(SESSION | {"totalPnL": 50.4}),
            "figures are those of the events",
        ),
        (
            lambda t: t.check_figures(SESSION | {"timestamp": "2026-11-23T19:00:00.000Z"}),
            "figures are those of the events",
        ),
    ],
)
def test_what_does_not_agree_is_named(wrong: Any, invariant: str) -> None:
    with pytest.raises(Violated, match=invariant):
        wrong(truth())


def test_a_close_far_from_any_true_price_is_a_misprints() -> None:
    found = truth(closed=CLOSED | {"exitPrice": 140, "exitReason": "TARGET"})
    with pytest.raises(Violated, match="no misprint"):
        found.check_trades(found.acknowledged())


def test_money_of_a_part_counts_on_its_date() -> None:
    part = OPENED | {"pnl": 10.5, "timestamp": "2026-11-22T01:00:00.000Z"}
    found = SessionTruth(6)
    texts = [("trade_opened", OPENED), ("trade_reduced", part), ("trade_closed", CLOSED)]
    found.take([text(seq, *each) for seq, each in enumerate(texts, 1)], 0)
    found.check_figures(SESSION | {"seq": 3, "todayPnL": 40})
