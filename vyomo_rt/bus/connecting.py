"""How a node connects to NATS, and in which words it fails; the only place that loads nats-py."""

from __future__ import annotations

import asyncio
import random
import ssl
from pathlib import Path
from typing import Any

from nats import errors
from nats.aio.client import Client
from nats.aio.transport import TcpTransport
from yarl import URL

from vyomo_rt.domain.errors import CannotStart

FAILED = (errors.Error, OSError, TimeoutError)
"""What the driver raises when it cannot do what is asked."""
NOT_SENT = (errors.NoRespondersError, errors.OutboundBufferLimitError)
"""What it raises for a request that certainly reached nobody."""

_RECONNECT_S = (0.25, 1.0)
_CONNECT_S = 2
_PING_S = 2
_UNSENT_BYTES = 8 * 1024 * 1024
"""So much may wait for a NATS that reads nothing, until the pings notice."""


class SafeClient(Client):
    """A client that sends nothing to a server without TLS if it is to have it, and says at once.

    nats-py leaves that to the server, whatever the URL says. It also leaves the socket open of each
    attempt that fails after a connection was lost. What it publishes goes out some turns of the
    loop later, which is after all that the loop has to write before. Each version of it is tried
    before it is allowed: this uses parts of it that are its own.
    """

    requires_tls = False
    _socket: asyncio.WriteTransport

    def say(self, subject: str, message: bytes) -> None:
        """Publish now. What cannot be sent is dropped: others find the gap."""
        size = len(message)
        if (
            self.is_connected
            and size <= self.max_payload
            and self._socket.get_write_buffer_size() <= _UNSENT_BYTES
        ):
            self._socket.write(b"PUB %b %d\r\n%b\r\n" % (subject.encode(), size, message))

    async def _process_connect_init(self) -> None:
        await super()._process_connect_init()
        assert isinstance(self._transport, TcpTransport)
        assert self._transport._io_writer is not None  # noqa: SLF001
        self._socket = self._transport._io_writer.transport  # noqa: SLF001
        # Otherwise it would wait until the loop has done all that it can do without waiting.
        self._socket.set_write_buffer_limits(high=1)

    async def _process_info(self, info: dict[str, Any], initial_connection: bool = False) -> None:
        if self.requires_tls and initial_connection and not info.get("tls_required"):
            raise errors.SecureConnRequiredError
        await super()._process_info(info, initial_connection)

    async def _connect_to_server(self, s: Any) -> None:
        self._close_socket()
        await super()._connect_to_server(s)

    async def close(self) -> None:
        """Also while it is connecting again, when it takes itself for closed; or cancelled."""
        try:
            await super().close()
        finally:
            self._close_socket()

    def _close_socket(self) -> None:
        if self._transport is not None:
            self._transport.close()  # type: ignore[no-untyped-call]


def new_client(requires_tls: bool) -> SafeClient:
    """A client that is not connected."""
    client = SafeClient()
    client.requires_tls = requires_tls
    return client


def options(url: str, credentials: Path | None, ca: Path | None) -> dict[str, Any]:
    """How to connect, for ever. Raises CannotStart if a file cannot be used.

    nats-py takes a user and a password in a URL as they are written there, escaped; and only for
    the servers that are named, not for those that these tell of.
    """
    urls = [URL(part) for part in url.split(",")]
    given: dict[str, Any] = {
        "servers": [str(each.with_user(None)) for each in urls],
        "name": "vyomo-rt",
        "no_echo": True,
        "pending_size": 0,
        "connect_timeout": _CONNECT_S,
        "max_reconnect_attempts": -1,
        "reconnect_time_wait": pause_s(),
        "ping_interval": _PING_S,
        "max_outstanding_pings": 1,
    }
    for each in urls:
        if each.password is not None:
            given |= {"user": each.user or "", "password": each.password}
        elif each.user is not None:
            given["token"] = each.user
    if credentials is not None:
        given |= _signing(credentials)
    if ca is not None:
        given["tls"] = _context(ca)
    return given


def requires_tls(url: str, ca: Path | None) -> bool:
    """Whether nothing may be sent in the open."""
    return ca is not None or url.startswith("tls://") or ",tls://" in url


def pause_s() -> float:
    """Between two attempts: not all nodes come back in the same moment."""
    return random.uniform(*_RECONNECT_S)  # noqa: S311


def reason(error: Exception) -> str:
    """Why NATS cannot be used, and what to do; never with a secret."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return (
            f"its certificate is not trusted ({error.verify_message}): "
            "name its authority in VYOMO_RT_NATS_CA_FILE"
        )
    if isinstance(error, errors.SecureConnRequiredError):
        return "it offers no TLS, which tls:// or VYOMO_RT_NATS_CA_FILE demands: nothing was sent"
    if "authorization violation" in str(error).lower():
        return (
            "it does not let this node in: check VYOMO_RT_NATS_CREDENTIALS_FILE, or the user and "
            "the password in VYOMO_RT_NATS_URL"
        )
    return str(error).removeprefix("nats: ") or type(error).__name__


def _context(ca: Path) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=str(ca))
    except (OSError, ssl.SSLError) as error:
        raise CannotStart(f"VYOMO_RT_NATS_CA_FILE: {ca} cannot be used: {error}") from error


def _signing(file: Path) -> dict[str, Any]:
    """A file of ``nsc`` with a JWT and a seed, or one that holds nothing but a user's seed."""
    try:
        text = file.read_text("ascii")
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text"
        raise CannotStart(
            f"VYOMO_RT_NATS_CREDENTIALS_FILE: {file} cannot be read: {why}"
        ) from error
    seeds = [line.strip() for line in text.splitlines() if line.startswith("SU")]
    if len(seeds) != 1:
        raise CannotStart(
            f"VYOMO_RT_NATS_CREDENTIALS_FILE: {file} holds no seed of a user, a line that begins "
            "with SU: write the path of a .creds file"
        )
    if "BEGIN NATS USER JWT" in text:
        return {"user_credentials": str(file)}
    return {"nkeys_seed_str": seeds[0]}
