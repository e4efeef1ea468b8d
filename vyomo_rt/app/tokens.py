"""The commands on keys and tokens: ``keygen``, ``token`` and ``check-token``."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from vyomo_rt.access.issuing import new_key, new_token
from vyomo_rt.access.tokens import Tokens
from vyomo_rt.clockwork import wall_now
from vyomo_rt.config import Settings
from vyomo_rt.domain.errors import CannotStart, Unauthorized, Unavailable
from vyomo_rt.domain.grant import Grant, Role
from vyomo_rt.domain.moment import iso

_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86400}

keygen = new_key


class UsageError(CannotStart):
    """A flag cannot be used; the text names it."""

    exit_code = 2


def make_token(settings: Settings, *, sub: str, role: str, sessions: str, life: str) -> str:
    """A token as the flags describe it. Raises CannotStart."""
    roles = [each.value for each in Role]
    if role not in roles:
        raise UsageError(f"--role: expected one of {', '.join(roles)}, got {role!r}")
    if not (0 < len(sub) <= 256 and sub.isprintable()):
        raise UsageError("--sub: expected 1 to 256 printable characters")
    return new_token(
        settings,
        subject=sub,
        role=Role(role),
        sessions=_sessions(sessions),
        life_s=_life_s(life),
        now_ms=wall_now(),
    )


async def check_token(settings: Settings, token: str, say: Callable[[str], None]) -> bool:
    """Whether a server with these settings takes a token; says why not, or what it allows.

    Only the server knows which tokens were revoked. Raises CannotStart.
    """
    if not settings.has_key:
        raise CannotStart("VYOMO_RT_AUTH_KEY is not set: without a key every token is ignored")
    try:
        grant = await Tokens(settings, wall_now).grant(token)
    except (Unauthorized, Unavailable) as error:
        say(f"refused: {error}")
        return False
    say(f"good: {_in_words(grant)}")
    return True


def _in_words(grant: Grant) -> str:
    which = "all" if not grant.is_limited else ", ".join(map(str, sorted(grant.sessions or ())))
    until = "" if grant.expires_at_ms is None else iso(grant.expires_at_ms)
    return f"sub {grant.subject}, role {grant.role}, sessions {which or 'its own'}, until {until}"


def _sessions(text: str) -> Sequence[int] | None:
    if text.strip() == "*":
        return None
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not all(re.fullmatch(r"[1-9][0-9]{0,17}", part) for part in parts):
        raise UsageError(f"--sessions: expected ids such as 6,7, or *, got {text!r}")
    return list(map(int, parts))


def _life_s(text: str) -> int:
    match = re.fullmatch(r"([1-9][0-9]{0,8})([smhd])", text)
    if match is None:
        raise UsageError(f"--for: expected a time such as 30m, 8h or 1d, got {text!r}")
    return int(match[1]) * _UNITS_S[match[2]]
