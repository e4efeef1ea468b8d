"""Lists of trades by REST, as pages and as a table."""

from __future__ import annotations

import csv
import json
from decimal import Decimal
from io import StringIO

import pytest

from tests.kit.rest import API, Rest
from tests.web.calls import TRADE_MEMBERS, Clock, refused

DAY_MS = 86_400_000


async def test_trades_are_paged_newest_first(server: Rest) -> None:
    session_id, other = await server.new_session(), await server.new_session()
    opened = [await server.open_trade(session_id) for _ in range(7)]
    await server.open_trade(other)
    for trade in opened[1::2]:
        await server.close_trade(trade["tradeId"], 1)
    ids = [trade["tradeId"] for trade in reversed(opened)]

    async def pages(query: str) -> list[list[int]]:
        found, after = [], ""
        while True:
            _, page = await server.call("GET", f"/sessions/{session_id}/trades?{query}{after}")
            assert page.keys() == {"trades", "next"}
            assert all(trade.keys() == TRADE_MEMBERS for trade in page["trades"])
            found.append([trade["tradeId"] for trade in page["trades"]])
            if page["next"] is None:
                return found
            after = f"&after={page['next']}"

    assert await pages("") == [ids]
    assert await pages("limit=3") == [ids[:3], ids[3:6], ids[6:]]
    assert await pages("limit=7") == [ids]
    assert await pages("status=open&limit=2") == await pages("status=OPEN&limit=2")
    assert await pages("status=OPEN&limit=2") == [ids[0:4:2], ids[4::2]]
    assert await pages("status=CLOSED") == [ids[1::2]]
    assert await pages("after=1&limit=5") == [[]]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        *(
            ("limit=0", "limit"),
            ("limit=501", "limit"),
            ("limit=x", "limit"),
            ("limit=-1", "limit"),
        ),
        *(("after=0", "after"), ("after=x", "after"), ("after=1.5", "after")),
        *(("status=GONE", "status"), (f"limit={'0' * 20}1999", "limit")),
        (f"after={'0' * 20}{'9' * 5000}", "after"),
        *(("side=HOLD", "side"), ("symbol=!", "symbol"), ("from=yesterday", "from")),
        *(("tag=No", "tag"), (f"tag={'x' * 33}", "tag")),
        *(("to=2026-11-31", "to"), ("to=20261123", "to"), ("from_=2026-11-23", "from_")),
    ],
    ids=lambda text: text[:24],
)
async def test_a_wrong_parameter_of_a_list_is_named(
    shared_server: Rest, query: str, field: str
) -> None:
    session_id = await shared_server.new_session()
    problem = await refused(shared_server, 400, "GET", f"/sessions/{session_id}/trades?{query}")
    assert (problem["code"], problem["field"]) == ("bad_request", field)


async def table(rest: Rest, session_id: int, query: str = "") -> tuple[str, list[dict[str, str]]]:
    """The text of a session's table, and its rows by column."""
    url = f"{rest.url}{API}/sessions/{session_id}/trades.csv{query}"
    async with rest.http.get(url) as response:
        assert response.status == 200, await response.text()
        text = await response.text()
    return text, list(csv.DictReader(StringIO(text, newline=""), strict=True))


@pytest.fixture
async def three_days(timed: Rest, clock: Clock) -> tuple[int, list[int]]:
    """A session, and trades 0 to 5: each even one is closed, the next day for the first two."""
    session_id = await timed.new_session()
    ids: list[int] = []
    for day in range(3):
        for side in ("BUY", "SELL"):
            trade = await timed.open_trade(
                session_id, side=side, symbol=f"S{day}", entryPrice=100.0025, quantity=10
            )
            ids.append(trade["tradeId"])
        clock.now_ms += DAY_MS
        await timed.close_trade(ids[2 * day], 99.5)
    return session_id, ids


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("symbol=s1", [3, 2]),
        ("side=sell", [5, 3, 1]),
        ("side=BUY&status=open", []),
        ("status=CLOSED&side=BUY&symbol=S2", [4]),
        # opened on the 22nd, 23rd and 24th, closed a day later
        ("from=2026-11-23&to=2026-11-23", [3, 0]),
        ("to=2026-11-22", [1]),
        ("from=2026-11-24", [5, 4, 2]),
        ("from=2026-11-24&status=CLOSED", [4, 2]),
        ("from=2026-11-24&status=OPEN", [5]),
        ("from=2026-11-24&side=BUY&limit=1", [4]),
        ("from=2026-11-25&to=2026-11-24", []),
    ],
)
async def test_a_list_has_the_trades_of_a_symbol_a_side_and_of_days(
    timed: Rest, three_days: tuple[int, list[int]], query: str, expected: list[int]
) -> None:
    """The day, in Asia/Kolkata, is that of the exit; of an open trade, that of its opening."""
    session_id, ids = three_days
    _, page = await timed.call("GET", f"/sessions/{session_id}/trades?{query}")
    assert [trade["tradeId"] for trade in page["trades"]] == [ids[index] for index in expected]
    if "limit" not in query:
        _, rows = await table(timed, session_id, f"?{query}")
        assert [int(row["tradeId"]) for row in rows] == [ids[index] for index in expected]


async def test_a_list_has_the_trades_with_a_tag(server: Rest) -> None:
    session_id = await server.new_session()
    ids = [
        (await server.open_trade(session_id, tags=tags))["tradeId"]
        for tags in (["gap", "a_b-1"], [], ["gap"])
    ]
    await server.close_trade(ids[0], 1)
    for query, expected in (
        ("tag=gap", [2, 0]),
        ("tag=a_b-1", [0]),
        ("tag=ga", []),
        ("tag=gap&status=OPEN", [2]),
        ("tag=gap&from=2026-01-01&symbol=banknifty", [2, 0]),
    ):
        _, page = await server.call("GET", f"/sessions/{session_id}/trades?{query}")
        assert [trade["tradeId"] for trade in page["trades"]] == [ids[i] for i in expected]


async def test_days_change_at_midnight_in_india(timed: Rest, clock: Clock) -> None:
    clock.now_ms = 1_795_372_199_999  # 2026-11-22 23:59:59.999 in Asia/Kolkata
    session_id = await timed.new_session()
    for _ in range(2):
        trade = await timed.open_trade(session_id)
        await timed.close_trade(trade["tradeId"], 1)
        clock.now_ms += 1
    for day in (22, 23):
        query = f"from=2026-11-{day}&to=2026-11-{day}"
        _, page = await timed.call("GET", f"/sessions/{session_id}/trades?{query}")
        assert [trade["closedAt"][8:10] for trade in page["trades"]] == ["22"], page


async def test_a_table_has_the_members_of_a_trade_as_columns_and_its_values_as_on_the_wire(
    timed: Rest, three_days: tuple[int, list[int]]
) -> None:
    session_id, _ = three_days
    text, rows = await table(timed, session_id)
    url = f"{timed.url}{API}/sessions/{session_id}/trades"
    async with timed.http.get(url) as response:
        trades = json.loads(await response.text(), parse_float=Decimal)["trades"]
    for trade in trades:
        del trade["chargeItems"]
    assert [list(row) for row in rows] == [list(trade) for trade in trades]
    for row, trade in zip(rows, trades, strict=True):
        words = {name: "" if v is None else str(v) for name, v in trade.items()}
        assert row == words
    assert {len(line.split(",")) for line in text.split("\r\n")[:-1]} == {len(rows[0])}
    assert "\n" not in text.replace("\r\n", ""), "lines end as RFC 4180 says"
    assert (rows[1]["pnl"], rows[1]["entryPrice"], rows[0]["exitReason"]) == (
        "-5.03",
        "100.0025",
        "",
    )


async def test_a_spreadsheet_computes_no_text_of_a_table(server: Rest) -> None:
    """What begins like a formula gets an apostrophe; commas, quotes and line ends stay."""
    session_id = await server.new_session()
    notes = ["=1+1", "+1", "-1", "@x", '"a", b\nc = d', "₹ 5"]
    for note in notes:
        await server.open_trade(session_id, note=note, tags=["-gap", "a"])
    _, rows = await table(server, session_id)
    shown = [f"'{note}" if note[0] in "=+-@" else note for note in notes]
    assert [row["note"] for row in reversed(rows)] == shown
    assert {row["tags"] for row in rows} == {"'-gap a"}


async def test_a_table_without_a_trade_is_its_header(server: Rest) -> None:
    session_id = await server.new_session()
    trade = await server.open_trade(session_id)
    text, rows = await table(server, session_id, "?symbol=NONE")
    columns = [name for name in trade if name != "chargeItems"]
    assert (text.split("\r\n"), rows) == ([",".join(columns), ""], [])


async def test_a_browser_saves_a_table_as_a_file(server: Rest) -> None:
    session_id = await server.new_session()
    await server.open_trade(session_id)
    url = f"{server.url}{API}/sessions/{session_id}/trades.csv"
    for method in ("HEAD", "GET"):
        async with server.http.request(method, url) as response:
            assert response.content_type == "text/csv"
            assert response.charset == "utf-8"
            name = f'attachment; filename="trades-{session_id}.csv"'
            assert response.headers["Content-Disposition"] == name
            assert bool(await response.read()) == (method == "GET")


@pytest.mark.parametrize(
    ("path", "status", "field"),
    [
        ("/sessions/99/trades.csv", 404, "sessionId"),
        ("/sessions/{id}/trades.csv?limit=5", 400, "limit"),
        ("/sessions/{id}/trades.csv?from=x", 400, "from"),
    ],
)
async def test_a_table_that_cannot_be_made_is_refused_like_a_list(
    server: Rest, path: str, status: int, field: str
) -> None:
    session_id = await server.new_session()
    problem = await refused(server, status, "GET", path.format(id=session_id))
    assert problem["field"] == field
