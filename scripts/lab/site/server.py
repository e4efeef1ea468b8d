"""A server to measure, in its own process and with its own data."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from lab.site.machine import pin

OBSERVED = str(Path(__file__).with_name("observed.py"))
"""A server that can be told to collect its garbage."""
_SKEWED = str(Path(__file__).with_name("skewed.py"))
"""A server on a machine whose clock is wrong."""
_LISTENING = re.compile(r"listening on (http://\S+)")
_PROBLEM = re.compile(r"^\S+Z (?:WARNING|ERROR|CRITICAL) ")
_ANSWER_S = 30.0
_STOP_S = 10.0


Server = TypeVar("Server", bound="ServerUnderTest")


class ServerFailed(Exception):
    """The server could not be started; the text says why."""


def own_environ() -> dict[str, str]:
    """The environment without settings that are meant for another server."""
    return {name: value for name, value in os.environ.items() if not name.startswith("VYOMO_RT_")}


class ServerUnderTest:
    """``vyomo-rt serve`` in its own process, whose clock may be wrong by some seconds.

    It sees no ``VYOMO_RT_…`` variable except those given here: a load test must not write into
    the database that the environment names.
    """

    PROGRAM: tuple[str, ...] = ("-m", "vyomo_rt")
    """What Python runs."""

    def __init__(self, data_dir: Path, *flags: str, clock_off: str = "", **variables: str) -> None:
        program = (_SKEWED, clock_off) if clock_off else self.PROGRAM
        self._command = [
            sys.executable, *program, "serve",
            "--port", "0", "--data-dir", str(data_dir), *flags,
        ]  # fmt: skip
        self._environ = own_environ() | variables
        self._log_file = data_dir / "server.log"
        self._process: asyncio.subprocess.Process | None = None
        self.url = ""

    @property
    def pid(self) -> int | None:
        """The number of its process, once there is one."""
        return self._process.pid if self._process else None

    async def start(self) -> str:
        """Start it and return the address that it prints. Raises ServerFailed."""
        self._log_file.parent.mkdir(parents=True, exist_ok=True)
        with self._log_file.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                env=self._environ,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                start_new_session=True,  # a Ctrl-C is not for the server
            )
        if listening := await self._said(_LISTENING):
            self.url = listening[1]
            return self.url
        await self.stop()
        said = self._log_file.read_text(errors="replace").strip()
        raise ServerFailed(f"the server did not start: {said[-2000:] or 'it said nothing'}")

    async def ask(self, signal_: signal.Signals, answer: re.Pattern[str]) -> re.Match[str]:
        """Send a signal and return what the server then prints. Raises ServerFailed."""
        assert self._process is not None
        with suppress(ProcessLookupError):
            self._process.send_signal(signal_)
        if said := await self._said(answer):
            return said
        raise ServerFailed(f"the server does not answer {signal_.name}")

    async def _said(self, wanted: re.Pattern[str]) -> re.Match[str] | None:
        """The next matching line on its standard output; None if none comes."""
        assert self._process is not None
        assert self._process.stdout is not None
        with suppress(TimeoutError):
            async with asyncio.timeout(_ANSWER_S):
                async for line in self._process.stdout:
                    if found := wanted.search(line.decode()):
                        return found
        return None

    async def stop(self, signal_: int = signal.SIGTERM) -> int:
        """Send a signal and return the exit code; kill a server that does not end. Idempotent."""
        if self._process is None:
            return 0
        with suppress(ProcessLookupError):
            self._process.send_signal(signal_)
        try:
            return await asyncio.wait_for(self._process.wait(), _STOP_S)
        except TimeoutError:
            self._process.kill()
            return await self._process.wait()

    @property
    def problems(self) -> list[str]:
        """The lines of its log that are warnings or worse."""
        lines = self._log_file.read_text(errors="replace").splitlines()
        return [line for line in lines if _PROBLEM.match(line)]


@asynccontextmanager
async def on_first_core(
    kind: type[Server], connections: int, feed: str = "sim", **variables: str
) -> AsyncIterator[tuple[Server, list[int]]]:
    """A server with room for connections at any pace, alone on the first core; by default its
    prices are simulated.

    Yields it with the cores for the load, on which this process is meanwhile too; with one
    core only, or where that cannot be had, there are none. Raises ServerFailed.
    """
    settings = room_for(connections) | variables
    with tempfile.TemporaryDirectory(prefix="vyomo-load-") as folder, off_first_core() as cores:
        own = kind(Path(folder), "--feed", feed, **settings)
        try:
            await own.start()
            if cores and own.pid:
                pin(own.pid, cores[0])
            yield own, cores[1:]
        finally:
            await own.stop()


def room_for(connections: int) -> dict[str, str]:
    """The settings of a server that takes so many connections, at any pace."""
    return {
        "VYOMO_RT_MAX_CONNECTIONS": str(max(10_000, connections + 1)),
        "VYOMO_RT_ACCEPTS_PER_S": "1000000",
    }


@contextmanager
def off_first_core() -> Iterator[list[int]]:
    """Keep this process, and all that it starts, off the first of the cores that it yields.

    None, with one core only or where that cannot be had.
    """
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    if len(cores) < 2:
        yield []
        return
    os.sched_setaffinity(0, cores[1:])
    try:
        yield cores
    finally:
        os.sched_setaffinity(0, cores)
