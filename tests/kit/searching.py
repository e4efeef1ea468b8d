"""Searches of hypothesis: a few examples each time, and for a while when asked for."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis.strategies import SearchStrategy

_LONG_S = float(os.environ.get("VYOMO_RT_TEST_FUZZ_S", "10"))
_FEW, _MANY = 20, 500

searched = pytest.mark.parametrize(
    "for_s",
    [
        pytest.param(0.0, id="a few"),
        pytest.param(
            _LONG_S,
            id="for a while",
            marks=[pytest.mark.slow(_LONG_S), pytest.mark.timeout(int(_LONG_S) + 300)],
        ),
    ],
)
"""A test that calls ``search`` with its ``for_s``."""


def search(
    check: Callable[..., None], *strategies: SearchStrategy[Any], for_s: float = 0.0
) -> None:
    """Call ``check`` with examples of the strategies until the time is up.

    The seeds are 0, 1, 2 …, so that two searches of a length begin alike.
    """
    until_s = time.monotonic() + for_s
    number = 0
    while number == 0 or time.monotonic() < until_s:
        limits = settings(
            max_examples=_MANY if for_s else _FEW,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        limits(seed(number)(given(*strategies)(check)))()
        number += 1
