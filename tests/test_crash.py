"""``kill -9`` of the server and of its store in the middle of writes: nothing told is lost."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from functools import partial
from statistics import median

import aiohttp

from lab.site.machine import children_of
from tests.kit.machine import is_running
from tests.kit.rest import Rest
from tests.kit.server import MakeServer
from tests.kit.waiting import PATIENCE_S, until
from tests.kit.writers import Writer, assert_told_once, everybody_writes, raw_history

WRITERS = 4
ROUNDS = ("store", "server", "store and server", "server", "store")
MOST_START_S = 5.0
"""For most of the starts: less than a lease lasts. A busy machine may delay any one of them."""


class Crashes:
    """One server after the other on the same data and port, and all processes there were."""

    def __init__(self, make: MakeServer) -> None:
        self._make = make
        self.server = make()
        self.pids: set[int] = set()
        self.start_s: list[float] = []

    async def start(self, port: int = 0) -> None:
        began = time.monotonic()
        self.server = self._make(port=port)
        await self.server.start()
        self.start_s.append(time.monotonic() - began)
        self.pids |= {self.server.process.pid, *children_of(self.server.process.pid)}

    async def kill(self, what: str) -> None:
        pid, port = self.server.process.pid, int(self.server.url.rpartition(":")[2])
        (child,) = children_of(pid)
        self.pids.add(child)
        if "store" in what:
            os.kill(child, signal.SIGKILL)
        if "server" in what:
            await self.server.kill()
            await self.start(port)
        else:
            await until(lambda: set(children_of(pid)) - {child})
            self.pids |= set(children_of(pid))


async def test_whatever_is_killed_nothing_acknowledged_is_lost_and_nothing_happens_twice(
    server_process: MakeServer,
) -> None:
    crashes = Crashes(server_process)
    await crashes.start()
    done = asyncio.Event()
    async with aiohttp.ClientSession() as http:
        rest = Rest(crashes.server.url, http)
        sessions = [await rest.new_session() for _ in range(2)]
        writers = [Writer(n, rest, sessions[n % 2], done) for n in range(WRITERS)]
        writing = [asyncio.create_task(writer.run()) for writer in writers]
        replayed: list[list[bytes]] = []
        for what in ROUNDS:
            await everybody_writes(writers)
            replayed.append(await raw_history(rest, sessions[0]))
            await crashes.kill(what)
        done.set()
        async with asyncio.timeout(PATIENCE_S):
            await asyncio.gather(*writing)

        histories = {session_id: await raw_history(rest, session_id) for session_id in sessions}
        for earlier in replayed:
            assert histories[sessions[0]][: len(earlier)] == earlier, "the same bytes for ever"
        for session_id in sessions:
            await assert_told_once(rest, session_id, histories[session_id], writers)
        for earlier_writer in writers:
            assert len(earlier_writer.acknowledged_open) > len(ROUNDS)

        await crashes.kill("server")  # and whatever was left to mend is mended by now
        for session_id in sessions:
            assert await raw_history(rest, session_id) == histories[session_id]
            await assert_told_once(rest, session_id, histories[session_id], writers)

    await crashes.server.kill()
    await until(lambda: not any(is_running(pid) for pid in crashes.pids))
    assert len(crashes.pids) >= 2 * len(ROUNDS)
    first_s, *after_crashes_s = crashes.start_s
    assert median(after_crashes_s) < max(MOST_START_S, 2 * first_s), crashes.start_s


async def test_a_kill_switch_goes_on_after_a_kill_of_server_and_store(
    server_process: MakeServer,
) -> None:
    """Halted first: whatever was stored of it is a prefix, and what the halt began is finished."""
    crashes = Crashes(server_process)
    await crashes.start()
    async with aiohttp.ClientSession() as http:
        rest = Rest(crashes.server.url, http)
        sessions = [await rest.new_session() for _ in range(2)]
        for session_id in sessions:
            for _ in range(20):
                await rest.open_trade(session_id)
        await rest.tick("BANKNIFTY", 190)
        for within_s, session_id in zip((0.02, 60), sessions, strict=True):
            killing = asyncio.create_task(rest.call("POST", f"/sessions/{session_id}/close-all"))
            await asyncio.wait([killing], timeout=within_s)
            await crashes.kill("store and server")
            await asyncio.gather(killing, return_exceptions=True)
            await until(lambda: is_ready(rest))
            _, session = await rest.call("GET", f"/sessions/{session_id}")
            if session["status"] == "ACTIVE":
                assert session["openTrades"] == 20
                continue
            assert session["statusReason"] == "KILL"
            # The last price may have been too young to be kept: then they wait for the next one.
            await rest.tick("BANKNIFTY", 189 + within_s)
            await until(partial(has_none_open, rest, session_id))
            history = [json.loads(text) for text in await raw_history(rest, session_id)]
            closed = [event["data"] for event in history if event["type"] == "trade_closed"]
            assert {each["exitDetail"] for each in closed} == {"KILL"}
            assert len({each["tradeId"] for each in closed}) == len(closed) == 20
            kinds = [event["type"] for event in history]
            assert kinds.index("session_changed") < kinds.index("trade_closed")
        assert session["status"] == "HALTED", "the last one was answered"


async def is_ready(rest: Rest) -> bool:
    async with rest.http.get(f"{rest.url}/readyz") as response:
        return response.status == 200


async def has_none_open(rest: Rest, session_id: int) -> bool:
    _, session = await rest.call("GET", f"/sessions/{session_id}")
    return bool(session["openTrades"] == 0)


async def test_a_trip_of_rules_that_kill_9_cuts_off_ends_in_one_halt_and_one_close_of_each(
    server_process: MakeServer,
) -> None:
    """Some halts are stored when it comes, and maybe some closes; the next price does the rest."""
    crashes = Crashes(server_process)
    await crashes.start()
    async with aiohttp.ClientSession() as http:
        rest = Rest(crashes.server.url, http)
        body = {"startingCapital": 50000, "rules": {"maxDailyLoss": 100}}
        answers = [await rest.call("POST", "/sessions", body) for _ in range(10)]
        sessions = [session["sessionId"] for _, session in answers]
        trades = [await rest.open_trade(session_id) for session_id in sessions]
        await rest.tick("BANKNIFTY", 190)
        await crashes.kill("server")
        await rest.tick("BANKNIFTY", 190)
        for session_id, trade in zip(sessions, trades, strict=True):
            await rest.closed(trade["tradeId"])
            _, listed = await rest.call("GET", f"/sessions/{session_id}/events")
            told = [(each["type"], each["data"].get("reason")) for each in listed["events"]]
            assert told == [
                ("session_changed", "MANUAL"),
                ("trade_opened", None),
                ("session_changed", "DAILY_LOSS"),
                ("trade_closed", None),
            ]
