"""A connection to NATS that is always being kept, and never relied on."""

from __future__ import annotations

import asyncio
import logging
import zlib
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from vyomo_rt.domain.errors import CannotStart

if TYPE_CHECKING:
    from nats.aio.msg import Msg
    from nats.aio.subscription import Subscription

    from vyomo_rt.bus.connecting import SafeClient

log = logging.getLogger(__name__)

_FLUSH_S = _LAST_S = 0.2
_PACKED_BYTES = 64 * 1024
_ON_ITS_WAY_S, _LOOK_S = 0.05, 0.001
_WAITING = 10_000
"""Messages that wait to be handled: more are dropped, which counts as a gap."""

Hear = Callable[[str, bytes], None]
"""Takes what came: what it is about, and the message."""
Answer = Callable[[str, bytes], Coroutine[Any, Any, bytes]]
"""Answers a question of a kind."""


class NotSent(Exception):
    """A request certainly reached nobody."""


class NoAnswer(Exception):
    """A request may have been carried out: its answer did not come in time."""


class Bus:
    """Says things to all other nodes, and asks single ones.

    ``on_gap`` is called when something that was said may have been missed. Without a connection
    everything is dropped, so that nobody hears old news later. The address of NATS, which may hold
    a password, is in no line of the log.
    """

    def __init__(
        self,
        url: str,
        name: str,
        *,
        credentials: Path | None = None,
        ca: Path | None = None,
        hear: Hear,
        answer: Answer,
        on_gap: Callable[[], None],
    ) -> None:
        self._connecting = connecting = _load()
        self._options: dict[str, Any] = connecting.options(url, credentials, ca)
        self._requires_tls = connecting.requires_tls(url, ca)
        self._told: set[str] = set()
        """Why NATS could not be used since it last could, as far as that was logged."""
        self._all = f"vyomo-rt.{name}.all"
        self._one = f"vyomo-rt.{name}.node"
        self._hear = hear
        self._answer = answer
        self._on_gap = on_gap
        self._nats: SafeClient | None = None
        self._node = ""
        self._own: Subscription | None = None
        self._is_closed = asyncio.Event()
        self._answering: set[asyncio.Task[None]] = set()
        self._flushing: asyncio.Task[None] | None = None
        self._time_s = asyncio.get_running_loop().time
        self._found_s = 0.0
        self.dropped = 0
        """Messages that came and could not be handled in time."""

    @property
    def is_connected(self) -> bool:
        return self._nats is not None and self._nats.is_connected

    @property
    def connected_s(self) -> float:
        """For how long it has been connected."""
        return self._time_s() - self._found_s if self.is_connected else 0.0

    def say(self, about: str, message: bytes) -> None:
        """Tell all other nodes, in the order of the calls, before anything else is written."""
        if self._nats is not None:
            with suppress(Exception):  # it is dropped: others find the gap
                self._nats.say(f"{self._all}.{about}", message)

    async def ask(self, node: str, kind: str, message: bytes, within_s: float) -> bytes:
        """The answer of a node to a question of a kind. Raises NotSent or NoAnswer."""
        if self._nats is None or not self._nats.is_connected:
            raise NotSent
        try:
            subject = f"{self._one}.{node}.{kind}"
            answer = await self._nats.request(subject, message, timeout=within_s)
        except self._connecting.NOT_SENT as error:
            raise NotSent from error
        except self._connecting.FAILED as error:
            raise NoAnswer from error
        return _unpacked(answer.data)

    async def listen_as(self, node: str) -> None:
        """Answer what a node of this name is asked."""
        self._node = node
        if not node or self._nats is None or not self._nats.is_connected:
            return
        if self._own is not None:
            with suppress(Exception):
                await self._own.unsubscribe()
        self._own = await self._nats.subscribe(f"{self._one}.{node}.*", cb=self._on_request)

    async def run(self) -> None:
        """Connect, and stay connected, until cancelled."""
        while True:
            try:
                await self._stay_connected()
            except self._connecting.FAILED as error:
                self._tell_trouble(error)
            await asyncio.sleep(self._connecting.pause_s())

    async def _stay_connected(self) -> None:
        """Returns or raises when the driver gives up, as it does when a user is sent away."""
        self._is_closed.clear()
        self._nats = self._connecting.new_client(self._requires_tls)
        try:
            await self._nats.connect(
                error_cb=self._on_error,
                disconnected_cb=self._on_lost,
                reconnected_cb=self._on_found,
                closed_cb=self._on_closed,
                **self._options,
            )
            await self._nats.subscribe(
                f"{self._all}.>", cb=self._on_message, pending_msgs_limit=_WAITING
            )
            await self.listen_as(self._node)
            await self._on_found()
            await self._is_closed.wait()
        finally:
            with suppress(Exception):
                async with asyncio.timeout(_LAST_S):
                    await self._answer_the_last()
            client, self._nats = self._nats, None
            with suppress(Exception):
                async with asyncio.timeout(_LAST_S):
                    await client.close()

    async def _answer_the_last(self) -> None:
        """What has come is answered; who asks from now on is told at once that nobody is here."""
        if self._own is not None and self.is_connected:
            await self._own.drain()  # type: ignore[no-untyped-call]
            if self._answering:
                await asyncio.wait(self._answering)

    async def flush(self) -> None:
        """Wait a moment until what was said is on its way."""
        self._flushing = asyncio.create_task(self._flush())
        # Not cancelled if it is late: the driver takes an answer to that for an error.
        await asyncio.wait([self._flushing], timeout=_FLUSH_S)

    async def _flush(self) -> None:
        with suppress(Exception):
            if self._nats is not None:
                await self._nats.flush()

    async def _on_message(self, message: Msg) -> None:
        about = message.subject[len(self._all) + 1 :]
        try:
            self._hear(about, message.data)
        except Exception:
            log.exception("a message about %s could not be handled", about)

    async def _on_request(self, message: Msg) -> None:
        task = asyncio.create_task(self._reply(message))
        self._answering.add(task)
        task.add_done_callback(self._answering.discard)

    async def _reply(self, message: Msg) -> None:
        try:
            kind = message.subject.rpartition(".")[2]
            answer = await self._answer(kind, message.data)
            if self.is_connected:
                await message.respond(_packed(answer))
        except Exception:
            log.exception("a request of another node could not be answered")

    async def _on_error(self, error: Exception) -> None:
        if type(error).__name__ == "SlowConsumerError":
            self.dropped += 1
            self._on_gap()
        elif not self.is_connected:
            self._tell_trouble(error)
        else:
            log.debug("the bus: %s", error or type(error).__name__)

    def _tell_trouble(self, error: Exception) -> None:
        """Once for each reason, until it is connected again: it is tried for ever."""
        why = self._connecting.reason(error)
        if why not in self._told:
            self._told.add(why)
            log.warning("NATS cannot be used, and is tried again for ever: %s", why)

    async def _on_closed(self) -> None:
        self._is_closed.set()

    async def _on_lost(self) -> None:
        if self._nats is not None:  # else this node ends
            self._nats.options["reconnect_time_wait"] = self._connecting.pause_s()
            log.warning("the bus is away: other nodes are followed by the store")

    async def _on_found(self) -> None:
        self._found_s = self._time_s()
        self._told.clear()
        log.info("the bus is there")
        self._on_gap()


async def comes_by_itself(has_come: Callable[[], bool]) -> bool:
    """Wait a moment for what is on its way to all nodes; whether it came."""
    time_s = asyncio.get_running_loop().time
    until_s = time_s() + _ON_ITS_WAY_S
    while not (came := has_come()) and time_s() < until_s:  # noqa: ASYNC110 - only asking tells
        await asyncio.sleep(_LOOK_S)
    return came


def _packed(answer: bytes) -> bytes:
    """NATS takes a megabyte: ten thousand symbols or streams are more, and compress well."""
    return b"z" + zlib.compress(answer, 1) if len(answer) > _PACKED_BYTES else b" " + answer


def _unpacked(message: bytes) -> bytes:
    return zlib.decompress(message[1:]) if message[:1] == b"z" else message[1:]


def _load() -> ModuleType:
    """Only with several nodes: nats-py is not installed otherwise. Raises CannotStart."""
    try:
        from vyomo_rt.bus import connecting  # noqa: PLC0415
    except ImportError as error:
        raise CannotStart(
            f"VYOMO_RT_NATS_URL: several nodes need an extra: pip install 'vyomo-rt[cluster]' "
            f"({error})"
        ) from error
    return connecting
