"""All that a server in use sends and answers keeps its contracts."""

from __future__ import annotations

import json
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.contracts.contract import Contract, Contracts
from tests.kit.rest import API, Rest
from tests.kit.server import MakeSettings, serve_here
from tests.kit.streams import Stream, WebSocket, event_stream, web_socket
from tests.replay.days import tick, write
from tests.web.calls import BEGIN_MS, Clock
from tests.web.guarded import KEY, bearer, caller, token
from vyomo_rt.domain.errors import Unavailable
from vyomo_rt.store.journal import MongoStore

STREAM_PATHS = ("/ws/auto-trader", "/sse/auto-trader", "/sse/sessions/{sessionId}", "/sse/prices")


@pytest.fixture
def away(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The methods of the store that fail for now; at first none."""
    names: set[str] = set()
    for name in ("events", "append"):
        monkeypatch.setattr(MongoStore, name, unless_away(name, names))
    return names


REPLAY = ("PATCH", f"{API}/replay")
OF_ACCESS = {
    ("POST", f"{API}/tickets"),
    ("POST", f"{API}/sign-in"),
    ("POST", f"{API}/sign-out"),
    ("POST", f"{API}/revocations"),
    ("GET", f"{API}/connections"),
    ("GET", f"{API}/audit"),
    ("POST", f"{API}/connections/{{connectionId}}/kick"),
}
"""Calls that need a key, or are made by who has one."""


def unless_away(name: str, away: set[str]) -> Any:
    method = getattr(MongoStore, name)

    async def call(*arguments: Any) -> Any:
        if name in away:
            raise Unavailable("the store is away")
        return await method(*arguments)

    return call


async def test_every_message_of_every_stream_keeps_the_contract(
    contracts: Contracts, away: set[str], make_settings: MakeSettings
) -> None:
    contract = contracts["asyncapi"]
    streams: dict[str, Stream] = {}
    async with AsyncExitStack() as stack:
        async with serve_here(make_settings()) as server:
            session_id = await server.new_session()
            await server.open_trade(session_id)
            paths = {
                "streamAll": f"/sse/auto-trader?sessionId={session_id}&symbols=NIFTY,BANKNIFTY"
                "&updateInterval=100&priceInterval=100",
                "streamSession": f"/sse/sessions/{session_id}?since=0&updateInterval=100",
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
            await server.call("PATCH", f"/sessions/{session_id}", {"status": "PAUSED"})
            for name in streams.keys() - {"streamPrices"}:
                await streams[name].next("trade_closed")
                await streams[name].next("session_changed")
                await streams[name].next("order_ended")
                await streams[name].next("pnl_update")
            for name in streams.keys() - {"streamSession"}:
                await streams[name].next("price_update")
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
        for channel in ("streamAll", "streamSession", "streamPrices"):
            messages = contract.document["channels"][channel]["messages"]
            contract.check(contract.resolve(messages["keep_alive"])["payload"], text)
        assert "keep_alive" not in contract.document["channels"]["streamWebsocket"]["messages"]


class Witness:
    """Makes REST calls and holds each answer to the contract."""

    def __init__(self, server: Rest, contract: Contract) -> None:
        self._server = server
        self._contract = contract
        self.seen: set[tuple[str, str, int]] = set()

    async def __call__(
        self, method: str, path: str, body: Any = None, **headers: str
    ) -> dict[str, Any]:
        """The JSON of an answer; in the names of headers ``_`` stands for ``-``."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        data = body if body is None or isinstance(body, str) else json.dumps(body)
        async with self._server.http.request(
            method, f"{self._server.url}{path}", data=data, headers=named
        ) as response:
            text = await response.text()
            template, operation = self._contract.operation(method, path.partition("?")[0])
            described = self._contract.resolve(operation["responses"][str(response.status)])
            self.seen.add((method, template, response.status))
            for name in {"Idempotency-Replayed", "Retry-After"} & response.headers.keys():
                assert name in described["headers"]
            if response.status == 204:
                assert "content" not in described
                return {}
            schema = described["content"][response.content_type]["schema"]
            if response.content_type in ("text/plain", "text/csv"):
                return {}
            self._contract.check(schema, text)
            document: dict[str, Any] = json.loads(text)
            return document


async def ask_about_orders(call: Witness) -> None:
    """Each call about pending entries, and the kill switch of a session."""
    made = await call("POST", f"{API}/sessions", {"startingCapital": 5})
    session = f"{API}/sessions/{made['sessionId']}"
    entry = {"symbol": "NIFTY", "quantity": 1, "type": "LIMIT", "price": 5, "trailingStop": 1}
    placed = await call("POST", f"{session}/orders", entry, Idempotency_Key="entry")
    await call("POST", f"{session}/orders", entry | {"price": 6}, Idempotency_Key="entry")
    await call("POST", f"{session}/orders", entry | {"type": "MARKET"})
    await call("POST", f"{session}/orders", entry | {"symbol": "BANKNIFTY", "price": 999})
    for query in ("", "?status=filled&limit=1", "?status=x"):
        await call("GET", f"{session}/orders{query}")
    order = f"{API}/orders/{placed['order']['orderId']}"
    await call("PATCH", order, {"price": 4, "trailingStop": None})
    for _ in range(2):
        await call("DELETE", order)
    await call("PATCH", order, {"price": 5})
    await call("PATCH", f"{API}/orders/999", {"price": 5})
    await call("POST", f"{session}/close-all", {"halt": False})
    await call("POST", f"{session}/trades", {"symbol": "NONE", "quantity": 1, "entryPrice": 5})
    await call("POST", f"{session}/close-all", {"reason": "drill"})
    await call("POST", f"{API}/sessions/99/close-all")
    await call("POST", f"{API}/halt", {"closeall": True})


async def ask_about_the_market(call: Witness) -> None:
    for query in ("", "?symbols=BANKNIFTY,NONE", "?symbols=!"):
        await call("GET", f"{API}/prices{query}")
    for query in ("", "?symbols=NIFTY26DEC24000CE,NONE&q=N", "?symbols=!"):
        await call("GET", f"{API}/instruments{query}")
    await call("GET", f"{API}/market")
    for query in ("symbol=BANKNIFTY&interval=1m", "symbol=BANKNIFTY&interval=1d&from=0"):
        await call("GET", f"{API}/bars?{query}")


async def test_every_answer_keeps_the_contract(
    contracts: Contracts, away: set[str], server: Rest
) -> None:
    call = Witness(server, contracts["openapi"])
    new = {"startingCapital": 50_000.55, "name": None}
    key = {"Idempotency_Key": "one"}
    made = await call("POST", f"{API}/sessions", new, **key)
    await call("POST", f"{API}/sessions", new, **key)
    await call("POST", f"{API}/sessions", {"startingCapital": 1}, **key)
    await call("POST", f"{API}/sessions", {"startingCapital": 1.005})
    session, trades = f"{API}/sessions/{made['sessionId']}", f"{API}/trades"
    order = {"symbol": "BANKNIFTY", "quantity": 50, "side": "SELL", "stopLoss": 200.5}
    await call("POST", f"{session}/trades", order)
    await call("POST", f"{API}/ticks", {"symbol": "BANKNIFTY", "price": 196.3025})
    await call("POST", f"{API}/ticks", [{"symbol": "NIFTY", "price": 0}, "x"])
    await call("POST", f"{API}/ticks", '{"symbol":"TCS","price":1}\n{', Content_Type="a/x-ndjson")
    await call("POST", f"{API}/ticks", "5")
    first = await call("POST", f"{session}/trades", order)
    second = await call("POST", f"{session}/trades", order, **key)
    await call("POST", f"{session}/trades", order, **key)
    await call("POST", f"{session}/trades", order | {"quantity": 0})
    await call("POST", f"{API}/sessions/99/trades", order)
    await call("PATCH", session, {"status": "STOPPED"})
    await call("PATCH", session, {"status": "PAUSED"})
    await call("PATCH", session, {"status": "ON"})
    await call("PATCH", f"{trades}/{first['tradeId']}", {"note": "n", "target": None})
    await call("PATCH", f"{trades}/{first['tradeId']}", {"stopLoss": 1})
    await call("PATCH", f"{trades}/{first['tradeId']}", {"stopLoss": "x"})
    await call("POST", f"{trades}/{first['tradeId']}/close", {"quantity": 1, "price": 195.1})
    for _ in range(2):
        await call("POST", f"{trades}/{first['tradeId']}/close", {"price": 195.1})
    await call("POST", f"{trades}/{second['tradeId']}/close")
    await call("POST", f"{trades}/99/close")
    for id_ in (second["tradeId"], 99, "x"):
        await call("GET", f"{trades}/{id_}")
    for query in ("", "?status=CLOSED&limit=1", "?limit=0"):
        await call("GET", f"{session}/trades{query}")
    for query in ("?side=SELL", "?from=x"):
        await call("GET", f"{session}/trades.csv{query}")
    for query in ("", "?by=tag&net=true", "?by=x"):
        await call("GET", f"{session}/report{query}")
    for query in ("", "?from=2026-11-23", "?to=x"):
        await call("GET", f"{session}/curve{query}")
    for query in ("", "?since=3", "?since=x"):
        await call("GET", f"{session}/events{query}")
    await ask_about_the_market(call)
    await call("GET", f"{API}/me")
    await call("GET", f"{API}/limits")
    for path in (session, f"{API}/sessions", f"{API}/sessions/99", "/livez", "/readyz"):
        await call("GET", path)
    async with web_socket(server.url) as ws:
        ack = await ws.ask("subscribe_prices", symbols=["NIFTY"])
        await call("GET", f"{API}/connections/{ack['connectionId']}")
    await call("GET", f"{API}/connections/none")
    await call("GET", "/metrics")
    await call("GET", f"{API}/sessions", Origin="https://example.com")
    await call("GET", f"{API}/sessions", Host="example.com")
    for name in contracts:
        await call("GET", f"/api/{name}.json")
    await ask_about_orders(call)
    away.add("append")
    await call("POST", f"{session}/trades", order)
    await call("PATCH", session, {"status": "ACTIVE"})
    await call("POST", f"{session}/trades", order)
    away.clear()
    await call("POST", f"{API}/halt", {"closeAll": True})
    expected = {
        (method.upper(), path)
        for path, operations in contracts["openapi"].document["paths"].items()
        for method in operations
    } - OF_ACCESS
    await call("PATCH", REPLAY[1], {"paused": True})
    assert {(method, path) for method, path, _ in call.seen} == expected
    answered = {(method, path) for method, path, status in call.seen if status < 300}
    assert answered == {row for row in expected - {REPLAY} if row[1] not in STREAM_PATHS}
    statuses = {status for _, _, status in call.seen}
    assert statuses == {200, 201, 400, 403, 404, 409, 421, 422, 503}


async def test_what_is_said_about_a_replay_keeps_the_contract(
    contracts: Contracts, make_settings: MakeSettings, tmp_path: Path
) -> None:
    path = write(tmp_path / "day.ndjson", [tick(0, 100), tick(1000, 101)])
    async with serve_here(make_settings(feed=(f"replay:{path}",), speed="0.5")) as rest:
        call = Witness(rest, contracts["openapi"])
        changes = {"paused": True}, {"rate": 0.5}, {"rate": "max", "paused": False}, {"rate": 0}
        for change in changes:
            await call(*REPLAY, change)
        async with web_socket(rest.url) as ws:
            await ws.ask("subscribe_prices", symbols=["NIFTY"])
            await ws.next("feed_status")
    seen_on(contracts["asyncapi"], "streamWebsocket", ws.texts)


async def test_every_answer_about_access_keeps_the_contract(
    contracts: Contracts, make_settings: MakeSettings
) -> None:
    clock = Clock()
    async with serve_here(make_settings(auth_key=KEY), now=clock) as server:
        call = Witness(server, contracts["openapi"])
        admin, viewer = bearer(sub="root", role="admin"), bearer()
        await call("GET", f"{API}/me")
        for who in (admin, viewer):
            await call("GET", f"{API}/connections", **who)
            await call("GET", f"{API}/me", **who)
        async with web_socket(server.url, **viewer) as ws:
            connection_id = (await ws.ask("auth", token=token()))["connectionId"]
            for _ in range(2):
                await call("POST", f"{API}/connections/{connection_id}/kick", **admin)
        ticket = await call("POST", f"{API}/tickets", {"path": "/", "query": ""}, **viewer)
        await call("POST", f"{API}/tickets", {"path": "x"}, **viewer)
        for _ in range(2):
            await call("POST", f"{API}/sign-in", {"ticket": ticket["ticket"]})
        await call("POST", f"{API}/sign-in", {"token": token()})
        await call("POST", f"{API}/sign-out", **viewer)
        for query in ("", "?by=root&limit=2&since=2026-11-22T10:00:00Z", "?since=x"):
            await call("GET", f"{API}/audit{query}", **admin)
        for body in ({"jti": "a"}, {"sub": "b"}, {"issuedBefore": BEGIN_MS}, {}):
            await call("POST", f"{API}/revocations", body, **admin)
        for _ in range(30):
            await call("GET", f"{API}/me", Authorization="Bearer x")
    answered = {(method, path) for method, path, status in call.seen if status < 300}
    assert answered == OF_ACCESS | {("GET", f"{API}/me")}
    assert {status for _, _, status in call.seen} == {200, 201, 204, 400, 401, 403, 404, 429}


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
            ("streamPrices", "prices?symbols=A"),
        ):
            streams[name] = await enter(event_stream(server.url, f"/sse/{path}", **viewer))
        clock.now_ms += 3_590_000
        for name, stream in streams.items():
            message = await stream.next("token_expiring")
            payload = contract.document["channels"][name]["messages"]["token_expiring"]
            contract.check(contract.resolve(payload)["payload"], json.dumps(message))
