"""What the machine has: programs, processes."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import NoReturn

import pytest


def missing(reason: str) -> NoReturn:
    """End a test that lacks something of the machine: skipped here, failed in CI."""
    (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)


def program(*names: str) -> str:
    """The path of the first program that is installed; without one the test ends."""
    found = next(filter(None, map(shutil.which, names)), None)
    return found or missing(f"{names[0]} is not installed")


def children_of(pid: int) -> list[int]:
    """The processes that a server started: the one of its embedded store."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
