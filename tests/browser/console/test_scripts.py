"""The console's scripts without a page: their sizes, and what Node.js can run of them."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

JS = Path(__file__).parents[2] / "js"
STATIC = JS.parents[1] / "static"


def test_the_scripts_pass_their_own_tests(node: str) -> None:
    files = sorted((JS / "console").glob("*.test.mjs"))
    assert files
    done = subprocess.run(
        [node, "--test", *files], capture_output=True, text=True, timeout=110, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_script_is_checked_and_small_enough_to_read_in_one_sitting() -> None:
    for text in [path.read_text() for path in (STATIC / "console").glob("*.js")]:
        assert text.startswith("// @ts-check\n")
        assert len(text.splitlines()) < 250


def test_lines_have_a_hundred_characters_and_names_end_in_their_unit() -> None:
    for path in [*STATIC.rglob("*.js"), *JS.glob("*.mjs"), *JS.glob("console/*.mjs")]:
        text = path.read_text()
        assert max(map(len, text.splitlines())) <= 100, path  # biome leaves texts as they are
        assert not re.findall(r"[a-z]_m?s\b", text), path  # intervalMs
