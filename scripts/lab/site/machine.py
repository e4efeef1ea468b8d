"""This machine, and what processes use of it. What only Linux reports is None elsewhere."""

from __future__ import annotations

import os
import platform
import resource
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from msgspec import Struct

SATURATED_PERCENT = 90.0
"""Of a core: a process that uses more is late because of itself."""
DISTURBED_PERCENT = 5.0
"""Of the time: a process that waits longer for a core is disturbed by other programs."""
_FILES_KEPT_FREE = 64
_NICE = 10
_PORT_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")


class Usage(Struct, frozen=True):
    """What a process has used of the machine."""

    cpu_s: float
    """Of the existing threads; the time of those that have ended is lost."""
    waited_s: float
    """How long its main thread could have run, but other programs had the core."""
    memory_bytes: int
    """Resident: without the kernel's buffers of its sockets."""


def usage(pid: int) -> Usage | None:
    """What a process has used so far; None if that cannot be known here."""
    process = Path(f"/proc/{pid}")
    try:
        pages = int((process / "statm").read_text().split()[1])
        waited_ns = int((process / "schedstat").read_text().split()[1])
    except OSError:
        return None
    # Thread by thread, in ns: the process's own sum is kept in steps of 10 ms.
    cpu_ns = 0
    for thread in process.glob("task/*/schedstat"):
        with suppress(OSError):  # it has ended meanwhile
            cpu_ns += int(thread.read_text().split()[0])
    return Usage(
        cpu_s=cpu_ns / 1e9,
        waited_s=waited_ns / 1e9,
        memory_bytes=pages * resource.getpagesize(),
    )


def lack_of_room(connections: int, files: int) -> str | None:
    """Why so many connections to one server, or files of a process, are impossible."""
    _, limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    files += _FILES_KEPT_FREE
    if limit != resource.RLIM_INFINITY and files > limit:
        return (
            f"a process here may open {limit} files, {files} are needed; "
            "raise it (ulimit -Hn, as root), or use fewer connections"
        )
    if _PORT_RANGE.exists():
        low, high = map(int, _PORT_RANGE.read_text().split())
        if connections > high - low:
            return (
                f"at most {high - low} connections can go from here to one server; "
                "use fewer, or widen the sysctl net.ipv4.ip_local_port_range"
            )
    return None


def listening_pid(port: int) -> int | None:
    """The process on this machine that listens on a TCP port; None if it cannot be seen."""
    inodes = set()
    for table in ("tcp", "tcp6"):
        with suppress(OSError):
            for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
                fields = line.split()
                is_listening = fields[3] == "0A"
                if is_listening and int(fields[1].rpartition(":")[2], 16) == port:
                    inodes.add(f"socket:[{fields[9]}]")
    if not inodes:
        return None
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # of somebody else, or gone meanwhile
            if any(str(file.readlink()) in inodes for file in (process / "fd").iterdir()):
                return int(process.name)
    return None


def process_name(pid: int) -> str:
    """A process for a reader: ``1234 (nginx)``."""
    try:
        return f"{pid} ({Path(f'/proc/{pid}/comm').read_text().strip()})"
    except OSError:
        return str(pid)


def children_of(pid: int | None) -> list[int]:
    """The processes that a process has started."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def pin(pid: int, core: int) -> None:
    """Keep all threads of a process on one core."""
    for thread in Path(f"/proc/{pid}/task").iterdir():
        with suppress(ProcessLookupError):
            os.sched_setaffinity(int(thread.name), {core})


def put_first(pid: int, rank: int) -> bool:
    """Let a process run before all other programs, the higher rank first; False if not allowed.

    Without that, what is measured in milliseconds is mostly what else the machine does.
    """
    try:
        for thread in Path(f"/proc/{pid}/task").iterdir():
            with suppress(ProcessLookupError):
                os.sched_setscheduler(int(thread.name), os.SCHED_FIFO, os.sched_param(rank))
    except (OSError, AttributeError):
        return False
    return True


def put_last(pid: int) -> None:
    """Let a process run behind other programs.

    Linux may apply niceness only within a session, and weigh the session as a whole.
    """
    os.setpriority(os.PRIO_PROCESS, pid, _NICE)
    with suppress(OSError):
        Path(f"/proc/{pid}/autogroup").write_text(str(_NICE))


def describe() -> dict[str, str | int]:
    """What the figures were measured on."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        cpu = names[0].partition(": ")[2] if names else cpu
    return {
        "cpu": cpu,
        "cores": os.cpu_count() or 0,
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        **{name: _version(name) for name in ("vyomo-rt", "aiohttp", "uvloop")},
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
