"""The server behind the recipes of docs/deploy.md stops, or is killed, and comes back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

import aiohttp
import pytest
from playwright.async_api import Page, async_playwright

from tests.deploy.proxies import NAME, Proxy, recipe
from tests.deploy.through import ProxiedEventStream, Through, through
from tests.kit.chromium import chromium
from tests.kit.rest import Rest
from tests.kit.server import MakeServer
from tests.kit.streams import WebSocket
from tests.kit.waiting import until

pytestmark = pytest.mark.xdist_group("proxies")


async def test_clients_are_told_of_a_stop_and_nobody_is_refused_for_good(
    proxies: list[Proxy],
    server_port: int,
    settings_behind_a_proxy: None,
    server_process: MakeServer,
) -> None:
    """All proxies at one time, because this is mostly waiting."""
    server = server_process(port=server_port)
    await server.start()
    async with AsyncExitStack() as stack:
        sites = [await stack.enter_async_context(through(proxy)) for proxy in proxies]
        session_id = await sites[0].new_session()
        path = f"/sse/sessions/{session_id}"
        watchers: list[tuple[WebSocket, ProxiedEventStream]] = []
        for site in sites:
            ws = await stack.enter_async_context(site.websocket())
            sse = await stack.enter_async_context(site.events(path))
            await ws.ask("subscribe_session", sessionId=session_id)
            await sse.next("ack")
            watchers.append((ws, sse))
        trade = await sites[0].open_trade(session_id)
        stopping = asyncio.create_task(server.stop())
        for ws, sse in watchers:
            await ws.next("server_shutdown")
            await sse.next("server_shutdown")
            assert await ws.closed() == 4001
            await sse.ended()
            assert len(sse.events()) == 1
        assert await stopping == 0

        await asyncio.gather(*(assert_only_for_now(site, path) for site in sites))

        await server_process(port=server_port).start()
        await sites[0].close_trade(trade["tradeId"], 196.3)
        for site, (_, before) in zip(sites, watchers, strict=True):
            async with site.events(path, last_event_id=before.last_event_id) as sse:
                assert (await sse.next("ack"))["result"]["recovered"]
                assert (await sse.next())["seq"] == 2


async def assert_only_for_now(site: Through, path: str) -> None:
    """What a proxy answers while the server is away."""
    async with asyncio.TaskGroup() as both:
        both.create_task(_assert_stream_ends(site, path))
        both.create_task(_assert_handshake_fails(site))


async def _assert_stream_ends(site: Through, path: str) -> None:
    async with site.events(path) as sse:
        assert sse.response.status == 200
        assert sse.response.content_type == "text/event-stream"
        assert sse.response.headers["Access-Control-Allow-Origin"] == "*"
        assert (await sse.next())["code"] == "unavailable"
        await sse.ended()


async def _assert_handshake_fails(site: Through) -> None:
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        async with site.websocket():
            pass
    assert refused.value.status in {502, 503}


_WATCH = """
async ([urls, sessionId]) => {
  globalThis.seen = {};
  globalThis.watch = (name, url, since) => {
    const own = seen[name] = { events: [], lost: 0, away: 0, gaveUp: false };
    const source = new EventSource(`${url}/sse/sessions/${sessionId}?since=${since}`);
    for (const type of ["trade_opened", "trade_closed"]) {
      source.addEventListener(type, ({ data }) => own.events.push(JSON.parse(data).seq));
    }
    source.addEventListener("server_error", () => own.away++);
    source.onerror = () => {
      own.lost++;
      own.gaveUp ||= source.readyState === EventSource.CLOSED;
    };
    return new Promise((done) => source.addEventListener("ack", done));
  };
  for (const [name, url] of Object.entries(urls)) {
    const { VyomoClient } = await import(`${url}/static/vyomo-rt.js`);
    const own = seen[`client through ${name}`] = { events: [], lost: 0, gaveUp: false };
    const client = new VyomoClient({ transport: "ws" });
    for (const type of ["trade_opened", "trade_closed"]) {
      client.on(type, ({ seq }) => own.events.push(seq));
    }
    client.on("status", ({ state }) => {
      own.lost += state === "waiting";
      own.gaveUp ||= state === "closed";
    });
    client.subscribeSession(sessionId);
    client.connect();
    await Promise.all([
      new Promise((done) => client.on("ack", done)),
      watch(`EventSource through ${name}`, url, 0),
    ]);
  }
}
"""
_COME_LATE = """
(urls) => {
  for (const [name, url] of Object.entries(urls)) watch(`latecomer through ${name}`, url, 0);
}
"""


async def test_pages_come_back_by_themselves_after_a_crash_and_miss_nothing(
    proxies: list[Proxy],
    server_port: int,
    settings_behind_a_proxy: None,
    server_process: MakeServer,
) -> None:
    """Chromium's own EventSource and the client module, on a page of another origin."""
    server = server_process(port=server_port)
    urls = {proxy.name: proxy.site.url for proxy in proxies}
    async with blank_page() as page, aiohttp.ClientSession() as http:
        rest = Rest(await server.start(), http)
        session_id = await rest.new_session()
        await page.evaluate(_WATCH, [urls, session_id])
        trade = await rest.open_trade(session_id)
        await until(partial(everybody_has, page, [1]))

        await server.kill()
        await page.evaluate(_COME_LATE, urls)
        # nginx answers at once; the others hold requests back until the server is there again.
        await until(lambda: page.evaluate("seen['latecomer through nginx'].away"))
        await server_process(port=server_port).start()
        await rest.close_trade(trade["tradeId"], 196.3)
        await until(partial(everybody_has, page, [1, 2]), within_s=60)
        for name, own in (await page.evaluate("seen")).items():
            assert own["lost"] or "latecomer" in name, name
            assert not own["gaveUp"], name


async def everybody_has(page: Page, seqs: list[int]) -> bool:
    """Whether every stream of the page has heard these trade events, each once and in order."""
    seen = await page.evaluate("Object.values(seen)")
    return all(own["events"] == seqs for own in seen)


@asynccontextmanager
async def blank_page() -> AsyncIterator[Page]:
    """A page of the dashboard's origin, in a browser that finds the proxies here."""
    (origin,) = [
        line.partition("=")[2]
        for line in recipe("ini", {}, "env").splitlines()
        if line.startswith("VYOMO_RT_ALLOWED_ORIGINS=")
    ]
    finds_proxies_here = f"--host-resolver-rules=MAP {NAME} 127.0.0.1"
    async with (
        async_playwright() as playwright,
        chromium(playwright, finds_proxies_here) as browser,
    ):
        context = await browser.new_context(ignore_https_errors=True)
        # The dashboard's origin counts as one of the internet, and the proxies are here.
        await context.grant_permissions(["local-network-access"])
        page = await context.new_page()
        await page.route(
            f"{origin}/", lambda route: route.fulfill(body="", content_type="text/html")
        )
        await page.goto(f"{origin}/")
        yield page
