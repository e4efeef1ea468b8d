"""A stranger's test of the REST calls, made from the contract alone."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from pathlib import Path

import pytest

from tests.kit.server import MakeServer

ROOT = Path(__file__).parent.parent.parent


@pytest.mark.parametrize(
    "search",
    [
        pytest.param("--phases examples,coverage,stateful --max-examples 10", id="as listed"),
        pytest.param(
            "--phases fuzzing --max-examples 100",
            id="at random",
            marks=[pytest.mark.slow, pytest.mark.timeout(600)],
        ),
    ],
)
async def test_schemathesis_finds_nothing(
    search: str, server_process: MakeServer, tmp_path: Path
) -> None:
    """Right and wrong requests of every kind, and calls in sequence, get what the contract says.

    What ``hooks.py`` excuses is a rule that a schema cannot say. For a long search:
    a larger ``--max-examples`` and another ``--seed``.
    """
    url = await server_process("--feed", "ingest").start()
    process = await asyncio.create_subprocess_exec(
        Path(sys.executable).parent / "schemathesis",
        *("run", f"{url}/api/openapi.json", "--checks", "all", "--continue-on-failure"),
        *(*search.split(), "--seed", "1", "--suppress-health-check", "all"),
        *("--warnings", "off", "--no-color"),
        cwd=tmp_path,
        env=os.environ | {"SCHEMATHESIS_HOOKS": "tests.contracts.hooks", "PYTHONPATH": str(ROOT)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
    assert re.search(r"([1-9]\d+) selected / \1 total", output.decode()), output.decode()
