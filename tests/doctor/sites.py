"""A real nginx with a site for each fault that a proxy can have."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

from tests.kit.machine import program
from tests.kit.waiting import until

_HOST = "proxy_set_header Host $http_host;"
_UPGRADE = (
    "proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; "
    "proxy_set_header Connection $upgrade;"
)
_WHOLE_SITES = {
    "good": "",
    "without upgrade": "-upgrade",
    "without host": "-host",
    "other host": '-host proxy_set_header Host "backend.example:81";',
    "gzip": "gzip on; gzip_types text/event-stream; gzip_proxied any; gzip_http_version 1.0;",
    "own caching": "proxy_hide_header Cache-Control; add_header Cache-Control max-age=60;",
    "impatient": "proxy_read_timeout 1s;",
    "no last id": 'proxy_set_header Last-Event-ID "";',
    "cors twice": "add_header Access-Control-Allow-Origin *;",
    "no cors": "proxy_hide_header Access-Control-Allow-Origin;",
}
_ODD_SITES = {
    "nothing behind": "location / { proxy_pass http://127.0.0.1:1; }",
    # What comes in chunks nginx passes on chunk by chunk.
    "buffering": (
        "location / { PASS } location /sse/ { OLD_PASS proxy_ignore_headers X-Accel-Buffering; }"
    ),
    "moved": "return 301 https://elsewhere.example$request_uri;",
    "login": "return 401;",
    "streams only": "location / { PASS } location /livez { return 404; }",
    "no streams": "location / { PASS } location ~ ^/(ws|sse)/ { return 404; }",
    "no rest": "location / { PASS } location /api/ { return 404; }",
    "two servers": "location / { PASS } location /sse/ { OTHER }",
}
SITES = (*_WHOLE_SITES, *_ODD_SITES)


@asynccontextmanager
async def running_nginx(folder: Path, url: str, other_url: str) -> AsyncIterator[dict[str, str]]:
    """The addresses of all sites, before one server (and in one case a second)."""
    nginx = program("nginx", "/usr/sbin/nginx")
    ports = _free_ports(len(SITES))
    (folder / "nginx.conf").write_text(_configuration(ports, url, other_url))
    log = folder / "nginx.log"
    process = await asyncio.create_subprocess_exec(
        *(nginx, "-p", folder, "-c", "nginx.conf", "-e", log, "-g", "daemon off;"),
        stderr=asyncio.subprocess.DEVNULL,
    )

    async def is_open() -> bool:
        assert process.returncode is None, log.read_text()
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", ports[-1])
        except OSError:
            return False
        writer.close()
        return True

    try:
        await until(is_open)
        yield {n: f"http://127.0.0.1:{port}" for n, port in zip(SITES, ports, strict=True)}
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


def _configuration(ports: list[int], url: str, other_url: str) -> str:
    passing = f"proxy_pass {url}; {_HOST} {_UPGRADE}"
    bodies = []
    for lines in _WHOLE_SITES.values():
        body = passing
        for name, line in (("-upgrade", _UPGRADE), ("-host", _HOST)):
            if name in lines:
                body, lines = body.replace(line, ""), lines.replace(name, "")  # noqa: PLW2901
        bodies.append(f"location / {{ {body} {lines} }}")
    for body in _ODD_SITES.values():
        elsewhere = passing.replace(url, other_url)
        over_http_1_0 = passing.replace(_UPGRADE, "proxy_http_version 1.0;")
        whole = body.replace("OLD_PASS", over_http_1_0).replace("PASS", passing)
        bodies.append(whole.replace("OTHER", elsewhere))
    servers = "".join(
        f"server {{ listen 127.0.0.1:{port}; {body} }}\n"
        for port, body in zip(ports, bodies, strict=True)
    )
    temporary = "".join(
        f"{name}_temp_path temp;" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    # Its workers must reach the test's folder, which only its owner can enter.
    user = "user root;" if os.getuid() == 0 else ""
    return (
        f"{user} pid nginx.pid; events {{ worker_connections 256; }}\n"
        f"http {{ access_log off; {temporary}\n"
        'map $http_upgrade $upgrade { default upgrade; "" ""; }\n'
        f"{servers}}}\n"
    )


def _free_ports(n: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(n)]
        return [sock.getsockname()[1] for sock in sockets]
