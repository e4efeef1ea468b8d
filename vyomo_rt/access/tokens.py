"""Tokens: what is asked of one, and the grant that it stands for."""

from __future__ import annotations

from base64 import urlsafe_b64decode
from collections.abc import Iterable, Sequence
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from vyomo_rt.access.jwks import Jwks
from vyomo_rt.access.keys import Algorithm, Key, keys_of
from vyomo_rt.config import Settings
from vyomo_rt.domain.errors import BadRequest, Unauthorized, Unavailable
from vyomo_rt.domain.grant import Grant, Role
from vyomo_rt.domain.moment import WallClock, WallMs
from vyomo_rt.wire import decoding
from vyomo_rt.wire.values import MAX_INT

LEEWAY_MS = 30_000
"""How much the clock of who signs may differ from this one."""

MAX_TOKEN_LENGTH = 16 * 1024
_MAX_NAME_LENGTH = 256
_ALGORITHMS: frozenset[Algorithm] = frozenset(("HS256", "RS256", "ES256", "EdDSA"))

_Moment = int | float
_SessionId = Annotated[int, Meta(ge=1, le=MAX_INT)]


class _Claims(Struct):
    """What a token says; the rest of it is ignored."""

    sub: str
    exp: _Moment
    iat: _Moment
    nbf: _Moment | None = None
    jti: str | None = None
    role: str = Role.VIEWER.value
    sessions: list[_SessionId] | Literal["*"] = []
    aud: str | list[str] | None = None
    iss: str | None = None


class Tokens:
    """Verifies tokens by the keys of the settings and of an identity provider."""

    def __init__(self, settings: Settings, now: WallClock) -> None:
        """Raises CannotStart for keys that cannot be used."""
        self._keys = keys_of(settings)
        url = settings.auth_jwks_url
        self._jwks = None if url is None else Jwks(url)
        self._life_s = settings.auth_token_life_s
        self._audience = settings.auth_audience
        self._issuer = settings.auth_issuer
        self._now = now

    async def grant(self, token: str) -> Grant:
        """What a token allows. Raises Unauthorized with the reason, but not with the key.

        Raises Unavailable while nothing is known of an identity provider's keys.
        """
        payload = await self._payload(token)
        try:
            claims = _claims(payload)
        except BadRequest as error:
            raise Unauthorized(f"the token is incomplete or wrong: {error}") from None
        if why := self._fault_in(claims):
            raise Unauthorized(why)
        everything = claims.sessions == "*"
        return Grant(
            subject=claims.sub,
            role=Role(claims.role),
            sessions=None if everything else frozenset(map(int, claims.sessions)),
            expires_at_ms=_ms(claims.exp),
            issued_at_ms=_ms(claims.iat),
            token_id=claims.jti,
        )

    async def _payload(self, token: str) -> bytes:
        algorithm, kid = _head(token)
        if (found := self._read(token, algorithm, kid)) is not None:
            return found
        if self._jwks is not None and algorithm != "HS256":
            if await self._jwks.refresh():
                found = self._read(token, algorithm, kid)
            elif not self._jwks.keys:
                raise Unavailable("the keys for tokens cannot be fetched now; try again later")
        if found is None:
            raise Unauthorized("the token is not signed with a key that counts here")
        return found

    def _read(self, token: str, algorithm: str, kid: str | None) -> bytes | None:
        """What a token says, by the first key that fits."""
        if self._jwks is not None:
            self._jwks.refresh_if_old()
        fitting = (key for key in self._known() if key.algorithm == algorithm)
        named = (key for key in fitting if None in (kid, key.kid) or key.kid == kid)
        return next((said for key in named if (said := key.payload(token)) is not None), None)

    def _known(self) -> Iterable[Key]:
        fetched: Sequence[Key] = () if self._jwks is None else self._jwks.keys
        return (key for key in (*self._keys, *fetched) if key.counts_at(self._now()))

    def _fault_in(self, claims: _Claims) -> str | None:
        """Why a signed token is no good, in words."""
        for name, text in (("sub", claims.sub), ("jti", claims.jti)):
            if text is not None and not (0 < len(text) <= _MAX_NAME_LENGTH and text.isprintable()):
                return f"the token's {name} is not 1 to {_MAX_NAME_LENGTH} printable characters"
        if claims.role not in {role.value for role in Role}:
            return f"the token's role {claims.role[:40]!r} is unknown"
        if self._issuer is not None and claims.iss != self._issuer:
            return "the token is of another issuer (iss)"
        if self._audience is not None and self._audience not in _listed(claims.aud):
            return "the token is for somebody else (aud)"
        return self._fault_in_times(claims)

    def _fault_in_times(self, claims: _Claims) -> str | None:
        now_ms = self._now()
        if claims.exp - claims.iat > self._life_s:
            return f"the token lives longer than {self._life_s} s, from iat to exp"
        if _ms(claims.exp) <= now_ms - LEEWAY_MS:
            return "the token has expired"
        if _ms(claims.iat) > now_ms + LEEWAY_MS:
            return "the token was issued in the future (iat): is a clock wrong?"
        if claims.nbf is not None and _ms(claims.nbf) > now_ms + LEEWAY_MS:
            return "the token is not valid yet (nbf)"
        return None


def _head(token: str) -> tuple[str, str | None]:
    """The algorithm and the key that a token names: what to look for, not what to believe.

    Here it is only read; whether it is well-formed is decided with the signature.
    """
    if len(token) > MAX_TOKEN_LENGTH:
        raise Unauthorized(f"the token is longer than {MAX_TOKEN_LENGTH} characters")
    if "=" in token:
        # RFC 7515 has no padding: a token has one spelling.
        raise Unauthorized("this is no token: expected a JWT")
    try:
        found = msgspec.json.decode(urlsafe_b64decode(token.partition(".")[0] + "=="))
    except (ValueError, RecursionError):
        raise Unauthorized("this is no token: expected a JWT") from None
    if not isinstance(found, dict):
        raise Unauthorized("this is no token: expected a JWT")
    algorithm, kid = found.get("alg"), found.get("kid")
    if not isinstance(algorithm, str) or algorithm not in _ALGORITHMS:
        raise Unauthorized("the token is not signed with a key that counts here")
    return algorithm, kid if isinstance(kid, str) else None


def _claims(payload: bytes) -> _Claims:
    """Raises BadRequest."""
    try:
        found = msgspec.json.decode(payload)
    except (ValueError, RecursionError):
        raise BadRequest("it is not JSON") from None
    if isinstance(found, dict):
        found = {name: value for name, value in found.items() if value is not None}
    return decoding.convert(found, _Claims)


def _ms(moment_s: _Moment) -> WallMs:
    return WallMs(int(moment_s * 1000))


def _listed(audience: str | list[str] | None) -> Sequence[str]:
    if audience is None:
        return ()
    return [audience] if isinstance(audience, str) else audience
