"""A stranger's test of the REST calls, made from the contract alone."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from pathlib import Path

import pytest

from tests.access.signing import KEY, token
from tests.kit.server import MakeServer
from vyomo_rt.clockwork import wall_now

ROOT = Path(__file__).parent.parent.parent
IN_SHORT = "--phases examples,stateful --max-examples 10"
AT_RANDOM = "--phases coverage,fuzzing --max-examples 60"
ALL_PHASES = "--phases examples,coverage,fuzzing,stateful"
FEWER = """
[phases.fuzzing]
generation.max-examples = 25
[phases.stateful]
generation.max-examples = 10
"""
LONG = [pytest.mark.slow(45), pytest.mark.timeout(600)]
ANY_PACE = "1000000"
GUARDED = {
    "VYOMO_RT_AUTH_KEY": KEY,
    "VYOMO_RT_CALLS_PER_S": ANY_PACE,
    "VYOMO_RT_FAILED_TOKENS_PER_MINUTE": ANY_PACE,
}


@pytest.mark.parametrize(
    "search",
    [
        pytest.param(IN_SHORT, id="in short"),
        pytest.param(AT_RANDOM, id="of every kind and at random", marks=LONG),
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
    output = await searched(url, tmp_path, *search.split())
    assert re.search(r"([1-9]\d+) selected / \1 total", output), output


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "role",
    [
        *(pytest.param(role, marks=pytest.mark.slow(20)) for role in (None, "viewer", "feed")),
        pytest.param("admin", marks=pytest.mark.slow(32)),
    ],
)
async def test_schemathesis_finds_nothing_whatever_rights_it_has(
    role: str | None, server_process: MakeServer, tmp_path: Path
) -> None:
    """Without a token, with little and with all rights.

    It revokes nothing: that would take its own token, too.
    """
    url = await server_process("--feed", "ingest", **GUARDED).start()
    rights = []
    if role is not None:
        now_s = wall_now() // 1000
        text = token(iat=now_s, exp=now_s + 3600, role=role)
        rights = ["--header", f"Authorization: Bearer {text}"]
    without = ("--exclude-path-regex", "/(revocations|sign-out)$")
    (tmp_path / "schemathesis.toml").write_text(FEWER)
    await searched(url, tmp_path, *ALL_PHASES.split(), *without, *rights, role=role or "none")


async def searched(url: str, folder: Path, *flags: str, role: str = "") -> str:
    """What a search says that finds nothing.

    It keeps no examples: the seed finds them again, and to weigh which to keep takes a quarter of
    its time.
    """
    more = {
        "SCHEMATHESIS_HOOKS": "tests.contracts.hooks",
        "PYTHONPATH": str(ROOT),
        # Where its tables of characters are already: to make them takes a second.
        "HYPOTHESIS_STORAGE_DIRECTORY": str(ROOT / ".hypothesis"),
        "VYOMO_RT_TEST_ROLE": role,
    }
    process = await asyncio.create_subprocess_exec(
        Path(sys.executable).parent / "schemathesis",
        *("run", f"{url}/api/openapi.json", "--checks", "all", "--continue-on-failure"),
        *(*flags, "--seed", "1", "--suppress-health-check", "all"),
        *("--generation-database", "none", "--warnings", "off", "--no-color"),
        cwd=folder,
        env=os.environ | more,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    printed, _ = await process.communicate()
    output = printed.decode()
    assert process.returncode == 0, output
    return output
