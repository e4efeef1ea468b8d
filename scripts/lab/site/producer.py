"""A program that pushes ticks over ``/ws/ingest``, for a benchmark, until its input ends.

Run with the server's address, the ticks a second (0: as many as it takes), the ticks a frame and
the number of symbols; and, if it is to stay on one, a core.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import aiohttp
import msgspec

_SCRIPTS = Path(__file__).parents[2]
_FRAMES = 40
_UNANSWERED = 4
"""Frames that may be on the way: enough that the server never waits for this program."""
_TS = b"1111111111111"
"""Stands for the moment of each tick until it is sent."""


class ProducerFailed(Exception):
    """It ended by itself: the server refused ticks, or is gone."""


@asynccontextmanager
async def pushing(
    url: str, ticks_per_s: int, frame_ticks: int, symbols: int, core: int | None
) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process that pushes; it runs once it has said so. Raises ProducerFailed."""
    words = [url, ticks_per_s, frame_ticks, symbols, *([] if core is None else [core])]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "lab.site.producer", *map(str, words)),
        cwd=_SCRIPTS,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,  # a Ctrl-C is not for it
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        if not await process.stdout.readline():
            raise ProducerFailed("the producer of ticks did not get a frame accepted")
        yield process
    finally:
        process.stdin.close()
        await process.wait()


def _frame(number: int, frame_ticks: int, symbols: int) -> bytes:
    """Prices of one symbol after the other, each within some percent of its first."""
    first = number * frame_ticks
    ticks = [
        {
            "symbol": f"S{n % symbols}",
            "price": round(100 + n % symbols + 5 * ((n * 7919) % 101) / 101, 2),
            "ts": int(_TS),
        }
        for n in range(first, first + frame_ticks)
    ]
    return msgspec.json.encode({"ticks": ticks, "id": number})


async def _push(url: str, ticks_per_s: int, frame_ticks: int, symbols: int) -> None:
    frames = [_frame(number, frame_ticks, symbols) for number in range(_FRAMES)]
    pause_s = frame_ticks / ticks_per_s if ticks_per_s else 0.0
    room = asyncio.Semaphore(_UNANSWERED)
    async with aiohttp.ClientSession() as http, http.ws_connect(f"{url}/ws/ingest") as ws:

        async def send() -> None:
            due_s, number = time.monotonic(), 0
            while True:
                await room.acquire()
                await asyncio.sleep(max(0.0, due_s - time.monotonic()))
                # What could not be sent in time is not sent later, in a burst.
                due_s = max(due_s + pause_s, time.monotonic() - 1)
                now = b"%d" % (time.time_ns() // 1_000_000)
                text = frames[number % _FRAMES].replace(_TS, now)
                await ws.send_frame(text, aiohttp.WSMsgType.TEXT)
                number += 1

        sending = asyncio.create_task(send())
        told = False
        async for message in ws:
            answer = msgspec.json.decode(message.data)
            if answer["type"] != "ack" or answer["result"]["rejected"]:
                sys.exit(f"ticks were refused: {message.data[:300]}")
            room.release()
            if not told:
                told = True
                print("pushing", flush=True)
        sending.cancel()


async def _main() -> None:
    url, *numbers = sys.argv[1:5]
    pushing_ = asyncio.create_task(_push(url, *map(int, numbers)))
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(lines), sys.stdin
    )
    ended = asyncio.create_task(lines.read())
    await asyncio.wait({pushing_, ended}, return_when=asyncio.FIRST_COMPLETED)
    for task in (pushing_, ended):
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


if __name__ == "__main__":
    if len(sys.argv) > 5:
        os.sched_setaffinity(0, {int(sys.argv[5])})
    asyncio.run(_main())
