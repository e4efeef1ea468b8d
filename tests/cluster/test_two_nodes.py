"""Two nodes: any client, either node."""

from __future__ import annotations

import asyncio
import re
from functools import partial
from itertools import product

import pytest

from tests.kit.documents import ROOT
from tests.kit.rest import Rest
from tests.kit.waiting import PATIENCE_S, until
from vyomo_rt.domain.shard import SHARDS
from vyomo_rt.market import relay

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_what_is_made_on_either_node_is_there_on_both(nodes: list[Rest]) -> None:
    for number in range(6):
        here, there = nodes if number % 2 else reversed(nodes)
        id_ = await here.new_session(1000)
        assert (await there.call("GET", f"/sessions/{id_}"))[0] == 200
        trade = await there.open_trade(id_, symbol="NIFTY", quantity=5, entryPrice=100)
        trade_id = trade["tradeId"]
        assert (await here.call("GET", f"/trades/{trade_id}"))[1]["status"] == "OPEN"
        await here.close_trade(trade_id, 110)
        status, problem = await there.call("POST", f"/trades/{trade_id}/close", {"price": 110})
        assert (status, problem["trade"]["status"]) == (409, "CLOSED")
        for node in nodes:
            _, session = await node.call("GET", f"/sessions/{id_}")
            assert session["totalPnL"] == 50


async def test_a_tick_pushed_to_either_node_counts_on_both(nodes: list[Rest]) -> None:
    ids = [await node.new_session() for node in nodes for _ in range(2)]
    await nodes[1].tick("BANKNIFTY", 200)
    trades = [await nodes[0].open_trade(id_, entryPrice=200, stopLoss=190) for id_ in ids]
    for node in nodes:
        await until(partial(has_price, node, "BANKNIFTY", 200))
    # A tick in a spelling that takes longer to read is carried like any other.
    await nodes[0].tick("BANKNIFTY", 185, ts=None)
    await nodes[1].tick("BANKNIFTY", 185.5, ts=None)
    for trade in trades:
        for node in nodes:
            closed = await node.closed(trade["tradeId"])
            assert (closed["exitReason"], closed["exitPrice"]) == ("SL", 185)
    for node in nodes:
        await until(partial(has_price, node, "BANKNIFTY", 185.5))


async def test_a_price_just_pushed_counts_for_the_next_command_to_the_same_node(
    nodes: list[Rest], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever decides about the session, and whoever owns the prices."""
    monkeypatch.setattr(relay, "JOINED_S", 1.0)  # so that nothing is told by itself
    ids = [await node.new_session() for node in nodes for _ in range(2)]
    for price, (node, id_) in enumerate(product(nodes, ids), start=200):
        await node.tick("BANKNIFTY", price)
        trade = await node.open_trade(id_, entryPrice=None)
        assert trade["entryPrice"] == price


async def has_price(node: Rest, symbol: str, price: float) -> bool:
    _, found = await node.call("GET", f"/prices?symbols={symbol}")
    return [(each["price"], each["stale"]) for each in found["prices"]] == [(price, False)]


async def test_a_stream_on_one_node_has_the_events_of_another_in_order(nodes: list[Rest]) -> None:
    ids = [await nodes[0].new_session() for _ in range(2)]
    for node in nodes:
        for id_ in ids:
            url = node.url.replace("http", "ws") + "/ws/auto-trader"
            async with node.http.ws_connect(url) as stream:
                await stream.send_json({"type": "subscribe_session", "sessionId": id_, "id": 1})
                ack = await stream.receive_json()
                assert ack["node"] == (await node.call("GET", "/cluster"))[1]["node"]
                since = ack["result"]["seq"]
                for other in nodes:
                    trade = await other.open_trade(id_)
                    await other.close_trade(trade["tradeId"], 200)
                seqs: list[int] = []
                while len(seqs) < 4:
                    message = await stream.receive_json(timeout=PATIENCE_S)
                    if message["type"].startswith("trade_"):
                        seqs.append(message["seq"])
                assert seqs == [since + n for n in range(1, 5)]


async def test_a_position_that_is_ahead_of_what_a_node_knows_is_looked_up(
    nodes: list[Rest],
) -> None:
    """A client that hops right after an event resumes on the other node, and misses nothing."""
    here, there = nodes
    session_id = await here.new_session()
    for number in range(1, 6):
        await here.open_trade(session_id)
        async with there.http.ws_connect(f"{there.url}/ws/auto-trader") as stream:
            asked = {"type": "subscribe_session", "sessionId": session_id, "since": number, "id": 1}
            await stream.send_json(asked)
            result = (await stream.receive_json())["result"]
            assert (result["recovered"], result["seq"]) == (True, number)


async def test_a_halt_reaches_the_sessions_of_all_nodes(nodes: list[Rest]) -> None:
    ids = [await nodes[0].new_session() for _ in range(4)]
    trades = [(await nodes[1].open_trade(id_))["tradeId"] for id_ in ids]
    await nodes[0].tick("BANKNIFTY", 196)
    for node in nodes:
        await until(partial(has_price, node, "BANKNIFTY", 196))
    status, answer = await nodes[1].call("POST", "/halt", {"closeAll": True})
    assert status == 200
    closed = {each["sessionId"]: each["closed"] for each in answer["sessions"]}
    assert [closed[id_] for id_ in ids] == [[trade_id] for trade_id in trades]


async def test_a_key_makes_one_session_on_whichever_nodes_it_is_used(nodes: list[Rest]) -> None:
    async def make(node: Rest) -> int | None:
        body = {"startingCapital": 1000}
        status, answer = await node.call("POST", "/sessions", body, Idempotency_Key="once")
        return int(answer["sessionId"]) if status == 201 else None

    found: set[int | None] = set()
    for _ in range(3):
        found |= set(await asyncio.gather(*map(make, nodes * 2)))
    assert len(found - {None}) == 1


async def test_who_watches_all_sessions_on_one_node_sees_those_of_the_other(
    nodes: list[Rest],
) -> None:
    here, there = nodes
    async with here.http.ws_connect(f"{here.url}/ws/auto-trader") as stream:
        await stream.send_json({"type": "watch_sessions", "updateInterval": 100})
        ids = {await there.new_session() for _ in range(4)}
        for id_ in sorted(ids):
            await there.open_trade(id_)
        seen: set[int] = set()
        while not seen >= ids:
            message = await stream.receive_json(timeout=PATIENCE_S)
            if message["type"] == "session_update" and message["data"]["openTrades"] == 1:
                seen.add(message["data"]["sessionId"])


async def test_what_nodes_count_is_in_their_metrics_and_on_the_page_about_these(
    nodes: list[Rest],
) -> None:
    page = (ROOT / "docs" / "operations.md").read_text()
    figures = [await metrics(node) for node in nodes]
    names = ("shards", "prices_term", "hops", "gaps_repaired", "doubled", "dropped", "bus_up")
    for name in names:
        assert f"`{name}`" in page
    assert [each["bus_up"] for each in figures] == [1, 1]
    assert sum(each["shards"] for each in figures) == SHARDS
    assert sum(each["prices_term"] > 0 for each in figures) == 1
    before = sum(each["hops"] for each in figures)
    for node in nodes:
        await node.open_trade(await nodes[0].new_session())
        await node.open_trade(await nodes[1].new_session())
    assert sum([(await metrics(node))["hops"] for node in nodes]) > before


async def metrics(node: Rest) -> dict[str, float]:
    """The figures of a node, without those that have labels."""
    async with node.http.get(f"{node.url}/metrics") as response:
        text = await response.text()
    return {name: float(value) for name, value in re.findall(r"^vyomo_rt_(\w+) (\S+)$", text, re.M)}
