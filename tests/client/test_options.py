"""What `connect` takes, and how it says that something makes no sense."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import vyomo_rt_client
from vyomo_rt import client
from vyomo_rt_client import Position, connect

URL = "http://localhost:4025"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "session_id, symbols or watch_sessions is required"),
        ({"symbols": []}, "session_id, symbols or watch_sessions is required"),
        ({"symbols": "NIFTY"}, r"symbols is a list of names: write \['NIFTY'\]"),
        ({"session_id": 6, "types": "pnl_update"}, "types is a list of names"),
        ({"session_id": 6, "types": []}, "types: name at least one"),
        ({"session_id": 6, "transport": "websocket"}, "transport is auto, ws or sse"),
        ({"symbols": ["A"], "since": 3}, "since needs a session_id"),
        ({"session_id": 6, "since": "41"}, "a position looks like 6-41-.*, not like '41'"),
        ({"session_id": 6, "since": "7-41-ab"}, "7-41-ab is not a position of session 6"),
        ({"session_id": 6, "since": Position(7, 41)}, "7-41 is not a position of session 6"),
    ],
)
def test_options_that_make_no_sense_are_named_at_once(
    options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        connect(URL, **options)


@pytest.mark.parametrize("url", ["localhost:4025", "ftp://localhost", "http://", "/x", ""])
def test_an_address_that_is_none_is_refused_with_an_example(url: str) -> None:
    with pytest.raises(ValueError, match="url: expected an address like http://localhost:4025"):
        connect(url, session_id=6)


@given(st.integers(1), st.integers(0), st.none() | st.text("0123456789abcdef-", min_size=1))
def test_a_position_survives_being_written_down(
    session_id: int, seq: int, epoch: str | None
) -> None:
    position = Position(session_id, seq, epoch)
    assert Position.parse(f"{position}\n") == position


def test_importing_the_client_loads_nothing_of_the_server() -> None:
    program = (
        "import sys, vyomo_rt_client; "
        "print(*[m for m in sys.modules if m.startswith(('vyomo_rt', 'motor', 'msgspec'))])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert {name.split(".")[0] for name in done.stdout.split()} == {"vyomo_rt_client"}


def test_the_package_of_the_server_has_the_same_client() -> None:
    assert client.__all__ == vyomo_rt_client.__all__
    for name in client.__all__:
        assert getattr(client, name) is getattr(vyomo_rt_client, name)
