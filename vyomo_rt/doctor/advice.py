"""What an HTTP refusal means, and which setting to change."""

from __future__ import annotations

import re
from collections.abc import Mapping

from yarl import URL

UPGRADE = {
    "nginx": "`proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; "
    'proxy_set_header Connection "upgrade";`',
    "Apache": "`ProxyPass ... upgrade=websocket`",
}
UNBUFFERED = {
    "nginx": "`proxy_buffering off;`, and no `proxy_ignore_headers X-Accel-Buffering`",
    "Caddy": "`flush_interval -1`",
    "Apache": "`ProxyPass ... flushpackets=on`",
}
NOT_COMPRESSED = {
    "nginx": "take text/event-stream out of `gzip_types`",
    "HAProxy": "take text/event-stream out of `compression type`",
    "Apache": "`SetEnv no-gzip 1`",
}
LONG_LIVED = {
    "nginx": "`proxy_read_timeout 1h;`",
    "HAProxy": "`timeout tunnel 1h` for WebSocket, `timeout server 1h` for SSE",
    "Apache": "`ProxyTimeout 3600`",
}
SAME_HOST = {
    "nginx": "`proxy_set_header Host $http_host;`",
    "Apache": "`ProxyPreserveHost On`",
}
_NO_SERVER = (
    "cannot reach the server: is vyomo-rt running where the proxy looks for it (in nginx: "
    "`proxy_pass`)?"
)
_FOREIGN = {
    401: "asks for a login: let these paths pass without one",
    403: "forbids it: allow these paths there",
    404: "has nothing at this path: let it forward the path to vyomo-rt",
    407: "asks for a login: let these paths pass without one",
    429: "limits the number of requests: raise its limit",
    502: _NO_SERVER,
    503: _NO_SERVER,
    504: _NO_SERVER,
}
"""What a status means that something other than the server answered."""


def directive(proxy: str, directives: Mapping[str, str]) -> str:
    """The directive for the proxy in between, or for each known proxy if it gives no name."""
    for name, text in directives.items():
        if name.lower() in proxy.lower():
            return f"in {name}: {text}"
    return "; ".join(f"in {name}: {text}" for name, text in directives.items())


def refusal(url: URL, proxy: str, status: int, problem: Mapping[str, object], location: str) -> str:
    """Why a request was refused, and what to set.

    ``problem`` is the server's own account of it (empty if the answer is somebody else's),
    ``location`` where a redirect leads.
    """
    said = problem.get("detail")
    if status == 421:
        return _host_refused(url, proxy, str(said))
    if location:
        return (
            f"redirected to {location} ({status}), but streams follow no redirect: use the address "
            "that it leads to, here and in the clients"
        )
    if said or status not in _FOREIGN:
        return f"refused with {status}: {said or 'no reason given'}"
    return f"{proxy or 'something in between'} {_FOREIGN[status]} ({status})"


def _host_refused(url: URL, proxy: str, said: str) -> str:
    """The Host that arrived, which may not be the one that was sent."""
    match = re.search(r"host '([^']*)'", said)
    arrived = match[1] if match else url.authority
    if arrived not in (url.authority, url.host):
        return (
            f"the server got Host {arrived!r} in place of {url.authority!r}, and refuses it (421): "
            f"{directive(proxy, SAME_HOST)}, or give the server VYOMO_RT_ALLOWED_HOSTS="
            f"{URL(f'http://{arrived}').host}"
        )
    return (
        f"the server does not serve the name {url.host!r} (421): start it with "
        f"VYOMO_RT_ALLOWED_HOSTS={url.host}"
    )
