"""The public keys of an identity provider, as it publishes them (RFC 7517)."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Sequence
from time import monotonic
from typing import Any, cast

import aiohttp
import msgspec
from jwt import InvalidKeyError
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from vyomo_rt.access.keys import Key, PublicKey, algorithm_of

log = logging.getLogger(__name__)

TIMEOUT_S = 1.0
REFRESH_AGAIN_S = 10.0
"""However many tokens name keys that are not there."""
OLD_AFTER_S = 300.0
"""After this long the keys are asked for again, so that one that was withdrawn stops to count."""

_MAX_BYTES = 256 * 1024
_MAX_KEYS = 100
_READERS: dict[str, Callable[[Any], Any]] = {
    "RSA": RSAAlgorithm.from_jwk,
    "EC": ECAlgorithm.from_jwk,
    "OKP": OKPAlgorithm.from_jwk,
}


class Jwks:
    """The keys as last fetched; a failed refresh leaves them as they are.

    A token never waits longer than ``TIMEOUT_S``, and all that wait share one request.
    """

    def __init__(self, url: str, time_s: Callable[[], float] = monotonic) -> None:
        self.keys: Sequence[Key] = ()
        self._url = url
        self._time_s = time_s
        self._asked_s = self._fetched_s = -math.inf
        self._flight: asyncio.Task[bool] | None = None

    async def refresh(self) -> bool:
        """Ask for the keys again, unless that was done just now; True if they have come."""
        flight = self._begin()
        return flight is not None and await asyncio.shield(flight)

    def refresh_if_old(self) -> None:
        """Ask behind the caller's back for keys that were fetched long ago."""
        if self._time_s() - self._fetched_s >= OLD_AFTER_S:
            self._begin()

    def _begin(self) -> asyncio.Task[bool] | None:
        if self._flight is None and self._time_s() - self._asked_s >= REFRESH_AGAIN_S:
            self._asked_s = self._time_s()
            self._flight = asyncio.create_task(self._fetch())
            self._flight.add_done_callback(self._landed)
        return self._flight

    def _landed(self, _: object) -> None:
        self._flight = None

    async def _fetch(self) -> bool:
        try:
            async with asyncio.timeout(TIMEOUT_S):
                keys = keys_in(await self._get())
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            why = str(error) or type(error).__name__
            log.warning("the keys for tokens cannot be fetched: %s", why)
            return False
        self.keys, self._fetched_s = keys, self._time_s()
        log.info("fetched %d keys for tokens", len(keys))
        return True

    async def _get(self) -> bytes:
        """The document. Raises ValueError without the address, which may hold a password."""
        async with (
            aiohttp.ClientSession() as http,
            http.get(self._url, allow_redirects=False) as response,
        ):
            if response.status != 200:
                raise ValueError(f"status {response.status}")
            body = b""
            async for chunk in response.content.iter_any():
                body += chunk
                if len(body) > _MAX_BYTES:
                    raise ValueError(f"more than {_MAX_BYTES} bytes")
            return body


def keys_in(document: bytes) -> list[Key]:
    """The keys of a set that can be used here. Raises ValueError if there is none."""
    found = msgspec.json.decode(document)
    rows = found.get("keys") if isinstance(found, dict) else None
    if not isinstance(rows, list):
        raise ValueError("it is no set of keys")
    keys = [key for row in rows[:_MAX_KEYS] if (key := _key_in(row)) is not None]
    if not keys:
        raise ValueError("it holds no key that can be used: RSA, P-256, Ed25519, for signatures")
    return keys


def _key_in(row: Any) -> Key | None:
    """A public key for signatures, never a secret: that would be everybody's."""
    if not isinstance(row, dict) or "d" in row or row.get("use", "sig") != "sig":
        return None
    uses = row.get("key_ops", ["verify"])
    if not isinstance(uses, list) or "verify" not in uses:
        return None
    reader = _READERS.get(str(row.get("kty")))
    try:
        public = None if reader is None else reader(row)
    except (InvalidKeyError, ValueError, TypeError, AttributeError):
        return None
    algorithm, kid = algorithm_of(public), row.get("kid")
    if algorithm is None or row.get("alg", algorithm) != algorithm:
        return None
    return Key(algorithm, cast(PublicKey, public), kid if isinstance(kid, str) else None)
