"""Real servers for tests, in this process or as one of their own."""

from __future__ import annotations

import asyncio
import os
import re
import signal
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from tests.kit.forking import PROGRAM, TRUSTS_NOBODY
from tests.kit.rest import Rest
from tests.kit.waiting import until
from vyomo_rt.app.server import running
from vyomo_rt.app.site import application
from vyomo_rt.config import Settings
from vyomo_rt.domain.moment import Clocks
from vyomo_rt.web.listening import bind_sockets
from vyomo_rt.web.loading import Loading

MakeSettings = Callable[..., Settings]
"""Makes settings, by default on the test's own database; another name is another database."""
MakeServer = Callable[..., "ServerProcess"]
"""Makes a server process, given its flags and perhaps its port."""
_LISTENING = re.compile(r"listening on (http://\S+)")
START_S = 60.0
"""For a process to start, or to say why it does not: on a busy machine that takes long."""


@asynccontextmanager
async def serve_here(
    settings: Settings, now: Callable[[], int] | None = None, **more: Any
) -> AsyncIterator[Rest]:
    """A server in this process and loop; ``now`` sets both its clocks."""
    if now is not None:
        more["clocks"] = Clocks.live(now)
    sockets = bind_sockets(settings.host, settings.port)
    port = sockets[0].getsockname()[1]
    try:
        async with running(settings, sockets, **more), aiohttp.ClientSession() as http:
            yield Rest(f"http://127.0.0.1:{port}", http)
    finally:
        for sock in sockets:
            sock.close()


async def routed_calls(settings: Settings) -> set[tuple[str, str]]:
    """The method and path of every call that a server answers."""
    async with running(settings, bind_sockets(settings.host, settings.port)) as rooms:
        return {
            (route.method, route.resource.canonical)
            for route in application(rooms, Loading()).router.routes()
            if route.resource is not None and route.method != "HEAD"
        }


class ServerProcess:
    """``vyomo-rt serve`` as a process of its own, to be killed and started again.

    Another ``command`` may be set before it is started.
    """

    def __init__(
        self,
        data_dir: Path,
        *flags: str,
        port: int = 0,
        program: Sequence[str] = PROGRAM,
        **variables: str,
    ) -> None:
        self.command = [
            *program, "serve",
            "--port", str(port), "--data-dir", str(data_dir), *flags,
        ]  # fmt: skip
        self.variables = variables
        self.output: list[str] = []
        self.url = ""

    async def start(self) -> str:
        """Start and return the address that it prints."""
        self.process = await asyncio.create_subprocess_exec(
            *self.command,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env={**os.environ, **TRUSTS_NOBODY, **self.variables},
        )
        assert self.process.stdout is not None
        async with asyncio.timeout(START_S):
            async for line in self.process.stdout:
                self.output.append(line.decode())
                if match := _LISTENING.search(self.output[-1]):
                    self.url = match[1]
                    self._reader = asyncio.create_task(self._read_on())
                    return self.url
        raise AssertionError("".join(self.output))

    async def _read_on(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            self.output.append(line.decode())

    async def logged(self, words: str) -> str:
        """The first line with these words. A thread writes the log, maybe after the address."""
        line: str = await until(lambda: next((o for o in self.output if words in o), None))
        return line

    async def stop(self, signal_: int = signal.SIGTERM) -> int:
        """Send a signal and return the exit code."""
        if self.process.returncode is None:
            self.process.send_signal(signal_)
        code = await self.process.wait()
        if self.url:
            await self._reader
        return code

    async def kill(self) -> None:
        await self.stop(signal.SIGKILL)


@asynccontextmanager
async def server_processes(data_dir: Path, *common: str) -> AsyncIterator[MakeServer]:
    """Makes server processes, all on the same data; what still runs is killed at the end.

    ``common`` are flags of each.
    """
    made: list[ServerProcess] = []

    def make(*flags: str, **more: Any) -> ServerProcess:
        made.append(ServerProcess(data_dir, *common, *flags, **more))
        return made[-1]

    try:
        yield make
    finally:
        for process in made:
            if hasattr(process, "process"):
                await process.kill()
