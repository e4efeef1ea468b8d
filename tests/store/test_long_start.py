"""How long a start takes over much. Slow, so it is run by ``pytest -m slow`` only."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.kit.history import make_store
from tests.kit.server import MakeServer

MOST_START_S = 3.0


@pytest.mark.slow(1)
@pytest.mark.quiet
@pytest.mark.timeout(1800)
async def test_a_start_after_a_kill_takes_seconds_however_many_trades_there_are(
    server_process: MakeServer, long_store: Path
) -> None:
    for _ in range(2):
        server = server_process("--data-dir", str(long_store))
        began = time.monotonic()
        await server.start()
        assert time.monotonic() - began < MOST_START_S
        await server.logged("1 sessions with 10 open trades")
        await server.kill()


SESSIONS, OPEN_IN_EACH = 10_000, 3
MOST_WITH_SESSIONS_S = 5.0
MOST_RATIO = 2.2
SO_OFTEN = 3


async def after_kill_s(server_process: MakeServer, folder: Path) -> float:
    server = server_process("--data-dir", str(folder))
    began = time.monotonic()
    await server.start()
    took_s = time.monotonic() - began
    await server.kill()
    return took_s


@pytest.mark.slow(21)
@pytest.mark.quiet
@pytest.mark.timeout(600)
async def test_a_start_costs_as_much_as_there_are_sessions_and_ten_thousand_take_five_seconds(
    server_process: MakeServer, tmp_path: Path
) -> None:
    took: dict[int, list[float]] = {0: [], SESSIONS // 2: [], SESSIONS: []}
    for count in took:
        folder = tmp_path / str(count)
        await make_store(folder, OPEN_IN_EACH, sessions=count, open_at_once=OPEN_IN_EACH)
    for _ in range(SO_OFTEN):
        for count, times_s in took.items():
            times_s.append(await after_kill_s(server_process, tmp_path / str(count)))
    empty_s, half_s, all_s = (min(times_s) for times_s in took.values())
    print(f"no session {empty_s:.1f} s, {SESSIONS // 2} {half_s:.1f} s, {SESSIONS} {all_s:.1f} s")
    assert all_s < MOST_RATIO * half_s
    # On a machine that is busy with others even an empty start takes as long.
    assert all_s < max(MOST_WITH_SESSIONS_S, 4 * empty_s)
