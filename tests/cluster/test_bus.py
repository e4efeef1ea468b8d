"""What nodes ask each other over NATS."""

from __future__ import annotations

import asyncio
from secrets import token_hex

import pytest

from tests.kit.waiting import until
from vyomo_rt.bus.link import Bus, NotSent

MEGABYTES = b"".join(b"row %d of many," % number for number in range(200_000))


async def answer(kind: str, message: bytes) -> bytes:
    return MEGABYTES if kind == "much" else message


async def test_an_answer_may_be_larger_than_what_nats_takes_and_nobody_is_told_at_once(
    nats_url: str,
) -> None:
    name = token_hex(4)
    here, there = (
        Bus(nats_url, name, hear=lambda *_: None, answer=answer, on_gap=lambda: None)
        for _ in range(2)
    )
    running = [asyncio.create_task(bus.run()) for bus in (here, there)]
    await until(lambda: here.is_connected and there.is_connected)
    await there.listen_as("there")
    await there.flush()
    assert len(MEGABYTES) > 3_000_000
    assert await here.ask("there", "much", b"", 5) == MEGABYTES
    assert await here.ask("there", "echo", b"z as it is", 5) == b"z as it is"
    with pytest.raises(NotSent):
        await here.ask("nobody", "echo", b"", 5)
    for task in running:
        task.cancel()
    await asyncio.wait(running)


async def test_what_is_said_is_heard_in_order_and_what_nats_does_not_take_breaks_nothing(
    nats_url: str,
) -> None:
    name = token_hex(4)
    heard: list[tuple[str, bytes]] = []
    here = Bus(nats_url, name, hear=lambda *_: None, answer=answer, on_gap=lambda: None)
    there = Bus(
        nats_url, name, hear=lambda *it: heard.append(it), answer=answer, on_gap=lambda: None
    )
    running = [asyncio.create_task(bus.run()) for bus in (here, there)]
    await until(lambda: here.is_connected and there.is_connected)
    await there.flush()
    said = [(f"about.{number}", b"PUB \r\n%d" % number) for number in range(100)]
    here.say("too much", MEGABYTES)
    for about, message in said:
        here.say(about, message)
    await until(lambda: len(heard) >= len(said))
    assert heard == said
    for task in running:
        task.cancel()
    await asyncio.wait(running)
