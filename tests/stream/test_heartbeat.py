"""Pings, keep-alives, and those who stopped to read; hours of it, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise

import pytest

from tests.stream.client import Client
from tests.stream.virtual import VirtualLoop, turns
from tests.stream.world import World
from vyomo_rt.stream.heartbeat import Heartbeat
from vyomo_rt.wire.closing import CloseCode
from vyomo_rt.wire.frame import KEEP_ALIVE, Framing

SESSION = 6


class Socket(Client):
    """A client that counts what keeps it alive, and may answer pings."""

    def __init__(self, world: World, framing: Framing, pong_after_s: float | None = 0.05) -> None:
        super().__init__(world, framing)
        self.pinged_at_s: list[float] = []
        self.pong_after_s = pong_after_s

    def got(self, data: bytes) -> None:
        loop = asyncio.get_running_loop()
        if data in KEEP_ALIVE:
            self.pinged_at_s.append(loop.time())
            if self.pong_after_s is not None:
                loop.call_later(self.pong_after_s, self._answer)
        super().got(data)

    def _answer(self) -> None:
        self.peer.awaiting_pong = False


@asynccontextmanager
async def beating(
    *, ping_s: float = 25, pong_s: float = 8, keep_alive_s: float = 15, slow_s: float = 10
) -> AsyncIterator[tuple[World, Heartbeat]]:
    world = World(max_events_behind=20)
    world.add_session(SESSION)
    heart = Heartbeat(
        world.hub,
        world.clock,
        ping_interval_s=ping_s,
        pong_timeout_s=pong_s,
        sse_keep_alive_s=keep_alive_s,
        slow_timeout_s=slow_s,
    )
    world.clock.add("heartbeat", heart.sweep_ms, heart.sweep)
    async with world.running():
        yield world, heart
    assert world.wrongs == []


@pytest.mark.parametrize(("framing", "every_s"), [(Framing.WS, 25), (Framing.SSE, 15)])
async def test_an_idle_connection_gets_a_sign_of_life_every_interval_and_stays(
    framing: Framing, every_s: float
) -> None:
    async with beating() as (world, heart):
        client = Socket(world, framing)
        heart.add(client.peer)
        entered_s = asyncio.get_running_loop().time()
        await asyncio.sleep(3600)
        at_s = [entered_s, *client.pinged_at_s]
        gaps = [later - before for before, later in pairwise(at_s)]
        assert len(gaps) >= 3600 / (every_s + 1) - 1
        assert all(every_s <= gap <= every_s + 1.01 for gap in gaps), gaps
        assert client.closed_with is None


async def test_a_client_that_does_not_answer_a_ping_in_time_is_closed() -> None:
    async with beating() as (world, heart):
        dead, slow = Socket(world, Framing.WS, None), Socket(world, Framing.WS, 7.9)
        heart.add(dead.peer)
        heart.add(slow.peer)
        await asyncio.sleep(25 + 1 + 8 + 1)
        assert dead.closed_with == CloseCode.NO_PONG
        await asyncio.sleep(600)
        assert slow.closed_with is None


async def test_an_sse_client_that_cannot_answer_is_not_closed_for_it() -> None:
    async with beating() as (world, heart):
        client = Socket(world, Framing.SSE, None)
        heart.add(client.peer)
        await asyncio.sleep(600)
        assert client.closed_with is None


async def test_no_pong_is_expected_of_a_client_that_still_has_to_read_the_ping() -> None:
    async with beating(slow_s=1000) as (world, heart):
        client = Socket(world, Framing.WS, None)
        heart.add(client.peer)
        await asyncio.sleep(26)
        assert client.pinged_at_s
        world.hub.delivery.pause(client.peer)
        await asyncio.sleep(60)
        assert client.closed_with is None
        assert len(client.pinged_at_s) == 1, "and none is sent while it does not read"
        world.hub.delivery.resume(client.peer)
        client.pong_after_s = 0.1
        await asyncio.sleep(60)
        assert client.closed_with is None
        assert len(client.pinged_at_s) > 1


async def test_a_client_whose_socket_takes_nothing_for_ten_seconds_is_closed_and_no_other() -> None:
    async with beating() as (world, _):
        stuck, other = Socket(world, Framing.WS), Socket(world, Framing.SSE)
        await stuck.ask("subscribe_session", sessionId=SESSION, updateInterval=100)
        stuck.wire.room = 0
        await world.wait(9000)
        assert stuck.peer.paused
        assert [stuck.closed_with, other.closed_with] == [None, None]
        await world.wait(2500)
        assert [stuck.closed_with, other.closed_with] == [CloseCode.SLOW, None]
        assert stuck.peer not in world.hub.peers


async def test_a_client_that_reads_slowly_but_reads_is_not_closed() -> None:
    async with beating() as (world, _):
        client = Socket(world, Framing.WS)
        await client.ask("subscribe_session", sessionId=SESSION, updateInterval=100)
        client.wire.room = 0
        for _ in range(20):
            await world.wait(5000)
            if client.wire.buffered:
                client.wire.take(1)
        assert client.closed_with is None


async def test_a_paused_client_too_many_events_behind_is_closed_although_it_reads() -> None:
    async with beating() as (world, _):
        client = Socket(world, Framing.SSE)
        over_ws = Socket(world, Framing.WS)
        await over_ws.ask("subscribe_session", sessionId=SESSION)
        over_ws.wire.room = 0
        for number in range(23):
            world.open_trade(SESSION)
            over_ws.wire.take(1)
            await world.wait(100 if number < 21 else 1100)
        assert over_ws.closed_with == CloseCode.SLOW
        assert client.closed_with is None


async def test_after_the_whole_machine_slept_nobody_is_closed_and_signs_of_life_go_on() -> None:
    """Not even who was to answer a ping, or had to read, when it fell asleep."""
    async with beating() as (world, heart):
        awaited, stuck = Socket(world, Framing.WS, 5.0), Socket(world, Framing.WS)
        others = [Socket(world, framing) for framing in Framing for _ in range(10)]
        for client in (awaited, stuck, *others):
            heart.add(client.peer)
        await stuck.ask("subscribe_session", sessionId=SESSION, updateInterval=100)
        stuck.wire.room = 0
        await world.wait(5000)
        stuck.wire.take(1)
        await asyncio.sleep(21)
        assert awaited.peer.awaiting_pong
        signs = sum(len(client.pinged_at_s) for client in others)
        stuck.closed_with = None

        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        loop.now_s += 600
        awaited.pong_after_s = 0.05
        loop.call_later(1.5, awaited._answer)
        await turns(20)
        assert sum(len(client.pinged_at_s) for client in others) == signs, "no burst"
        await asyncio.sleep(60)
        assert {client.closed_with for client in (awaited, *others)} == {None}
        assert sum(len(client.pinged_at_s) for client in others) > signs


@pytest.mark.parametrize("before_the_clock_ticks", [True, False])
async def test_a_stream_that_opens_right_after_a_standstill_delays_nobodys_signs_of_life(
    *, before_the_clock_ticks: bool
) -> None:
    """Also if it opens before anything has noticed that time has passed."""
    async with beating() as (world, heart):
        others = [Socket(world, framing) for framing in Framing for _ in range(3)]
        for client in others:
            heart.add(client.peer)
        await asyncio.sleep(1)
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        loop.now_s += 600
        if not before_the_clock_ticks:
            await turns(20)
        newcomers = [Socket(world, framing) for framing in Framing]
        for client in newcomers:
            heart.add(client.peer)
        woke_s = loop.time()
        await asyncio.sleep(60)
        for client in (*others, *newcomers):
            every_s = 25 if client.framing is Framing.WS else 15
            assert client.pinged_at_s[0] - woke_s <= every_s + 1.6
            assert len(client.pinged_at_s) >= 60 // (every_s + 1)
            assert client.closed_with is None


async def test_a_client_that_left_is_forgotten() -> None:
    async with beating() as (world, heart):
        clients = [Socket(world, framing, None) for framing in Framing for _ in range(5)]
        for client in clients:
            heart.add(client.peer)
        await world.wait(100)
        for client in clients:
            client.leave()
        await asyncio.sleep(120)
        assert not any(client.pinged_at_s for client in clients)
        assert not any(heart._due.values())
        assert not heart._pongs_due


async def test_a_client_whose_connection_ended_is_forgotten_at_once() -> None:
    async with beating() as (world, heart):
        pinged, other = Socket(world, Framing.WS, None), Socket(world, Framing.SSE)
        for client in (pinged, other):
            heart.add(client.peer)
        await asyncio.sleep(27)
        assert pinged.peer in heart._pongs_due
        for client in (pinged, other):
            client.leave()
            heart.remove(client.peer)
        assert not any(heart._due.values())
        assert not heart._pongs_due


async def test_at_shutdown_each_client_is_told_to_come_back_at_a_time_of_its_own() -> None:
    async with beating() as (world, _):
        clients = [Socket(world, Framing.WS) for _ in range(100)]
        world.hub.delivery.pause(clients[0].peer)
        await turns(1)
        world.hub.shut_down()
        told = [message for client in clients for message in client.take_all()]
        assert len(told) == 99, "a client that does not read cannot be told"
        times = [m["data"]["reconnectAfterMs"] for m in told]
        assert len(set(times)) == len(times)
        assert {client.closed_with for client in clients} == {CloseCode.SHUTDOWN}
        assert not world.hub.peers
