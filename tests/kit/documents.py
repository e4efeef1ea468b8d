"""The fenced blocks of the documents."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]


PROTOCOL = ROOT / "docs" / "protocol.md"


README = ROOT / "README.md"


class Block(NamedTuple):
    """A fenced block: its language, the mark after it, its text."""

    language: str
    mark: str
    text: str


class Step(NamedTuple):
    """A command, and lines that it prints, in this order."""

    command: str
    printed: list[str]


def blocks(document: Path, language: str | None = None, mark: str | None = None) -> list[Block]:
    found = re.findall(r"^```(\w*) *(\S*)\n(.*?)^```$", document.read_text(), re.M | re.S)
    return [
        block
        for block in (Block(*parts) for parts in found)
        if language in (None, block.language) and mark in (None, block.mark)
    ]


def steps(document: Path, mark: str) -> list[Step]:
    """The commands of all blocks with a mark, in order."""
    found: list[Step] = []
    for block in blocks(document, "console", mark):
        for line in filter(None, block.text.splitlines()):
            if line.startswith("$ "):
                found.append(Step(line.removeprefix("$ "), []))
            else:
                found[-1].printed.append(line)
    return found
