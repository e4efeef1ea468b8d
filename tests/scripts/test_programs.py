"""The programs of scripts/ are thin: what they do is in the package beside them."""

from __future__ import annotations

from pathlib import Path

SCRIPTS = Path(__file__).parents[2] / "scripts"


def test_programs_are_thin_and_the_files_of_their_package_are_short() -> None:
    programs = list(SCRIPTS.glob("*.py"))
    assert {program.stem for program in programs} >= {"bench", "load_test", "soak"}
    for path in programs:
        assert len(path.read_text().splitlines()) <= 60, path
    for path in SCRIPTS.rglob("lab/**/*.py"):
        assert len(path.read_text().splitlines()) < 400, path
