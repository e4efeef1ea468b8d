"""Whether quiet connections stay open."""

from __future__ import annotations

import asyncio
import math
import time

import aiohttp

from vyomo_rt.doctor.advice import LONG_LIVED, directive
from vyomo_rt.doctor.report import Finding, skipped, well, wrong
from vyomo_rt.doctor.server import ANSWER_WITHIN_S, Refused, Server
from vyomo_rt.doctor.streams import Stream

_QUIET_MS = 60_000


async def idle(server: Server) -> list[Finding]:
    """Hold a quiet WebSocket and a quiet SSE stream for a while, if asked to."""
    seconds = server.options.idle_s
    if not seconds:
        hint = "not tested: `--idle 70` holds quiet connections for 70 s; some proxies cut them"
        return [skipped(hint)] if server.proxy else []
    quiet: dict[str, Stream] = {}
    try:
        quiet["SSE"] = await server.open_events(
            {"symbols": server.symbol, "priceInterval": _QUIET_MS}
        )
        quiet["the WebSocket"] = socket = await server.open_websocket()
        await socket.ask(
            "subscribe_prices", ANSWER_WITHIN_S, symbols=[server.symbol], priceInterval=_QUIET_MS
        )
    except (Refused, aiohttp.ClientError, OSError, TimeoutError) as error:
        return [wrong(f"cannot be tried: {error}")]
    opened = time.monotonic()
    while (left_s := opened + seconds - time.monotonic()) > 0 and any(
        stream.end is None for stream in quiet.values()
    ):
        server.tell(f"idle: holding quiet connections for another {math.ceil(left_s)} s")
        await asyncio.sleep(min(left_s, 1.0))
    cut = [
        wrong(
            f"{name} is {stream.end} after {stream.lasted_s:.1f} s with little traffic, so clients "
            f"have to reconnect over and over; {directive(server.proxy, LONG_LIVED)}"
        )
        for name, stream in quiet.items()
        if stream.end is not None
    ]
    return cut or [well(f"quiet connections stay open for {seconds:g} s")]
