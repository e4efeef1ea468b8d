"""The client module against real servers, in browsers and in Node.js; and its own tests."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

import aiohttp
import msgspec
import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import TestServer
from playwright.async_api import Page, Route

from tests.kit.firefox import Firefox
from tests.kit.proxy import proxy_before
from tests.kit.rest import Rest
from tests.kit.server import MakeServer, MakeSettings, serve_here
from tests.kit.waiting import until

JS = Path(__file__).parents[1] / "js"
MODULE = Path(__file__).parents[2] / "static" / "vyomo-rt.js"

WATCH = """
const { VyomoClient } = await import(values.module);
const client = new VyomoClient({ url: values.url, ...globalThis.classes });
const seen = { seqs: [], states: [], gaps: [], errors: [] };
client.on("message", ({ type, seq }) => { if (type.startsWith("trade_")) seen.seqs.push(seq); });
client.on("status", ({ state, transport }) => seen.states.push(`${state} ${transport}`));
client.on("gap", (gap) => seen.gaps.push(gap));
client.on("error", ({ command, code }) => seen.errors.push([command, code]));
globalThis.watched ??= {};
globalThis.watched[values.name] = { client, seen };
client.subscribeSession(values.sessionId);
client.connect(values.transport);
"""


class Place(Protocol):
    """Where the module runs."""

    async def run(self, script: str, **values: Any) -> Any: ...

    async def module(self, server_url: str) -> str:
        """What to import."""
        ...


class Browser(Place, Protocol):
    async def visit(self, server_url: str, policy: str) -> None:
        """Go to a page that has this Content-Security-Policy."""
        ...


class Chromium:
    def __init__(self, page: Page) -> None:
        self._page = page

    async def visit(self, server_url: str, policy: str) -> None:
        async def show(route: Route) -> None:
            headers = {"Content-Security-Policy": policy}
            await route.fulfill(content_type="text/html", body="", headers=headers)

        await self._page.route(f"{server_url}/page", show)
        await self._page.goto(f"{server_url}/page")

    async def run(self, script: str, **values: Any) -> Any:
        return await self._page.evaluate(f"async (values) => {{ {script} }}", values)

    async def module(self, server_url: str) -> str:
        if self._page.url == "about:blank":
            await self._page.goto(f"{server_url}/livez")
        return f"{server_url}/static/vyomo-rt.js"


class FirefoxPage:
    def __init__(self, window: Firefox) -> None:
        self._window = window
        self.run = window.run

    async def visit(self, server_url: str, policy: str) -> None:  # noqa: ARG002
        own = self._window.url  # from which scripts come, and to which answers go
        self._window.open(f"{policy} {own}")

    async def module(self, server_url: str) -> str:
        return f"{server_url}/static/vyomo-rt.js"


class Node:
    def __init__(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._to, self._from = process.stdin, process.stdout

    async def run(self, script: str, **values: Any) -> Any:
        self._to.write(json.dumps({"script": script, "values": values}).encode() + b"\n")
        answer = json.loads(await self._from.readline())
        assert "error" not in answer, answer["error"]
        return answer.get("result")

    async def module(self, server_url: str) -> str:  # noqa: ARG002
        return MODULE.as_uri()


@pytest.fixture
def chromium(page: Page) -> Chromium:
    return Chromium(page)


@pytest.fixture
def firefox(firefox_window: Firefox) -> FirefoxPage:
    firefox_window.open()
    return FirefoxPage(firefox_window)


@pytest_asyncio.fixture(loop_scope="session")
async def node_process(node: str, node_modules: Path) -> AsyncIterator[Node]:
    process = await asyncio.create_subprocess_exec(
        node, JS / "driver.mjs", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    yield Node(process)
    assert process.stdin is not None
    process.stdin.close()
    await process.communicate()
    assert process.returncode == 0


CHROMIUM = pytest.param("chromium", marks=pytest.mark.browser, id="chromium")
FIREFOX = pytest.param("firefox", marks=pytest.mark.browser, id="firefox")
NODE = pytest.param("node_process", id="node")
everywhere = pytest.mark.parametrize("place", [CHROMIUM, FIREFOX, NODE], indirect=True)


@pytest.fixture(params=[CHROMIUM, NODE])
def place(request: pytest.FixtureRequest) -> Place:
    chosen: Place = request.getfixturevalue(request.param)
    return chosen


@pytest_asyncio.fixture(loop_scope="session")
async def rest(make_settings: MakeSettings) -> AsyncIterator[Rest]:
    """A server in this process."""
    async with serve_here(make_settings()) as rest:
        yield rest


class Watched:
    """A client that follows a session, with all that it told since it was made."""

    def __init__(self, place: Place, name: str) -> None:
        self._place = place
        self._watched = f"globalThis.watched.{name}"

    @classmethod
    async def make(
        cls, place: Place, url: str, session_id: int, transport: str, name: str = "it"
    ) -> Watched:
        module = await place.module(url)
        values = {"module": module, "url": url, "sessionId": session_id, "name": name}
        await place.run(WATCH, **values, transport=transport)
        return cls(place, name)

    async def client(self, member: str) -> Any:
        """A property or a call, as it is written in JavaScript."""
        return await self._place.run(f"return {self._watched}.client.{member}")

    async def seen(self, what: str) -> Any:
        return await self._place.run(f"return {self._watched}.seen.{what}")

    async def until_seen(self, what: str, expected: Any) -> None:
        async def is_seen() -> bool:
            return bool(await self.seen(what) == expected)

        await until(is_seen)

    async def until_open(self, transport: str) -> None:
        await self.until_seen("states.at(-1)", f"open {transport}")

    async def until_seq(self, seq: int) -> None:
        """Wait for a trade event, and check that it and all before it came once and in order."""
        await self.until_seen("seqs.at(-1)", seq)
        assert await self.seen("seqs") == list(range(1, seq + 1))
        assert await self.seen("gaps") == []


async def watch_both(place: Place, url: str, session_id: int) -> dict[str, Watched]:
    """Open clients of both transports, by transport."""
    clients = {
        transport: await Watched.make(place, url, session_id, transport, name=transport)
        for transport in ("ws", "sse")
    }
    for transport, client in clients.items():
        await client.until_open(transport)
    return clients


async def test_a_killed_server_is_found_again_and_nothing_is_lost_or_doubled(
    place: Place, server_process: MakeServer
) -> None:
    server = server_process("--feed", "ingest")
    url = await server.start()
    async with aiohttp.ClientSession() as http:
        rest = Rest(url, http)
        session_id = await rest.new_session()
        clients = await watch_both(place, url, session_id)
        trade = await rest.open_trade(session_id)
        for client in clients.values():
            await client.until_seq(1)
        await server.kill()
        server = server_process("--feed", "ingest", port=urlsplit(url).port)
        await server.start()
        await rest.close_trade(trade["tradeId"], 200)
        await rest.open_trade(session_id)
        for transport, client in clients.items():
            await client.until_seq(3)
            states = await client.seen("states")
            assert f"waiting {transport}" in states
            assert states[-1] == f"open {transport}"


async def test_a_switch_of_transport_in_the_midst_of_trading_loses_and_doubles_nothing(
    place: Place, rest: Rest
) -> None:
    session_id = await rest.new_session()
    client = await Watched.make(place, rest.url, session_id, "ws")
    await client.until_open("ws")

    async def trade() -> None:
        for _ in range(150):
            await rest.open_trade(session_id)

    async with asyncio.TaskGroup() as group:
        trading = group.create_task(trade())
        while not trading.done():
            for transport in ("sse", "ws"):
                await client.client(f'use("{transport}")')
                await client.until_open(transport)
    await client.until_seq(150)
    states = await client.seen("states")
    assert states.count("open sse") >= 2
    assert not any(state.startswith(("waiting", "closed")) for state in states)


async def test_another_interval_in_the_midst_of_trading_loses_and_doubles_nothing(
    place: Place, rest: Rest
) -> None:
    session_id = await rest.new_session()
    clients = await watch_both(place, rest.url, session_id)

    async def trade() -> None:
        for _ in range(100):
            await rest.open_trade(session_id)

    async with asyncio.TaskGroup() as group:
        trading = group.create_task(trade())
        interval_ms = 100
        while not trading.done():
            interval_ms += 100
            for client in clients.values():
                change = f"subscribeSession({session_id}, {{ updateInterval: {interval_ms} }})"
                await client.client(change)
    for client in clients.values():
        await client.until_seq(100)
        assert await client.seen("errors") == []


@everywhere
async def test_a_cut_connection_comes_back_and_resumes(place: Place, rest: Rest) -> None:
    session_id = await rest.new_session()
    clients = await watch_both(place, rest.url, session_id)
    for seq in range(1, 4):
        for client in clients.values():
            await client.client("cut()")
        await rest.open_trade(session_id)
        for transport, client in clients.items():
            await client.until_open(transport)
            await client.until_seq(seq)
            assert (await client.seen("states")).count(f"waiting {transport}") >= seq


@everywhere
async def test_sse_is_taken_where_websocket_is_blocked(place: Place, rest: Rest) -> None:
    session_id = await rest.new_session()
    async with proxy_before(rest.url) as proxy:
        proxy.refuses_websockets = True
        client = await Watched.make(place, proxy.url, session_id, "auto")
        await client.until_open("sse")
        await rest.open_trade(session_id)
        await client.until_seq(1)
        proxy.refuses_websockets = False
        await client.client('use("auto")')
        await client.until_open("ws")
        await rest.open_trade(session_id)
        await client.until_seq(2)


@pytest.mark.parametrize("place", [CHROMIUM, FIREFOX], indirect=True)
async def test_sse_is_taken_on_a_page_that_may_not_open_a_websocket(
    place: Browser, rest: Rest
) -> None:
    """Firefox throws, Chromium tells of an error and of no end."""
    session_id = await rest.new_session()
    await place.visit(rest.url, policy=f"connect-src {rest.url}")
    client = await Watched.make(place, rest.url, session_id, "auto")
    await client.until_open("sse")
    failed = ["connecting ws", "waiting ws", "connecting ws", "waiting sse"]
    assert await client.seen("states") == [*failed, "connecting sse", "open sse"]


@asynccontextmanager
async def redirecting() -> AsyncIterator[str]:
    """A server that sends everybody to https, as browsers may see."""

    async def redirect(request: web.Request) -> web.StreamResponse:
        headers = {"Location": f"https://localhost:1{request.path}"}
        return web.Response(status=301, headers=headers | {"Access-Control-Allow-Origin": "*"})

    app = web.Application()
    app.router.add_get("/{path:.*}", redirect)
    async with TestServer(app) as server:
        yield str(server.make_url("")).rstrip("/")


@everywhere
async def test_a_redirect_is_named_and_sse_is_not_taken_for_it(place: Place, rest: Rest) -> None:
    async with redirecting() as url:
        module = await place.module(rest.url)
        values = {"module": module, "url": url, "sessionId": 6, "name": "it"}
        await place.run(WATCH, **values, transport="auto")
        client = Watched(place, "it")
        detail = "the server redirects: is it https://?"

        async def is_named() -> bool:
            return bool((await client.client("status"))["detail"] == detail)

        await until(is_named)
        assert "open sse" not in await client.seen("states")
        assert (await client.client("status"))["transport"] == "ws"


@everywhere
async def test_a_refused_change_is_named_and_leaves_the_rest_as_it_was(
    place: Place, rest: Rest
) -> None:
    session_id = await rest.new_session()
    clients = await watch_both(place, rest.url, session_id)
    for seq, (transport, client) in enumerate(clients.items(), 1):
        await client.client("subscribeSession(999)")
        await client.until_seen("errors", [["subscribe_session", "not_found"]])
        await client.client('subscribePrices(["<b>"])')
        await client.until_seen("errors[1]", ["subscribe_prices", "bad_request"])
        await client.until_open(transport)
        assert await client.client("position.sessionId") == session_id
        await rest.open_trade(session_id)
        await client.until_seq(seq)


async def test_a_server_with_another_history_is_a_gap(
    place: Place, make_settings: MakeSettings
) -> None:
    other = make_settings("other")
    async with serve_here(other) as rest:
        session_id = await rest.new_session()
        await rest.open_trade(session_id)
    async with serve_here(make_settings("first")) as rest:
        assert await rest.new_session() == session_id
        clients = await watch_both(place, rest.url, session_id)
        for _ in range(2):
            await rest.open_trade(session_id)
        for client in clients.values():
            await client.until_seq(2)
    port = urlsplit(rest.url).port
    assert port
    async with serve_here(msgspec.structs.replace(other, port=port)):
        gap = {"sessionId": session_id, "from": 2, "to": 1, "recovered": False}
        for client in clients.values():
            await client.until_seen("gaps", [gap])


def test_the_client_module_passes_its_own_tests(node: str) -> None:
    files = sorted(str(path) for path in JS.glob("*.test.mjs"))
    assert files
    done = subprocess.run(
        [node, "--test", *files], capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
