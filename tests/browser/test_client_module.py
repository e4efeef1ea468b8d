"""The browser client by itself: its unit tests run in Node.js."""

from __future__ import annotations

import subprocess
from pathlib import Path

TESTS = Path(__file__).parents[1] / "js"


def test_the_client_module_passes_its_own_tests(node: str) -> None:
    files = sorted(str(path) for path in TESTS.glob("*.test.mjs"))
    assert files
    done = subprocess.run(
        [node, "--test", *files], capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
