"""What is in a record."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from vyomo_rt.recording.reading import LineReader


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for block in LineReader(path) for line in block.splitlines()]


def prices(path: Path) -> list[float]:
    return [line["price"] for line in lines(path) if "price" in line]
