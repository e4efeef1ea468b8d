"""The WebSocket handshake: what RFC 6455 and RFC 9110 require of a request, and the answer."""

from __future__ import annotations

from base64 import b64decode
from binascii import Error as Base64Error

from aiohttp import HttpVersion11, hdrs, web
from wsproto.utilities import generate_accept_token

from vyomo_rt.domain.errors import BadRequest

VERSION = "13"
PROTOCOL = "vyomo-rt.v1"
_TOKEN_PREFIX = "vyomo-rt.token."  # noqa: S105
_KEY_BYTES = 16


class WrongVersion(BadRequest):
    """The client speaks another version of the protocol: answered by 426, naming ours."""


def accepting(request: web.Request) -> dict[str, str]:
    """The headers that accept a handshake. Raises BadRequest, whose text holds no secret."""
    if request.version < HttpVersion11:
        raise BadRequest(
            "a WebSocket needs HTTP/1.1, but this is HTTP/1.0: does a proxy use it?",
            "Upgrade",
        )
    wants_it = "websocket" in _tokens(request, hdrs.UPGRADE)
    if not wants_it or "upgrade" not in _tokens(request, hdrs.CONNECTION):
        raise BadRequest(
            "this is a WebSocket, but the request does not ask for one: Upgrade: websocket and "
            "Connection: Upgrade are needed, and a proxy on the way has to pass them on",
            "Connection" if wants_it else "Upgrade",
        )
    if _values(request, hdrs.SEC_WEBSOCKET_VERSION) != [VERSION]:
        name = "Sec-WebSocket-Version"
        raise WrongVersion(f"{name}: only {VERSION} is supported", name)
    headers = {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Accept": generate_accept_token(_key(request)).decode(),
    }
    if protocol := _protocol(request):
        headers["Sec-WebSocket-Protocol"] = protocol
    return headers


def offered_tokens(request: web.Request) -> list[str]:
    """The tokens that are offered as subprotocols: where browsers may put one."""
    offered = _values(request, hdrs.SEC_WEBSOCKET_PROTOCOL)
    return [
        name[len(_TOKEN_PREFIX) :] for name in offered if name.lower().startswith(_TOKEN_PREFIX)
    ]


def _key(request: web.Request) -> bytes:
    keys = _values(request, hdrs.SEC_WEBSOCKET_KEY)
    try:
        if len(keys) == 1 and len(b64decode(keys[0], validate=True)) == _KEY_BYTES:
            return keys[0].encode()
    except (Base64Error, ValueError):
        pass
    name = "Sec-WebSocket-Key"
    raise BadRequest(f"{name}: expected {_KEY_BYTES} bytes as base64, once", name)


def _protocol(request: web.Request) -> str | None:
    """The subprotocol to answer with: a browser that offers some and gets none closes."""
    offered = _values(request, hdrs.SEC_WEBSOCKET_PROTOCOL)
    names = [name for name in offered if not name.lower().startswith(_TOKEN_PREFIX)]
    if offered and not names:
        name = "Sec-WebSocket-Protocol"
        raise BadRequest(f"{name}: only a token is offered: offer {PROTOCOL} as well", name)
    if PROTOCOL in names:
        return PROTOCOL
    return names[0] if names else None


def _tokens(request: web.Request, header: str) -> list[str]:
    return [value.lower() for value in _values(request, header)]


def _values(request: web.Request, header: str) -> list[str]:
    """The members of a list header, from all its lines."""
    lines = request.headers.getall(header, [])
    return [value for line in lines for part in line.split(",") if (value := part.strip())]
