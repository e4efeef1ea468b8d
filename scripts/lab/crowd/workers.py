"""Swarms in processes of their own.

`Workers` spreads a plan over processes. Each of them runs this module as a program: it takes a
plan and then commands as lines on standard input, reports its progress as lines of JSON on
standard output, and ends when its input does.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from lab.cli import open_all_files
from lab.crowd.counting import Figures, Progress
from lab.crowd.plan import Plan
from lab.crowd.swarm import Swarm

_TELL_EVERY_S = 0.5
_SCRIPTS = Path(__file__).parents[2]
"""From where Python finds this package."""
_LONGEST_LINE_BYTES = 1 << 28


class WorkerDied(Exception):
    """A load process ended before it had reported."""


class Workers:
    """A plan carried out by processes, each with its share of the clients and of the pace.

    With ``cores``, each process is kept on one of them, in turn.
    """

    def __init__(self, plan: Plan, processes: int, cores: list[int] | None = None) -> None:
        self._plans = shares(plan, processes)
        self._cores = cores
        self._workers: list[_Worker] = []

    async def __aenter__(self) -> Self:
        for number, plan in enumerate(self._plans):
            worker = _Worker()
            self._workers.append(worker)
            core = self._cores[number % len(self._cores)] if self._cores else None
            await worker.start(plan, core)
        return self

    async def __aexit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _: TracebackType | None,
    ) -> None:
        await asyncio.gather(*(worker.stop() for worker in self._workers))

    @property
    def pids(self) -> list[int]:
        """The numbers of the processes."""
        return [worker.pid for worker in self._workers]

    @property
    def progress(self) -> Progress:
        """How far all of them are together. Raises WorkerDied."""
        for worker in self._workers:
            if worker.figures.done():
                worker.figures.result()
        each = [worker.progress for worker in self._workers]
        return Progress(
            started=sum(progress.started for progress in each),
            failed=sum(progress.failed for progress in each),
            dropped=sum(progress.dropped for progress in each),
            messages=sum(progress.messages for progress in each),
            ramped=all(progress.ramped for progress in each),
        )

    def measure(self) -> None:
        """Begin the window in which rates and delays count."""
        for worker in self._workers:
            worker.tell("measure")

    def rest(self) -> None:
        """End the window."""
        for worker in self._workers:
            worker.tell("rest")

    async def finish(self, newest_seq: int) -> list[Figures]:
        """Drop all clients once they have seen the session's newest event, or had time to.

        Returns what each process measured. Raises WorkerDied.
        """
        for worker in self._workers:
            worker.tell(f"finish {newest_seq}")
        return [await worker.figures for worker in self._workers]


def shares(plan: Plan, processes: int) -> list[Plan]:
    """A plan for each process; together they are the whole."""
    each = []
    for number in range(processes):
        first, end = (plan.clients * n // processes for n in (number, number + 1))

        def share(whole: int, first: int = first, end: int = end) -> int:
            return end * whole // plan.clients - first * whole // plan.clients

        each.append(
            msgspec.structs.replace(
                plan,
                clients=end - first,
                sse_clients=share(plan.sse_clients),
                stalled=share(plan.stalled),
                connects_per_s=plan.connects_per_s / processes,
            )
        )
    return each


class _Worker:
    """One load process, as its parent sees it."""

    def __init__(self) -> None:
        self.progress = Progress()
        self.figures: asyncio.Future[Figures] = asyncio.get_running_loop().create_future()

    @property
    def pid(self) -> int:
        return self._process.pid

    async def start(self, plan: Plan, core: int | None) -> None:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "lab.crowd.workers"),
            *([] if core is None else [str(core)]),
            cwd=_SCRIPTS,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=_LONGEST_LINE_BYTES,
            start_new_session=True,  # a Ctrl-C is for the parent, which still wants the figures
        )
        self._listening = asyncio.create_task(self._listen())
        self.tell(msgspec.json.encode(plan).decode())

    def tell(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line.encode() + b"\n")

    async def stop(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._process.wait()
        await self._listening
        if not self.figures.cancelled():
            self.figures.exception()  # nobody may have asked for it after an interruption

    async def _listen(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            told = msgspec.json.decode(line, type=Progress | Figures)
            if isinstance(told, Progress):
                self.progress = told
            else:
                self.figures.set_result(told)
        if not self.figures.done():
            code = await self._process.wait()
            self.figures.set_exception(WorkerDied(f"a load process ended with code {code}"))


async def _work() -> None:
    """Be a load process."""
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(lines), sys.stdin
    )
    swarm = Swarm(msgspec.json.decode(await lines.readline(), type=Plan))
    ramping = asyncio.create_task(swarm.ramp())

    def tell_progress(_: object = None) -> None:
        _tell(
            Progress(
                started=len(swarm.watchers),
                failed=swarm.failed.total(),
                dropped=swarm.dropped.total(),
                messages=swarm.tally.messages,
                ramped=ramping.done(),
            )
        )

    ramping.add_done_callback(tell_progress)  # at once: somebody may be measuring the ramp
    while True:
        try:
            async with asyncio.timeout(_TELL_EVERY_S):
                command = (await lines.readline()).split()
        except TimeoutError:
            pass
        else:
            if command == [b"measure"]:
                swarm.measure()
            elif command == [b"rest"]:
                swarm.rest()
            else:
                break
        if ramping.done():
            ramping.result()
        tell_progress()
    ramping.remove_done_callback(tell_progress)
    ramping.cancel()
    if command:
        _tell(await swarm.finish(int(command[1])))


def _tell(message: Progress | Figures) -> None:
    print(msgspec.json.encode(message).decode(), flush=True)


def main() -> None:
    """Run as a load process, on one core if its number is given."""
    if len(sys.argv) > 1:
        os.sched_setaffinity(0, {int(sys.argv[1])})
    open_all_files()
    try:
        import uvloop  # noqa: PLC0415 (not on every platform, and only needed here)
    except ImportError:
        asyncio.run(_work())
    else:
        uvloop.run(_work())


if __name__ == "__main__":
    main()
