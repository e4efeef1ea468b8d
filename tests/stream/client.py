"""Clients of the hub on fake sockets."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Awaitable
from typing import Any

from tests.kit.messages import Message, read_events, read_frames
from tests.stream.view import View
from tests.stream.world import World
from vyomo_rt.domain.errors import VyomoError
from vyomo_rt.domain.grant import Grant
from vyomo_rt.stream.peer import Peer
from vyomo_rt.wire.commands import SubscribePrices, SubscribeSession, WatchSessions
from vyomo_rt.wire.frame import Framing

RETRY_MS = 3000


class Wire:
    """A socket that takes as much as a test lets it.

    ``eager`` pauses its writer inside the write that does not fit, as asyncio's
    transport does; otherwise it does so a turn of the loop later, as uvloop's.
    """

    def __init__(self, client: Client, *, eager: bool) -> None:
        self.room: int | None = None
        self.paused = False
        self.buffered = 0
        self.settled = False
        self._client = client
        self._eager = eager
        self._pausing = False

    def write(self, data: bytes) -> None:
        client = self._client
        if client.peer.closed:
            client.wrong("something was written after the end")
        if self.paused and self.settled and not client.answering:
            client.wrong(f"{len(data)} bytes were written while the socket takes nothing")
        taken = len(data) if self.room is None else min(self.room, len(data))
        if self.room is not None:
            self.room -= taken
        self.buffered += len(data) - taken
        client.got(data)
        if self.buffered and not self.paused and not self._pausing:
            if self._eager:
                self._pause()
            else:
                self._pausing = True
                asyncio.get_running_loop().call_soon(self._pause)

    def take(self, room: int | None) -> None:
        """The client reads: so many bytes, or all that will ever come."""
        self.room = room
        taken = self.buffered if room is None else min(room, self.buffered)
        self.buffered -= taken
        if self.room is not None:
            self.room -= taken
        if self.paused and not self.buffered:
            self.paused = False
            self._client.resume()

    def _pause(self) -> None:
        self._pausing = False
        if self.buffered:
            self.paused, self.settled = True, False
            # What is being written in this very moment may go on until it is done.
            asyncio.get_running_loop().call_soon(self._settle)
            self._client.world.hub.delivery.pause(self._client.peer)

    def _settle(self) -> None:
        self.settled = self.paused


class WirePeer(Peer):
    """The server's end of a client's wire."""

    def __init__(self, client: Client) -> None:
        super().__init__(
            f"{id(client):x}",
            client.framing,
            Grant.EVERYTHING,
            client.world.hub.traffic,
            client.wire.write,
        )
        self._client = client

    def close(self, code: int, _reason: str) -> None:
        self._client.on_close(code)

    def buffered_bytes(self) -> int:
        return self._client.wire.buffered


class Client:
    """A connection, what it got, and a model of what it may get next."""

    def __init__(self, world: World, framing: Framing = Framing.WS, *, eager: bool = True) -> None:
        self.world = world
        self.framing = framing
        self.wire = Wire(self, eager=eager)
        self.peer = WirePeer(self)
        self.received: list[Message] = []
        self.delivered = 0
        self.closed_with: int | None = None
        self.view = View(self)
        self._inbox: deque[dict[str, Any]] = deque()
        self._pending: asyncio.Future[bool] | None = None
        self._sent = 0
        world.hub.enter(self.peer)

    # -- asking ------------------------------------------------------------------

    def send(self, type_: str, **fields: Any) -> int:
        """Send a command, which waits its turn as in a connection; returns its id."""
        self._sent += 1
        self._inbox.append({"type": type_, "id": self._sent} | fields)
        self._run_inbox()
        return self._sent

    async def ask(self, type_: str, **fields: Any) -> dict[str, Any]:
        """Send a command and return its answer."""
        id_ = self.send(type_, **fields)
        for _ in range(1000):
            for message in self.received:
                if message.json.get("id") == id_:
                    return message.json
            await asyncio.sleep(0)
        raise AssertionError(f"no answer to {fields}")

    async def open_stream(
        self,
        session: SubscribeSession | None,
        prices: SubscribePrices | None = None,
        watch: WatchSessions | None = None,
    ) -> bool:
        """What the SSE endpoint does with a query; False if the store or the client is away."""
        commands, hub = self.world.commands, self.world.hub
        if session is None:
            self.view.asked({"type": "open", "since": None, "epoch": None})
            commands.open_stream(self.peer, None, prices, RETRY_MS, watch)
            return True
        with hub.topics.using(session.session_id) as topic:
            try:
                await hub.subscriptions.load(session, topic)
            except VyomoError:
                return False
            if self.closed:
                return False
            self.view.asked({"type": "open", "since": session.since, "epoch": session.epoch})
            commands.open_stream(self.peer, (session, topic), prices, RETRY_MS, watch)
            return True

    def leave(self) -> None:
        """The connection is lost."""
        self.world.hub.leave(self.peer)

    def resume(self) -> None:
        self.world.hub.delivery.resume(self.peer)
        self._run_inbox()

    def _run_inbox(self) -> None:
        while self._inbox and self._pending is None and not self.peer.paused and not self.closed:
            command = self._inbox.popleft()
            self.view.asked(command)
            outcome = self.world.commands.receive(self.peer, json.dumps(command))
            if isinstance(outcome, Awaitable):
                self._pending = asyncio.ensure_future(outcome)
                self._pending.add_done_callback(self._pending_done)

    def _pending_done(self, pending: asyncio.Future[bool]) -> None:
        self._pending = None
        pending.result()
        self._run_inbox()

    # -- getting -----------------------------------------------------------------

    @property
    def answering(self) -> bool:
        """Whether a command is still being carried out: its one answer may come at any time."""
        return self._pending is not None

    @property
    def closed(self) -> bool:
        return self.peer.closed

    def got(self, data: bytes) -> None:
        read = read_frames if self.framing is Framing.WS else read_events
        for message in read(data):
            name = "server_error" if message.type == "error" else message.type
            self.world.delivered[name, self.framing] += 1
            self.delivered += 1
            self.received.append(message)
            self.view.check(message)

    def take_all(self) -> list[dict[str, Any]]:
        """What has come since the last call."""
        found = [message.json for message in self.received]
        self.received.clear()
        return found

    def types(self) -> list[str]:
        """The types of what has come since the last call."""
        return [message["type"] for message in self.take_all()]

    def wrong(self, why: str) -> None:
        self.world.wrongs.append(f"{self.framing.name} {why}")

    def on_close(self, code: int) -> None:
        self.closed_with = code
        self.world.hub.leave(self.peer)
