"""Who may ask from where: Host, Origin and CORS, on every kind of answer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import aiohttp
import pytest

from tests.kit.frames import HANDSHAKE, raw_socket
from tests.kit.rest import API, Rest
from tests.kit.server import MakeSettings, serve_here
from tests.kit.streams import event_stream, web_socket
from vyomo_rt.config import load
from vyomo_rt.web.origins import Origins

FRIEND = "https://desk.example"
PATHS = ("/", "/sse/prices?symbols=A", f"{API}/sessions", f"{API}/sessions/99", "/nothing")


@pytest.fixture
async def guarded(make_settings: MakeSettings) -> AsyncIterator[Rest]:
    """A server with a friend and a second name."""
    settings = make_settings(
        allowed_origins=(FRIEND, "null"),
        allowed_hosts=("trade.example",),
    )
    async with serve_here(settings) as rest:
        yield rest


def port_of(rest: Rest) -> int:
    port = urlsplit(rest.url).port
    assert port is not None
    return port


async def status(rest: Rest, path: str, **headers: str) -> tuple[int, dict[str, str], str]:
    """Status, headers and, for a refusal, the problem's words."""
    async with event_stream(rest.url, path, **headers) as answer:
        refused = answer.status in {403, 421}
        detail = (await answer.body())["detail"] if refused else ""
        return answer.status, answer.headers, detail


async def test_only_names_that_cannot_be_pointed_here_by_others_are_served(
    guarded: Rest,
) -> None:
    """Against DNS rebinding: a page of evil.example whose name suddenly leads to this machine."""
    port = port_of(guarded)
    for host in (
        "localhost",
        f"localhost:{port}",
        f"LOCALHOST:{port}",
        f"127.0.0.1:{port}",
        f"[::1]:{port}",
        "192.168.1.20",
        "[2001:db8::1]:80",
        f"trade.example:{port}",
        "Trade.Example",
    ):
        assert (await status(guarded, f"{API}/sessions", Host=host))[0] == 200, host
    for host in (
        f"evil.example:{port}",
        "localhost.evil.example",
        "evil.example.localhost.",
        "127.0.0.1.evil.example",
        "sub.trade.example",
        "localhost@evil.example",
        "evil.example#localhost",
        "[::1",
        "localhost:x",
    ):
        code, _, detail = await status(guarded, f"{API}/sessions", Host=host)
        assert code == 421, host
        assert "VYOMO_RT_ALLOWED_HOSTS" in detail, "a refusal names what would allow it"


async def test_names_match_with_and_without_the_dot_of_the_root_and_so_does_a_page_of_a_file(
    make_settings: MakeSettings,
) -> None:
    environ = {
        "VYOMO_RT_ALLOWED_ORIGINS": "https://desk.example., http://b.example:81, file://",
        "VYOMO_RT_ALLOWED_HOSTS": "trade.example., other.example",
    }
    read, _ = load({}, environ)
    settings = make_settings(allowed_origins=read.allowed_origins, allowed_hosts=read.allowed_hosts)
    async with serve_here(settings) as rest:
        for host in ("trade.example", "trade.example.:4025", "other.example.", "OTHER.example"):
            assert (await status(rest, f"{API}/sessions", Host=host))[0] == 200, host
        for origin in (
            FRIEND,
            f"{FRIEND}.",
            "http://b.example:81",
            "http://b.example.:81",
            "file://",
        ):
            code, headers, _ = await status(rest, f"{API}/sessions", Origin=origin)
            assert (code, headers["access-control-allow-origin"]) == (200, origin)
        for origin in (f"{FRIEND}..", "http://b.example", "file://x"):
            assert (await status(rest, f"{API}/sessions", Origin=origin))[0] == 403, origin


async def test_the_host_is_checked_on_every_path_but_those_of_operations(guarded: Rest) -> None:
    for path in PATHS:
        assert (await status(guarded, path, Host="evil.example"))[0] == 421, path
    for open_path in ("/livez", "/readyz"):
        assert (await status(guarded, open_path, Host="evil.example"))[0] == 200


async def test_the_host_of_a_websocket_is_checked_before_its_handshake(guarded: Rest) -> None:
    async with raw_socket(guarded.url) as raw:
        handshake = HANDSHAKE.replace("Host: localhost", "Host: evil.example")
        await raw.send(handshake.encode())
        assert (await raw.head()).startswith("HTTP/1.1 421")


async def test_a_websocket_or_a_stream_of_a_strange_origin_is_refused(guarded: Rest) -> None:
    strange = "https://evil.example"
    with pytest.raises(aiohttp.WSServerHandshakeError) as refusal:
        async with web_socket(guarded.url, Origin=strange):
            pass
    assert refusal.value.status == 403
    for path in PATHS:
        code, headers, detail = await status(guarded, path, Origin=strange)
        assert code == 403, path
        assert "VYOMO_RT_ALLOWED_ORIGINS" in detail
        assert "access-control-allow-origin" not in headers
        assert headers["vary"] == "Origin"


async def test_origins_that_are_none_are_refused_and_never_a_failure(guarded: Rest) -> None:
    for origin in (
        "evil.example",
        "é",
        "http://",
        "http://[::1",
        "http://localhost:99999999",
        "http://localhost:80:80",
        "http://localhost.evil.example",
        "http://localhost@evil.example",
        "http://evil.example/localhost",
        "file://",
    ):
        assert (await status(guarded, "/livez", Origin=origin))[0] == 403, origin


async def test_an_allowed_origin_gets_cors_on_every_answer_errors_and_streams_too(
    guarded: Rest,
) -> None:
    for path in PATHS:
        code, headers, _ = await status(guarded, path, Origin=FRIEND)
        assert code in {200, 404}, path
        assert headers["access-control-allow-origin"] == FRIEND
        assert "Origin" in headers["vary"]
        assert "Idempotency-Replayed" in headers["access-control-expose-headers"]
    async with web_socket(guarded.url, Origin=FRIEND) as ws:
        assert (await ws.ask("ping"))["type"] == "pong"
    _, headers, _ = await status(guarded, "/livez", Origin="null")
    assert headers["access-control-allow-origin"] == "null", "because it is in the list here"


async def test_only_a_page_that_is_named_may_send_cookies_along(guarded: Rest) -> None:
    """Such as the login of a proxy; any sandboxed page is "null", any program a localhost."""
    header = "access-control-allow-credentials"
    for method in ("GET", "OPTIONS"):
        for path in PATHS:
            async with event_stream(guarded.url, path, method=method, Origin=FRIEND) as answer:
                assert answer.headers[header] == "true", (method, path)
    for origin in ("null", "http://localhost:5173"):
        _, headers, _ = await status(guarded, "/livez", Origin=origin)
        assert headers["access-control-allow-origin"] == origin
        assert header not in headers


async def test_null_is_refused_unless_it_is_in_the_list(server: Rest) -> None:
    assert (await status(server, "/livez", Origin="null"))[0] == 403


async def test_the_servers_own_pages_need_no_cors(guarded: Rest) -> None:
    port = port_of(guarded)
    for host, origin in (
        (f"127.0.0.1:{port}", f"http://127.0.0.1:{port}"),
        (f"trade.example:{port}", f"http://trade.example:{port}"),
        ("trade.example", "http://trade.example"),
        ("trade.example", "https://trade.example"),
        ("trade.example:443", "https://trade.example"),
    ):
        code, headers, _ = await status(guarded, "/livez", Host=host, Origin=origin)
        assert code == 200, (host, origin)
        assert "access-control-allow-origin" not in headers
        assert "Origin" in headers["vary"], "a cache must not give this answer to others"
    other_port = await status(
        guarded, "/livez", Host="trade.example", Origin="http://trade.example:1"
    )
    assert other_port[0] == 403


async def test_a_dashboard_in_development_works_from_any_port_of_this_machine(
    server: Rest,
) -> None:
    for origin in ("http://localhost:5173", "http://127.0.0.1:3000", "http://[::1]:8080"):
        code, headers, _ = await status(server, f"{API}/sessions", Origin=origin)
        assert (code, headers["access-control-allow-origin"]) == (200, origin)
        async with web_socket(server.url, Origin=origin) as ws:
            assert (await ws.ask("ping"))["type"] == "pong"


def test_local_pages_are_strangers_to_a_server_that_listens_to_the_world() -> None:
    local, world = (
        Origins(frozenset({FRIEND}), frozenset(), loopback=loopback) for loopback in (True, False)
    )
    assert local.origin_refusal("http://localhost:5173", "192.168.1.20") is None
    assert world.origin_refusal("http://localhost:5173", "192.168.1.20") is not None
    assert world.origin_refusal(FRIEND, "192.168.1.20") is None
    assert world.origin_refusal("http://192.168.1.20", "192.168.1.20") is None
    assert world.origin_refusal(None, "192.168.1.20") is None


async def test_a_preflight_is_answered_for_friends_only(guarded: Rest) -> None:
    path = f"{API}/sessions"
    asked = {
        "Access_Control_Request_Method": "POST",
        "Access_Control_Request_Headers": "content-type, idempotency-key",
    }
    async with event_stream(guarded.url, path, method="OPTIONS", Origin=FRIEND, **asked) as answer:
        assert answer.status == 204
        assert answer.headers["access-control-allow-origin"] == FRIEND
        allowed = {h.strip() for h in answer.headers["access-control-allow-headers"].split(",")}
        assert allowed == {"Authorization", "Content-Type", "Idempotency-Key", "Last-Event-ID"}
        methods = {m.strip() for m in answer.headers["access-control-allow-methods"].split(",")}
        assert methods == {"GET", "HEAD", "POST", "PATCH", "DELETE", "OPTIONS"}, "what it has"
        assert "Origin" in answer.headers["vary"]
    strange = "https://evil.example"
    async with event_stream(guarded.url, path, method="OPTIONS", Origin=strange, **asked) as answer:
        assert answer.status == 403
        assert "access-control-allow-origin" not in answer.headers
