"""How long a start takes over many trades. Slow, so it is run by ``pytest -m slow`` only.

``VYOMO_RT_TEST_TRADES`` says how many; a million take ten minutes to make.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from tests.kit.history import make_store
from tests.kit.server import MakeServer

TRADES = int(os.environ.get("VYOMO_RT_TEST_TRADES", "100000"))
MOST_START_S = 3.0


@pytest.mark.slow
@pytest.mark.timeout(1800)
async def test_a_start_after_a_kill_takes_seconds_however_many_trades_there_are(
    server_process: MakeServer, tmp_path: Path
) -> None:
    # 990 events after the last checkpoint, which is about as many as there can be.
    await make_store(tmp_path / "data", TRADES + 500)
    for _ in range(2):
        server = server_process()
        began = time.monotonic()
        await server.start()
        assert time.monotonic() - began < MOST_START_S
        assert any("1 sessions with 10 open trades" in line for line in server.output)
        await server.kill()
