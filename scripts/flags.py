"""What the flags of scripts have in common: short complaints, numbers within limits."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, without the whole usage before it."""

    def error(self, message: str) -> NoReturn:
        """End with code 2."""
        name = self.prog.removesuffix(".py")
        self.exit(2, f"{name}: {message.removeprefix('argument ')}\n")


def number(kind: type[int] | type[float], low: float, high: float) -> Callable[[str], float]:
    """The ``type=`` of a flag that takes a number within limits."""
    what = "a whole number" if kind is int else "a number"

    def parse(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            value = None
        if value is None or not low <= value <= high:
            raise argparse.ArgumentTypeError(f"must be {what} from {low:g} to {high:g}, not {text}")
        return value

    return parse


def check_json(parser: argparse.ArgumentParser, file: str | None) -> None:
    """Complain now, not after the work, if the report could not be written."""
    if file and file != "-" and not Path(file).absolute().parent.is_dir():
        parser.error(f"--json: there is no folder {Path(file).parent}; make it first")
