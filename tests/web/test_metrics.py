"""What ``/metrics`` and a connection's explanation say of a real server."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.kit.rest import Rest
from tests.kit.server import MakeSettings, serve_here
from tests.kit.streams import watching, web_socket
from tests.kit.waiting import until

BOARD = Path(__file__).parents[2] / "docs" / "grafana-dashboard.json"

_METRIC = re.compile(r"\b(?:vyomo_rt|process)_[a-z_]+")


async def read(server: Rest) -> str:
    async with server.http.get(f"{server.url}/metrics") as response:
        assert response.status == 200
        return await response.text()


async def value(server: Rest, name: str, **labels: str) -> float | None:
    """The sum of a metric's samples that have these labels; None if there are none."""
    found = [
        sample.value
        for family in text_string_to_metric_families(await read(server))
        for sample in family.samples
        if sample.name == f"vyomo_rt_{name}" and labels.items() <= sample.labels.items()
    ]
    return sum(found) if found else None


@pytest.mark.parametrize("transport", ["ws", "sse"])
async def test_messages_and_bytes_are_counted_by_type_and_transport(
    server: Rest, transport: str
) -> None:
    session_id = await server.new_session()
    async with watching(transport, server.url, sessionId=session_id) as stream:
        await stream.next("session_update")
        assert await value(server, "connections", transport=transport) == 1
        await server.open_trade(session_id)
        await stream.next("trade_opened")
        await stream.next("session_update")
        texts = stream.texts
    for type_ in ("ack", "trade_opened", "session_update"):
        got = [text for text in texts if f'"type":"{type_}"' in text]
        labels = {"type": type_, "transport": transport}
        assert await value(server, "messages_total", **labels) == len(got)
        assert (await value(server, "message_bytes_total", **labels) or 0) > sum(map(len, got))
    closed = {"transport": transport, "reason": "client"}

    async def counted() -> bool:
        return await value(server, "connections_closed_total", **closed) == 1

    await until(counted)
    assert await value(server, "connections", transport=transport) == 0


async def test_streams_that_the_server_ends_are_counted_by_why_on_both_transports(
    make_settings: MakeSettings,
) -> None:
    settings = make_settings(max_connections=1)
    async with serve_here(settings) as server, web_socket(server.url) as first:
        await first.ask("ping")
        async with web_socket(server.url) as second:
            assert await second.closed() == 4504
        async with server.http.get(f"{server.url}/sse/prices?symbols=NIFTY") as response:
            assert b"limit_exceeded" in await response.read()

        async def counted() -> bool:
            return await value(server, "connections_closed_total", reason="4504") == 2

        await until(counted)


async def test_each_event_is_timed_from_its_moment_to_its_last_write(server: Rest) -> None:
    session_id = await server.new_session()
    async with watching("ws", server.url, sessionId=session_id) as stream:
        await stream.next("session_update")
        for _ in range(3):
            await server.open_trade(session_id)
        await stream.until_seq(3)
    assert await value(server, "event_delay_seconds_count") == 3
    assert await value(server, "fan_out_seconds_count", what="event") == 3
    delay_s = await value(server, "event_delay_seconds_sum")
    fan_out_s = await value(server, "fan_out_seconds_sum", what="event")
    assert delay_s is not None
    assert fan_out_s is not None
    assert 0 < fan_out_s < delay_s < 60


async def test_resumptions_are_counted_by_whether_they_recovered(server: Rest) -> None:
    session_id = await server.new_session()
    await server.open_trade(session_id)
    async with web_socket(server.url) as client:
        for since in (0, 1, 2):
            await client.ask("subscribe_session", sessionId=session_id, since=since)
    assert await value(server, "resumptions_total", recovered="true") == 2
    assert await value(server, "resumptions_total", recovered="false") == 1


async def test_ticks_trades_and_writes_are_counted(server: Rest) -> None:
    session_id = await server.new_session()
    await server.tick("NIFTY", 22150.5)
    old, wrong = {"symbol": "NIFTY", "price": 1, "ts": 5}, {"symbol": "NIFTY", "price": "1"}
    await server.call("POST", "/ticks", [old, wrong])
    written = await value(server, "store_write_seconds_count")
    assert written is not None
    await server.open_trade(session_id)
    assert await value(server, "ticks_total", outcome="accepted") == 1
    assert await value(server, "ticks_total", outcome="refused") == 2
    assert await value(server, "sessions") == 1
    assert await value(server, "open_trades") == 1
    assert await value(server, "exits_waiting") == 0
    assert await value(server, "store_up") == 1
    assert await value(server, "feed_up") == 1
    assert 0 <= (await value(server, "feed_age_seconds") or -1) < 5
    assert (await value(server, "store_write_seconds_count") or 0) >= written + 2

    async def has_beaten() -> bool:
        return bool(await value(server, "event_loop_lag_seconds_count"))

    await until(has_beaten)
    assert "process_resident_memory_bytes" in await read(server)


async def test_every_metric_on_the_grafana_board_is_there_and_the_other_way_round(
    server: Rest,
) -> None:
    families = list(text_string_to_metric_families(await read(server)))
    there = {sample.name for family in families for sample in family.samples}
    # A type of message that nobody was sent yet has a family and no sample.
    there |= {f"{family.name}_total" for family in families if family.type == "counter"}
    board = json.loads(BOARD.read_text())
    shown = set(_METRIC.findall(" ".join(expressions(board))))
    assert shown
    assert shown <= there, f"not in /metrics: {sorted(shown - there)}"
    ours = {family.name for family in families if family.name.startswith("vyomo_rt_")}
    unseen = {name for name in ours if not any(one.startswith(name) for one in shown)}
    assert unseen == {"vyomo_rt_build_info"}


def expressions(node: Any) -> list[str]:
    """All PromQL expressions anywhere in a board."""
    if isinstance(node, dict):
        own = [node["expr"]] if isinstance(node.get("expr"), str) else []
        return own + [found for value_ in node.values() for found in expressions(value_)]
    if isinstance(node, list):
        return [found for item in node for found in expressions(item)]
    return []


async def test_a_connection_can_ask_why_it_gets_what_it_gets(server: Rest) -> None:
    session_id = await server.new_session()
    async with web_socket(server.url) as client:
        ack = await client.ask("subscribe_session", sessionId=session_id, types=["trade_opened"])
        connection_id = ack["connectionId"]
        status, document = await server.call("GET", f"/connections/{connection_id}")
        assert (status, document["transport"]) == (200, "ws")
        assert document["subscription"]["sessionId"] == session_id
        assert any("leave out" in reason for reason in document["reasons"])
        assert document["lastWriteAt"] >= document["openedAt"]
    async with server.http.get(f"{server.url}/sse/prices?symbols=NIFTY") as response:
        lines = [(await response.content.readline()).decode() for _ in range(3)]
        connection_id = json.loads(lines[2].removeprefix("data: "))["connectionId"]
        _, document = await server.call("GET", f"/connections/{connection_id}")
        assert document["transport"] == "sse"
        assert any("no price has come yet for NIFTY" in reason for reason in document["reasons"])


async def test_an_unknown_connection_is_not_found(server: Rest) -> None:
    status, problem = await server.call("GET", "/connections/c0ffee")
    assert (status, problem["code"]) == (404, "not_found")
    assert "c0ffee" in problem["detail"]
