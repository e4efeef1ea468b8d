"""What the doctor says of a server behind a real nginx, set up well and badly."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import NamedTuple

import pytest
import pytest_asyncio

from tests.doctor.looking import look
from tests.doctor.sites import SITES, running_nginx
from tests.kit.rest import Rest
from tests.kit.server import serve_here
from tests.kit.store import new_database
from vyomo_rt.config import Settings

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.xdist_group("nginx")]


class Nginx(NamedTuple):
    """The addresses of the sites, and the server behind them."""

    sites: dict[str, str]
    rest: Rest


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def standing_nginx(
    embedded_uri: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Nginx]:
    """One nginx with a site for each fault, before a server with a session and a price."""
    folder = tmp_path_factory.mktemp("nginx")
    # Not on loopback only, where pages of any local port may connect.
    settings = Settings(
        host="0.0.0.0",
        allow_open=True,
        port=0,
        mongo_uri=new_database(embedded_uri),
        allowed_origins=("https://my.app",),
    )
    other = Settings(port=0, mongo_uri=new_database(embedded_uri))
    async with serve_here(settings) as rest, serve_here(other) as elsewhere:
        for server in (rest, elsewhere):
            await server.tick("NIFTY", 22150.5)
            trade = await server.open_trade(await server.new_session())
            await server.close_trade(trade["tradeId"], 196.3)
        async with running_nginx(folder, rest.url, elsewhere.url) as sites:
            yield Nginx(sites, rest)


@pytest_asyncio.fixture(loop_scope="module")
async def nginx(standing_nginx: Nginx) -> Nginx:
    """Its server may write, and its price is fresh, however long the tests before took."""
    await standing_nginx.rest.ready()
    await standing_nginx.rest.tick("NIFTY", 22150.5)
    return standing_nginx


async def test_a_good_proxy_is_named_and_all_is_well(nginx: Nginx) -> None:
    seen = await look(nginx.sites["good"])
    assert (seen.code, seen.lines[-1], seen.ill) == (0, "No problems found.", [])
    assert ", through nginx/" in seen.of("http")
    assert "`--idle 70`" in seen.of("idle")
    assert seen.of("resumption").startswith("✓ resumption  2 missed events are replayed")


async def test_it_changes_nothing_on_the_server(nginx: Nginx) -> None:
    async def state() -> list[object]:
        paths = ("/sessions", "/sessions/1/events?since=0", "/sessions/1/trades", "/prices")
        return [(await nginx.rest.call("GET", path))[1] for path in paths]

    before = await state()
    await look(nginx.sites["good"], symbol="UNHEARD")
    after = await state()
    assert [drop_moments(part) for part in after] == [drop_moments(part) for part in before]


def drop_moments(found: object) -> object:
    """Without the moments at which an answer was made."""
    if isinstance(found, dict):
        names = found.keys() - {"timestamp", "stale"}
        return {name: drop_moments(found[name]) for name in names}
    return [drop_moments(part) for part in found] if isinstance(found, list) else found


@pytest.mark.parametrize(
    ("site", "name", "says", "advises"),
    [
        (
            "without upgrade",
            "websocket",
            "the Upgrade header does not arrive (refused with 400)",
            "in nginx: `proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade;",
        ),
        (
            "without host",
            "origin",
            "are refused (403), as if the Host that arrives were not the one that was sent",
            "$http_host;`, or start it with VYOMO_RT_ALLOWED_ORIGINS=http://127.0.0.1:",
        ),
        (
            "other host",
            "requests",
            "the server got Host 'backend.example:81' in place of '127.0.0.1:",
            "or give the server VYOMO_RT_ALLOWED_HOSTS=backend.example",
        ),
        (
            "buffering",
            "sse",
            "something in between holds events back, and users see prices late",
            "in nginx: `proxy_buffering off;`",
        ),
        (
            "gzip",
            "sse",
            "something in between compresses it (gzip)",
            "in nginx: take text/event-stream out of `gzip_types`",
        ),
        (
            "own caching",
            "sse",
            "Cache-Control was `no-cache, no-transform` and is `max-age=60` here",
            "let the proxy pass it on as it is",
        ),
        (
            "no last id",
            "resumption",
            "the header Last-Event-ID does not arrive",
            "remove `proxy_set_header Last-Event-ID`",
        ),
        (
            "nothing behind",
            "http",
            "cannot reach the server",
            "is vyomo-rt running where the proxy looks for it (in nginx: `proxy_pass`)? (502)",
        ),
        (
            "moved",
            "http",
            " redirects to https://elsewhere.example: use that address,",
            "in the clients",
        ),
        ("login", "http", "asks for a login", "let these paths pass without one (401)"),
        (
            "streams only",
            "http",
            "/livez answers 404, but the WebSocket speaks the protocol",
            "a proxy that does not forward /livez and /readyz",
        ),
        (
            "no streams",
            "websocket",
            "/ws/auto-trader does not open: nginx/",
            "let it forward the path to vyomo-rt",
        ),
        (
            "two servers",
            "agreement",
            "REST, WebSocket and SSE show different data",
            "let the proxy send all paths to one of them",
        ),
        (
            "no rest",
            "requests",
            "/api/auto-trader: nginx/1",
            "let it forward the path to vyomo-rt (404)",
        ),
    ],
    ids=lambda value: value if value in SITES else "",
)
async def test_a_fault_of_the_proxy_is_named_with_what_to_set(
    nginx: Nginx, site: str, name: str, says: str, advises: str
) -> None:
    seen = await look(nginx.sites[site])
    assert says in seen.of(name)
    assert advises in seen.of(name)
    assert seen.code == (1 if any(line.startswith("✗") for line in seen.ill) else 0)


async def test_quiet_connections_that_a_proxy_cuts_are_named(nginx: Nginx) -> None:
    seen = await look(nginx.sites["impatient"], idle=1.5)
    assert [line.split(" ")[1] for line in seen.ill] == ["idle", "idle"]
    for name, line in zip(("SSE", "the WebSocket"), seen.ill, strict=True):
        assert f"✗ idle        {name} is " in line
        assert re.search(r" after (0\.[5-9]|1\.\d) s ", line), "what came last may have come late"
        assert "in nginx: `proxy_read_timeout 1h;`" in line


@pytest.mark.parametrize(
    ("site", "origin", "says"),
    [
        ("good", "https://my.app", "✓ origin      pages of https://my.app may connect, and read"),
        ("good", "https://other.app", "start the server with VYOMO_RT_ALLOWED_ORIGINS=https://oth"),
        ("cors twice", "https://my.app", "Access-Control-Allow-Origin twice (https://my.app, *)"),
        ("no cors", "https://my.app", "in answers Access-Control-Allow-Origin is missing, so"),
    ],
)
async def test_it_sees_whether_pages_from_elsewhere_may_use_the_server(
    nginx: Nginx, site: str, origin: str, says: str
) -> None:
    seen = await look(nginx.sites[site], origin=origin)
    assert says in seen.of("origin")
