"""The least that this kernel takes: many sockets, and one ``send`` to each every interval.

A server's figures are compared with it, because they depend on the machine and on its load. Run
as a program it is the sender, on the core on which it is started, with a child process that
reads; it measures for a while, prints a line of JSON and ends.
"""

from __future__ import annotations

import asyncio
import os
import resource
import select
import socket
import sys
import time
from itertools import cycle

import msgspec
from msgspec import Struct

_WARM_UP_S = 0.5
_CONNECT_S = 10.0
_SLOT_MS = 100
_GULP_S = 0.01
"""The reader does not wait for data, or each send would pay for waking it."""
_LARGEST_READ_BYTES = 1 << 18


class Floor(Struct, rename="camel"):
    """What sending alone took."""

    sends: int
    cpu_s: float
    window_s: float


class FloorFailed(Exception):
    """It could not be measured; the text says why."""


async def send_only(
    sockets: int, size_bytes: int, interval_ms: int, duration_s: float, cores: list[int]
) -> Floor:
    """Sends of so many bytes to so many sockets; an interval of 0 leaves no pause.

    The sender is kept on the first core, the reader on the others. Raises FloorFailed.
    """
    numbers = (sockets, size_bytes, interval_ms, duration_s, *cores)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, __file__, *map(str, numbers)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,  # a Ctrl-C is not for it
    )
    try:
        told, said = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        raise FloorFailed(f"the floor could not be measured: {said.decode()[-500:].strip()}")
    return msgspec.json.decode(told, type=Floor)


def _read(address: tuple[str, int], count: int) -> None:
    """Connect, and drain all sockets until their other end is gone."""
    clients = [socket.create_connection(address) for _ in range(count)]
    buffer = bytearray(_LARGEST_READ_BYTES)
    epoll = select.epoll()
    for client in clients:
        epoll.register(client.fileno(), select.EPOLLIN)
    receive = {client.fileno(): client.recv_into for client in clients}
    while count:
        time.sleep(_GULP_S)
        while ready := epoll.poll(0):
            for number, _ in ready:
                try:
                    size = receive[number](buffer)
                except ConnectionError:
                    size = 0
                if not size:
                    epoll.unregister(number)
                    count -= 1


class _Sender:
    """Writes the same bytes to all sockets once an interval, in slots as a server does."""

    def __init__(self, peers: list[socket.socket], size_bytes: int, interval_ms: int) -> None:
        sends = [peer.send for peer in peers]
        slots = max(1, interval_ms // _SLOT_MS)
        self._slots = cycle([sends[slot::slots] for slot in range(slots)])
        self._pause_s = _SLOT_MS / 1000 if interval_ms else 0.0
        self._data = bytes(size_bytes)

    def run(self, for_s: float) -> Floor:
        """Send for a while; all is counted from the first byte on."""
        sends, cpu_s, begun_s = 0, time.thread_time(), time.monotonic()
        due_s = begun_s
        while (now_s := time.monotonic()) < begun_s + for_s:
            if due_s > now_s:
                time.sleep(due_s - now_s)
            due_s += self._pause_s
            data = self._data
            slot = next(self._slots)
            for send in slot:
                send(data)
            sends += len(slot)
        return Floor(sends, time.thread_time() - cpu_s, time.monotonic() - begun_s)


def main() -> None:
    """Measure with the numbers on the command line, and print a `Floor`."""
    count, size_bytes, interval_ms = map(int, sys.argv[1:4])
    duration_s, cores = float(sys.argv[4]), [int(core) for core in sys.argv[5:]]
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with socket.create_server(("127.0.0.1", 0), backlog=4096) as listening:
        if not os.fork():
            if cores[1:]:
                os.sched_setaffinity(0, cores[1:])
            _read(listening.getsockname(), count)
            return
        if cores:
            os.sched_setaffinity(0, cores[:1])
        listening.settimeout(_CONNECT_S)  # the reader may have died
        peers = [listening.accept()[0] for _ in range(count)]
    for peer in peers:
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sender = _Sender(peers, size_bytes, interval_ms)
    sender.run(_WARM_UP_S)
    print(msgspec.json.encode(sender.run(duration_s)).decode())


if __name__ == "__main__":
    main()
