"""Makes keys and tokens, for who has no identity provider."""

from __future__ import annotations

from collections.abc import Sequence
from secrets import token_urlsafe

import jwt

from vyomo_rt.config import Settings
from vyomo_rt.domain.errors import CannotStart
from vyomo_rt.domain.grant import Role
from vyomo_rt.domain.moment import WallMs

_KEY_BYTES = 48
_ID_BYTES = 9


def new_key() -> str:
    """A random key for VYOMO_RT_AUTH_KEY."""
    return token_urlsafe(_KEY_BYTES)


def new_token(
    settings: Settings,
    *,
    subject: str,
    role: Role,
    sessions: Sequence[int] | None,
    life_s: int,
    now_ms: WallMs,
) -> str:
    """A token signed with the key of the settings; without ``sessions``, for all of them.

    Raises CannotStart if that key is missing, or the token would be refused.
    """
    if settings.auth_key is None:
        raise CannotStart(
            "VYOMO_RT_AUTH_KEY is not set, and only with it can tokens be made here: set it to "
            "what the server has, or make one with `vyomo-rt keygen`"
        )
    if life_s > settings.auth_token_life_s:
        raise CannotStart(
            f"--for: a token may live for {settings.auth_token_life_s} s at most "
            "(VYOMO_RT_AUTH_TOKEN_LIFE_S)"
        )
    now_s = now_ms // 1000
    claims: dict[str, object] = {
        "sub": subject,
        "iat": now_s,
        "exp": now_s + life_s,
        "jti": token_urlsafe(_ID_BYTES),
        "role": role.value,
        "sessions": "*" if sessions is None else list(sessions),
    }
    if settings.auth_audience is not None:
        claims["aud"] = settings.auth_audience
    if settings.auth_issuer is not None:
        claims["iss"] = settings.auth_issuer
    return jwt.encode(claims, settings.auth_key.encode(errors="surrogateescape"), "HS256")
