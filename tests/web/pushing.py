"""What the tests of ``/ws/ingest`` push, and how."""

from __future__ import annotations

import json
from typing import Any

from tests.kit.streams import WebSocket
from tests.web.calls import tick

PATH = "/ws/ingest"
MIB = 1024 * 1024


def ticks(*symbols: str, price: float = 100) -> list[dict[str, Any]]:
    return [tick(symbol=symbol, price=price) for symbol in symbols]


async def push(ws: WebSocket, rows: list[Any], id_: str | int = 1) -> dict[str, Any]:
    """Push a frame with an id, and return its answer."""
    await ws.ws.send_str(json.dumps({"ticks": rows, "id": id_}))
    return await ws.next()
