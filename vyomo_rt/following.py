"""Records a running server's prices from its stream: ``vyomo-rt record``."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from vyomo_rt.clockwork import wall_now
from vyomo_rt.domain.errors import CannotStart
from vyomo_rt.domain.moment import to_ms
from vyomo_rt.ending import end
from vyomo_rt.recording.files import RecordFile
from vyomo_rt.recording.recorder import Recorder
from vyomo_rt.wire.record import RecordHeader
from vyomo_rt_client import Api, ApiError, Refused, Status, connect

_INTERVAL_MS = 100
"""The shortest that there is: of several prices of a symbol in it, the stream has the last."""

_LOOK_EVERY_S = 5.0
_ANSWER_S = 2.0
_SYMBOLS_A_STREAM = 500


async def record(url: str, path: Path, token_file: str | None, say: Callable[[str], None]) -> None:
    """Record all prices of a server until a signal to stop. Raises CannotStart."""
    stopping = asyncio.Event()
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(name, stopping.set)
    header = RecordHeader(source=url)
    follower = _Follower(url, _read_token(token_file), header, path, say)
    following = asyncio.create_task(follower.run())
    ending = asyncio.create_task(stopping.wait())
    try:
        await asyncio.wait({following, ending}, return_when=asyncio.FIRST_COMPLETED)
        if following.done():
            following.result()
    except* (Refused, ApiError) as errors:
        raise CannotStart(f"{url}: {errors.exceptions[0]}") from errors
    finally:
        await end(following)
        await asyncio.to_thread(follower.recorder.close)
    say(f"{follower.count} prices recorded in {path}")


def _read_token(path: str | None) -> str | None:
    if path is None:
        return None
    try:
        return Path(path).read_text().strip()
    except OSError as error:
        raise CannotStart(f"--token-file: {path!r} cannot be read: {error.strerror}") from error


async def _symbols(api: Api) -> set[str]:
    return {price["symbol"] for price in await api.list_prices()}


class _Follower:
    def __init__(
        self,
        url: str,
        token: str | None,
        header: RecordHeader,
        path: Path,
        say: Callable[[str], None],
    ) -> None:
        self.count = 0
        self._url = url
        self._token = token
        self._say = say
        self._seen: dict[str, tuple[Decimal, str]] = {}
        """The last price of each symbol, and its moment."""
        self.recorder = Recorder(RecordFile(path, header), wall_now())
        self.recorder.start()

    async def run(self) -> None:
        """Follow all symbols that the server has a price of, also those that come later."""
        followed: set[str] = set()
        api = Api(self._url, token=self._token, timeout_s=_ANSWER_S)
        async with asyncio.TaskGroup() as streams, api:
            known = await _symbols(api)
            while True:
                new = sorted(known - followed)
                for first in range(0, len(new), _SYMBOLS_A_STREAM):
                    part = new[first : first + _SYMBOLS_A_STREAM]
                    streams.create_task(self._follow(part))
                    self._say(f"recording {', '.join(part)}")
                followed |= known
                await asyncio.sleep(_LOOK_EVERY_S)
                with suppress(ApiError):  # the streams say if the server is away
                    known = await _symbols(api)

    async def _follow(self, symbols: list[str]) -> None:
        stream = connect(
            self._url,
            symbols=symbols,
            price_interval_ms=_INTERVAL_MS,
            only_changes=True,
            token=self._token,
            on_status=self._tell,
        )
        async with stream:
            async for message in stream:
                if message.type == "price_update":
                    self._take(message.data)

    def _tell(self, status: Status) -> None:
        if status.state == "waiting":
            self._say(str(status))

    def _take(self, price: dict[str, Any]) -> None:
        """Record a price unless it was told before; the first may be an old one."""
        symbol, told = price["symbol"], (price["price"], price["asOf"])
        before = self._seen.get(symbol)
        self._seen[symbol] = told
        if told == before or (before is None and price["stale"]):
            return
        self.count += 1
        as_of_ms = to_ms(datetime.fromisoformat(price["asOf"]))
        self.recorder.take_tick(symbol, int(price["price"].scaleb(4)), as_of_ms, wall_now())
