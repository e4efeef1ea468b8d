"""Every answer of a server in use keeps the contract of the calls."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.contracts.contract import Contract, Contracts
from tests.kit.rest import API, Rest
from tests.kit.server import MakeSettings, serve_here
from tests.kit.streams import web_socket
from tests.replay.days import tick, write
from tests.web.calls import BEGIN_MS, Clock
from tests.web.guarded import KEY, bearer, token

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


RULES = {
    "maxDailyLoss": 2000.5,
    "dailyTarget": 100,
    "profitLock": {"armAt": 50, "floor": 20},
    "maxOrderValue": 1000,
    "maxTradesPerDay": 9,
    "maxOpenTrades": 5,
    "losingStreak": 3,
    "cooldownSeconds": 60,
    "squareOff": "23:59",
}


async def ask_about_rules(call: Witness) -> None:
    """A session with rules and charges, halted by one of them; what it paid and what it tells."""
    new = {"startingCapital": 5, "rules": RULES, "charges": "NSE_OPTIONS"}
    made = await call("POST", f"{API}/sessions", new)
    assert made["rules"].keys() == RULES.keys()
    await call("POST", f"{API}/sessions", new | {"rules": {"squareOff": "25:00"}})
    session = f"{API}/sessions/{made['sessionId']}"
    await call("PATCH", session, {"rules": {"squareOff": None}, "charges": "NSE_INTRADAY"})
    order = {"symbol": "RULED", "quantity": 10, "entryPrice": 50}
    trade = await call("POST", f"{session}/trades", order)
    await call("POST", f"{session}/trades", order | {"quantity": 100})
    path = f"{API}/trades/{trade['tradeId']}"
    await call("POST", f"{path}/close", {"quantity": 1, "price": 51})
    closed = await call("POST", f"{path}/close", {"price": 70})
    assert closed["chargeItems"]
    halted = await call("GET", session)
    assert (halted["statusReason"], halted["lock"] is not None) == ("DAILY_TARGET", True)
    assert {"totalCharges", "netTotalPnL", "netTodayPnL", "today"} <= halted.keys()
    await call("POST", f"{session}/trades", order)
    lifted = await call("PATCH", session, {"status": "ACTIVE"})
    assert lifted["waived"] == ["DAILY_TARGET"]
    await call("GET", f"{session}/events?since=0")
    for by in ("day", "week", "month", "symbol", "tag", "reason", "hour"):
        await call("GET", f"{session}/report?by={by}&net=true")
    await call("GET", f"{session}/report?from=2026-11-24&to=x")


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
    await call("GET", f"{API}/cluster")
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
    await ask_about_rules(call)
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
    assert answered == expected - {REPLAY}
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
            text = json.dumps(await ws.next("feed_status"))
    message = contracts["asyncapi"].document["components"]["messages"]["feed_status"]
    contracts["asyncapi"].check(message["payload"], text)


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
