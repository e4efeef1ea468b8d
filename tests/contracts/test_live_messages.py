"""All that a server in use sends keeps the contract of the streams."""

from __future__ import annotations

import json
from contextlib import AsyncExitStack

from tests.contracts.contract import Contract, Contracts
from tests.kit.server import MakeSettings, serve_here
from tests.kit.streams import Stream, WebSocket, event_stream, web_socket
from tests.web.calls import Clock
from tests.web.guarded import KEY, bearer, caller


async def test_every_message_of_every_stream_keeps_the_contract(
    contracts: Contracts, away: set[str], make_settings: MakeSettings
) -> None:
    contract = contracts["asyncapi"]
    streams: dict[str, Stream] = {}
    async with AsyncExitStack() as stack:
        async with serve_here(make_settings()) as server:
            session_id = await server.new_session()
            other_id = await server.new_session()
            await server.open_trade(session_id)
            paths = {
                "streamAll": f"/sse/auto-trader?sessionId={session_id}&symbols=NIFTY,BANKNIFTY"
                "&updateInterval=100&priceInterval=100",
                "streamSession": f"/sse/sessions/{session_id}?since=0&updateInterval=100",
                "streamSessions": "/sse/sessions?updateInterval=100",
                "streamPrices": "/sse/prices?symbols=BANKNIFTY&priceInterval=100",
            }
            away.add("events")
            async with event_stream(server.url, paths["streamSession"]) as refused:
                await refused.next("error")
            away.clear()
            for name, path in paths.items():
                streams[name] = await stack.enter_async_context(event_stream(server.url, path))
            ws = await stack.enter_async_context(web_socket(server.url))
            streams["streamWebsocket"] = ws
            await say_everything(ws, session_id)
            await server.tick("BANKNIFTY", 196.3025)
            trade = await server.open_trade(session_id, stopLoss=190, target=200)
            path = f"/trades/{trade['tradeId']}"
            await server.call("PATCH", path, {"trailingStop": 5, "tags": ["a"]})
            await server.call("POST", f"{path}/close", {"quantity": 1})
            await server.close_trade(trade["tradeId"])
            order = {"symbol": "NIFTY", "quantity": 1, "type": "STOP", "price": 5}
            await server.call("POST", f"/sessions/{session_id}/orders", order)
            rules = {"losingStreak": 3, "profitLock": {"armAt": 50, "floor": 20}}
            change = {"status": "PAUSED", "rules": rules, "charges": "NSE_OPTIONS"}
            await server.call("PATCH", f"/sessions/{session_id}", change)
            charged = await server.open_trade(other_id)
            await server.call("PATCH", f"/sessions/{other_id}", {"charges": "NSE_FUTURES"})
            await server.close_trade(charged["tradeId"])
            await ws.send("unwatch_sessions")
            for name in streams.keys() - {"streamPrices", "streamSessions"}:
                await streams[name].next("trade_closed")
                await streams[name].next("session_changed")
                await streams[name].next("order_ended")
                await streams[name].next("pnl_update")
            for name in streams.keys() - {"streamSession", "streamSessions"}:
                await streams[name].next("price_update")
            figures = (await streams["streamSessions"].next("session_update"))["data"]
            while "netTotalPnL" not in figures:
                figures = (await streams["streamSessions"].next("session_update"))["data"]
        for stream in streams.values():
            await stream.next("server_shutdown")
    for name, stream in streams.items():
        assert seen_on(contract, name, stream.texts) == expected_on(contract, name)
    assert seen_on(contract, "streamSession", refused.texts) == {"server_error"}


async def test_all_that_is_said_about_pushed_ticks_keeps_the_contract(
    contracts: Contracts, make_settings: MakeSettings
) -> None:
    contract = contracts["asyncapi"]
    channel = contract.document["channels"]["ingest"]
    messages = channel["messages"]
    taken = {
        "tick": {"symbol": "NIFTY", "price": 1, "ts": None},
        "ticks": {"ticks": [{"symbol": "A", "price": 1.5}, {"symbol": "B", "price": 1}], "id": 1},
    }
    async with (
        serve_here(make_settings()) as server,
        web_socket(server.url, channel["address"]) as ws,
    ):
        for name, message in taken.items():
            text = json.dumps(message)
            contract.check(contract.resolve(messages[name])["payload"], text)
            await ws.ws.send_str(text)
        await ws.next("ack")
        await ws.ws.send_str(json.dumps({"ticks": [{"symbol": "A"}], "id": "x"}))
        await ws.next("ack")
        for text in ("5", '{"ticks":5,"id":1}'):
            await ws.ws.send_str(text)
            await ws.next("error")
    for text in ws.texts:
        name = "ticks_ack" if json.loads(text)["type"] == "ack" else "error"
        contract.check(contract.resolve(messages[name])["payload"], text)
    assert expected_on(contract, "ingest") == {"ticks_ack", "error", "server_shutdown"}


async def say_everything(ws: WebSocket, session_id: int) -> None:
    """Send commands of all kinds, right and wrong ones."""
    await ws.ask("subscribe_session", sessionId=session_id, since=0, updateInterval=100)
    await ws.ask("subscribe_prices", symbols=["BANKNIFTY", "NIFTY"], priceInterval=100)
    await ws.ask("subscribe_session", sessionId=99)
    await ws.ask("unsubscribe_prices", symbols=["NIFTY"])
    await ws.ask("watch_sessions", updateInterval=100)
    await ws.ask("watch_sessions", updateInterval=1)
    await ws.ask("ping")
    await ws.send("ping")
    await ws.ws.send_str("[")


def seen_on(contract: Contract, channel: str, texts: list[str]) -> set[str]:
    """The names of the messages, each of which the channel has and which keep their schemas."""
    messages = contract.document["channels"][channel]["messages"]
    seen = set()
    for text in texts:
        type_ = json.loads(text)["type"]
        name = "server_error" if type_ == "error" and "server_error" in messages else type_
        contract.check(contract.resolve(messages[name])["payload"], text)
        seen.add(name)
    return seen


def expected_on(contract: Contract, channel: str) -> set[str]:
    """What the server sends on a channel; not errors of streams that did begin, nor keep-alives."""
    sent = contract.document["operations"][channel]["messages"]
    names = {reference["$ref"].split("/")[-1] for reference in sent}
    return names - {"server_error", "keep_alive", "token_expiring"}


async def test_a_keep_alive_that_is_an_event_keeps_the_contract(
    contracts: Contracts, make_settings: MakeSettings
) -> None:
    contract = contracts["asyncapi"]
    async with (
        serve_here(make_settings(sse_keep_alive_s=0.05)) as server,
        event_stream(server.url, "/sse/prices?symbols=A&keepAlive=event") as stream,
    ):
        while not stream.blocks or stream.blocks[-1].event != "keep_alive":
            text = await stream.read()
        assert text is not None
        for channel in ("streamAll", "streamSession", "streamSessions", "streamPrices"):
            messages = contract.document["channels"][channel]["messages"]
            contract.check(contract.resolve(messages["keep_alive"])["payload"], text)
        assert "keep_alive" not in contract.document["channels"]["streamWebsocket"]["messages"]


async def test_that_a_token_expires_is_said_on_every_stream_as_the_contract_has_it(
    contracts: Contracts, make_settings: MakeSettings
) -> None:
    clock, contract = Clock(), contracts["asyncapi"]
    async with (
        serve_here(make_settings(auth_key=KEY), now=clock) as server,
        AsyncExitStack() as all_,
    ):
        viewer = bearer(sessions="*")
        session_id = await caller(server).new_session()
        enter = all_.enter_async_context
        streams: dict[str, Stream] = {
            "streamWebsocket": await enter(web_socket(server.url, **viewer)),
            "ingest": await enter(web_socket(server.url, "/ws/ingest", **bearer(role="feed"))),
        }
        for name, path in (
            ("streamAll", "auto-trader?symbols=A"),
            ("streamSession", f"sessions/{session_id}"),
            ("streamSessions", "sessions"),
            ("streamPrices", "prices?symbols=A"),
        ):
            streams[name] = await enter(event_stream(server.url, f"/sse/{path}", **viewer))
        clock.now_ms += 3_590_000
        for name, stream in streams.items():
            message = await stream.next("token_expiring")
            payload = contract.document["channels"][name]["messages"]["token_expiring"]
            contract.check(contract.resolve(payload)["payload"], json.dumps(message))
