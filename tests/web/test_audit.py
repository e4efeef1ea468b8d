"""What is remembered of who came in, was refused or was sent away, and who may read it."""

from __future__ import annotations

import json
from typing import Any

from tests.kit.rest import API, Rest
from tests.kit.server import MakeSettings, serve_here
from tests.kit.streams import web_socket
from tests.web.guarded import KEY, caller, post, signed_in, token
from vyomo_rt.clockwork import wall_now

NOW_S = wall_now() // 1000
LASTING: dict[str, Any] = {"iat": NOW_S, "exp": NOW_S + 3600}


async def entries(rest: Rest, query: str = "") -> list[dict[str, Any]]:
    root = caller(rest, sub="root", role="admin", **LASTING)
    status, document = await root.call("GET", f"/audit{query}")
    assert status == 200, document
    found: list[dict[str, Any]] = document["entries"]
    return found


async def test_sign_ins_connections_refusals_kicks_and_revocations_are_remembered_newest_first(
    make_settings: MakeSettings,
) -> None:
    bad = token("another key, as long as the other one", **LASTING)
    async with serve_here(make_settings(auth_key=KEY)) as rest:
        asha = caller(rest, sub="asha", role="viewer", **LASTING)
        root = caller(rest, sub="root", role="admin", **LASTING)
        page = await signed_in(rest, sub="asha", **LASTING)
        assert (await post(rest, "/sign-out", **page))[0] == 204
        assert (await rest.call("GET", "/me", Authorization=f"Bearer {bad}"))[0] == 401
        assert (await asha.call("POST", "/sessions", {"startingCapital": 5}))[0] == 403
        async with web_socket(rest.url) as socket:
            ack = await socket.ask("auth", token=token(sub="asha", **LASTING))
            id_ = ack["connectionId"]
            assert (await root.call("POST", f"/connections/{id_}/kick"))[0] == 204
            assert await socket.closed() == 4503
        assert (await root.call("POST", "/revocations", {"jti": "lost"}))[0] == 201
        found = await entries(rest)
        assert [(each["what"], each["by"]) for each in found] == [
            ("revocation", "root"),
            ("kick", "root"),
            ("connect", "asha"),
            ("refused", "asha"),
            ("refused", None),
            ("sign_out", "asha"),
            ("sign_in", "asha"),
        ]
        assert all(each["address"].startswith("127.0.0.1:") for each in found)
        assert [found[3]["detail"], found[1]["detail"]] == [
            f"POST {API}/sessions: the role viewer may not make, change or trade sessions",
            f"connection {id_} of asha",
        ]
        assert {each["by"] for each in await entries(rest, "?by=root")} == {"root"}
        assert await entries(rest, "?limit=1") == found[:1]
        assert await entries(rest, f"?since={found[2]['at']}") == found[:3]
        assert await entries(rest, f"?since={wall_now() + 1000}") == []
        told = json.dumps(found)
        for secret in (bad, token(sub="asha", **LASTING), page["Cookie"].partition("=")[2]):
            assert secret not in told
    async with serve_here(make_settings(auth_key=KEY)) as rest:
        assert await entries(rest) == found, "it outlives the server"


async def test_only_an_admin_reads_it_and_without_a_key_there_is_none(
    make_settings: MakeSettings,
) -> None:
    async with serve_here(make_settings(auth_key=KEY)) as rest:
        for role in ("viewer", "trader", "feed"):
            assert (await caller(rest, role=role, **LASTING).call("GET", "/audit"))[0] == 403
        assert (await rest.call("GET", "/audit"))[0] == 401
        root = caller(rest, sub="root", role="admin", **LASTING)
        for query, name in (("?limit=0", "limit"), ("?since=5", "since"), ("?since=x", "since")):
            status, problem = await root.call("GET", f"/audit{query}")
            assert (status, problem["field"]) == (400, name)
    async with serve_here(make_settings("without")) as rest:
        assert (await rest.call("GET", "/audit"))[0] == 409


async def test_each_event_says_who_asked_for_it(make_settings: MakeSettings) -> None:
    """And none of what the server decides by itself."""
    async with serve_here(make_settings(auth_key=KEY)) as rest:
        asha = caller(rest, sub="asha", role="trader", **LASTING)
        feed = caller(rest, sub="feed", role="feed", **LASTING)
        session_id = await asha.new_session()
        await feed.tick("NIFTY", 100)
        order = {"symbol": "NIFTY", "stopLoss": 90}
        first, second, third = [await asha.open_trade(session_id, **order) for _ in range(3)]
        ravi = caller(rest, sub="ravi", role="trader", sessions=[session_id], **LASTING)
        await ravi.close_trade(first["tradeId"])
        await ravi.call("PATCH", f"/trades/{second['tradeId']}", {"stopLoss": 70})
        await ravi.call("POST", f"/trades/{second['tradeId']}/close", {"quantity": 10})
        await asha.call("PATCH", f"/sessions/{session_id}", {"status": "PAUSED"})
        await feed.tick("NIFTY", 85)
        await asha.closed(third["tradeId"])
        _, document = await asha.call("GET", f"/sessions/{session_id}/events?since=0")
        told = [(each["type"], each["data"].get("by")) for each in document["events"]]
        assert told == [
            ("trade_opened", "asha"),
            ("trade_opened", "asha"),
            ("trade_opened", "asha"),
            ("trade_closed", "ravi"),
            ("trade_changed", "ravi"),
            ("trade_reduced", "ravi"),
            ("session_changed", "asha"),
            ("trade_closed", None),
        ]
