"""What a program gets of a server that is there: the same over both transports, and exact."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from dataclasses import replace
from decimal import Decimal
from typing import Any

import aiohttp
import pytest

from tests.client.rig import take
from tests.kit.rest import Rest
from tests.kit.server import MakeSettings, serve_here
from tests.kit.waiting import until
from vyomo_rt_client import Message, Position, connect
from vyomo_rt_client.stream import Choice

pytestmark = pytest.mark.asyncio(loop_scope="session")
MOVES = ("session_update", "pnl_update", "trade_opened", "trade_closed", "price_update")
"""All but ``feed_status``, which comes when the feed's state changes."""
TRANSPORTS: tuple[Choice, ...] = ("ws", "sse")


def timeless(message: Message) -> Message:
    return replace(message, data={k: v for k, v in message.data.items() if k != "timestamp"})


async def test_both_transports_deliver_the_same_messages(server: Rest) -> None:
    session_id = await server.new_session()
    await server.tick("BANKNIFTY", 195.5)
    await server.tick("NIFTY", 22150)
    options: dict[str, Any] = {
        "session_id": session_id,
        "symbols": ["nifty", "BANKNIFTY"],
        "update_interval_ms": 60_000,
        "price_interval_ms": 60_000,
    }
    received: dict[str, list[Message]] = {"ws": [], "sse": []}
    async with (
        connect(server.url, transport="ws", **options) as ws,
        connect(server.url, transport="sse", **options) as sse,
    ):
        streams = {"ws": ws, "sse": sse}
        for transport, stream in streams.items():
            received[transport] += [await take(stream, *MOVES) for _ in range(3)]
        trade = await server.open_trade(session_id)
        await server.close_trade(trade["tradeId"], 196.3)
        for transport, stream in streams.items():
            received[transport] += [await take(stream, *MOVES) for _ in range(4)]
        assert (ws.transport, sse.transport) == ("ws", "sse")
        assert (
            ws.position == sse.position == Position(session_id, 2, ws.position and ws.position[2])
        )

    def shown(messages: list[Message]) -> list[str]:
        return [repr(timeless(message)) for message in messages]

    assert sorted(shown(received["ws"][:3])) == sorted(shown(received["sse"][:3]))
    assert shown(received["ws"][3:]) == shown(received["sse"][3:])
    assert Counter(message.type for message in received["ws"]) == {
        "session_update": 3,
        "price_update": 2,
        "trade_opened": 1,
        "trade_closed": 1,
    }


async def test_money_is_exact_and_decimal_and_the_rest_is_int(
    server: Rest, transport: Choice
) -> None:
    session_id = await server.new_session()
    await server.tick("USDINR", 83.4025)
    await server.tick("SBIN", 100)
    async with connect(
        server.url, session_id=session_id, symbols=["USDINR", "SBIN"], transport=transport
    ) as stream:
        update = await take(stream, "session_update")
        assert repr(update.data["currentCapital"]) == "Decimal('50000')"
        assert repr(update.data["totalTrades"]) == "0"
        prices = [await take(stream, "price_update") for _ in range(2)]
        assert sorted(repr(price.data["price"]) for price in prices) == [
            "Decimal('100')",
            "Decimal('83.4025')",
        ]
        trade = await server.open_trade(session_id, quantity=3, entryPrice=0.1)
        opened = await take(stream, "trade_opened")
        assert repr(opened.data["entryPrice"]) == "Decimal('0.1')"
        assert opened.data["stopLoss"] is None
        assert (opened.data["tradeId"], opened.data["quantity"]) == (trade["tradeId"], 3)
        assert opened.data["entryPrice"] * opened.data["quantity"] == Decimal("0.3")


async def test_only_the_types_and_the_changes_that_were_asked_for_come(
    server: Rest, transport: Choice
) -> None:
    session_id = await server.new_session()
    await server.tick("TCS", 100)
    async with connect(
        server.url,
        session_id=session_id,
        symbols=["TCS"],
        types=["trade_closed"],
        price_interval_ms=100,
        only_changes=True,
        transport=transport,
    ) as stream:
        assert (await take(stream, *MOVES)).data["price"] == 100
        trade = await server.open_trade(session_id)
        await server.tick("TCS", 101)
        assert (await take(stream, *MOVES)).data["price"] == 101
        await server.close_trade(trade["tradeId"], 196)
        await server.tick("TCS", 102)
        rest = [await take(stream, *MOVES) for _ in range(2)]
        assert {message.type for message in rest} == {"trade_closed", "price_update"}


@pytest.mark.parametrize("path", ["", "/", "/ws/auto-trader", "/sse/sessions/6?since=1#x"])
async def test_an_address_may_be_that_of_an_endpoint(server: Rest, path: str) -> None:
    for scheme in ("http", "ws"):
        url = f"{scheme}{server.url.removeprefix('http')}{path}"
        session_id = await server.new_session()
        async with connect(url, session_id=session_id) as stream:
            assert (await anext(stream)).data["sessionId"] == session_id


async def test_unknown_symbols_are_told_and_the_others_come(
    make_settings: MakeSettings, caplog: pytest.LogCaptureFixture
) -> None:
    settings = make_settings(feed=("sim",))
    async with (
        serve_here(settings) as rest,
        connect(rest.url, symbols=["NIFTY", "NIFTI"]) as stream,
    ):
        assert (await take(stream, "price_update")).data["symbol"] == "NIFTY"
    assert "does not know these symbols: NIFTI" in caplog.text


async def test_a_cancelled_wait_loses_no_message(server: Rest, transport: Choice) -> None:
    """A program may wait for the next message with a time limit, again and again."""
    session_id = await server.new_session()
    numbers: list[int | None] = []
    async with connect(
        server.url, session_id=session_id, types=["trade_opened"], transport=transport
    ) as stream:

        async def trade() -> None:
            await until(lambda: stream.status.state == "open")
            for _ in range(20):
                await server.open_trade(session_id)
                await asyncio.sleep(0.005)  # longer than a wait

        trading = asyncio.create_task(trade())
        waits = 0
        while len(numbers) < 20:
            waits += 1
            try:
                async with asyncio.timeout(0.001 if stream.status.state == "open" else 5):
                    message = await anext(stream)
            except TimeoutError:
                # Open by now, or nothing came; the first wait ends with the first message.
                continue
            if message.type != "feed_status":  # which comes as long as nobody has pushed a price
                numbers.append(message.seq)
        await trading
    assert numbers == [*range(1, 21)]
    assert waits > 20


async def test_a_shared_session_stays_open(server: Rest) -> None:
    session_id = await server.new_session()
    async with aiohttp.ClientSession() as http:
        for transport in TRANSPORTS:
            async with connect(
                server.url, session_id=session_id, session=http, transport=transport
            ) as stream:
                await anext(stream)
        assert not http.closed
        assert http.connector is not None
        await until(lambda: not http.connector._acquired)  # type: ignore[union-attr]


async def test_a_message_has_the_text_that_the_server_wrote(
    server: Rest, transport: Choice
) -> None:
    session_id = await server.new_session()
    async with connect(server.url, session_id=session_id, transport=transport) as stream:
        message = await take(stream, "session_update")
    assert json.loads(message.text) == json.loads(
        json.dumps({"type": message.type, "data": message.data, "seq": message.seq}, default=int)
    )
    assert '"currentCapital":50000,' in message.text
