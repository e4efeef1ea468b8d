"""The console's scripts use each other, the client module and the browser as these are."""

from __future__ import annotations

import subprocess
from pathlib import Path

JS = Path(__file__).parents[2] / "js"


def test_the_types_in_the_comments_are_right(node: str, node_modules: Path) -> None:
    compiler = node_modules / "typescript" / "bin" / "tsc"
    done = subprocess.run(
        [node, compiler, "-p", JS / "tsconfig.console.json"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_each_script_is_checked_and_small_enough_to_read_in_one_sitting() -> None:
    scripts = (JS.parents[1] / "static" / "console").glob("*.js")
    for text in [path.read_text() for path in scripts]:
        assert text.startswith("// @ts-check\n")
        assert len(text.splitlines()) < 200
