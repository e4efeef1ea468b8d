"""Calls for the tests of REST, and a clock in their hands."""

from __future__ import annotations

import json
from collections.abc import Callable
from io import BytesIO
from typing import Any

from tests.kit.rest import API, Rest
from vyomo_rt.domain.grant import Grant

As = Callable[[Grant], None]
"""Lets requests come with a grant."""

BEGIN_MS = 1_795_341_600_123
BEGIN = "2026-11-22T10:00:00.123Z"
TRADE_MEMBERS = {
    *("tradeId", "sessionId", "symbol", "side", "quantity", "entryPrice", "stopLoss", "target"),
    *("status", "timestamp", "exitPrice", "pnl", "pnlPercent", "exitReason"),
    *("trailingStop", "trailingStep", "trailFrom", "breakevenAt", "exitDetail", "stale"),
    *("closedQuantity", "parts", "openedQuantity", "realizedPnL", "reason", "tags", "note"),
    *("orderId", "openedAt", "closedAt", "charges", "netPnl", "chargeItems"),
}
ORDER = {"symbol": "NIFTY", "quantity": 10, "entryPrice": 100}


class Clock:
    """The server's clock, in the hands of the test."""

    now_ms = BEGIN_MS

    def __call__(self) -> int:
        return self.now_ms


async def refused(rest: Rest, expected: int, method: str, path: str, body: Any = None) -> Any:
    """The problem that answers a call, which must have the given status."""
    status, problem = await rest.call(method, path, body)
    assert status == expected, problem
    assert problem["status"] == expected
    assert {"type", "title", "status", "detail", "code"} <= problem.keys()
    return problem


async def raw(
    rest: Rest, method: str, path: str, body: bytes | str | BytesIO = b"", **headers: str
) -> tuple[int, dict[str, str], Any]:
    """Status, headers and JSON of a call with exactly this body."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    async with rest.http.request(
        method, f"{rest.url}{API}{path}", data=body, headers=named
    ) as response:
        return response.status, dict(response.headers), json.loads(await response.read())


def tick(**fields: Any) -> dict[str, Any]:
    return {"symbol": "NIFTY", "price": 100} | fields
