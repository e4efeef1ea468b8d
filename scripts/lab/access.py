"""What a token and a question about rights cost, measured on the code that answers both."""

from __future__ import annotations

import tempfile
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from statistics import median
from time import process_time
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from vyomo_rt.access.tokens import Tokens
from vyomo_rt.clockwork import wall_now
from vyomo_rt.config import Settings
from vyomo_rt.domain.errors import NotFound
from vyomo_rt.domain.grant import Grant, Need, Role
from vyomo_rt.trading.owners import Owners

TOKEN_US, COMMAND_US = 150.0, 1.0
"""The budgets."""

_TOKENS_A_ROUND, _QUESTIONS_A_ROUND = 300, 20_000
_SESSIONS = range(1, 101)
_OWN, _NAMED, _FOREIGN = 1, 2, 4
_SECRET = "a secret as long as a hash of it, and a little more"  # noqa: S105 (it guards nothing)
_PAIRS: dict[str, Callable[[], Any]] = {
    "RS256": lambda: rsa.generate_private_key(65537, 2048),
    "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate,
}


class _NoJournal:
    """Of a subject that has made every other session."""

    async def sessions_owned_by(self, _: str) -> Sequence[int]:
        return _SESSIONS[::2]


async def measure(rounds: int) -> dict[str, float]:
    """Microseconds of one core for each kind of token and question: the median of some rounds."""
    figures = {"token HS256": await _token(Settings(auth_key=_SECRET), _SECRET, "HS256", rounds)}
    for algorithm, make in _PAIRS.items():
        pair = make()
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "key.pem")
            public = pair.public_key()
            _write(path, public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
            settings = Settings(auth_public_keys=(str(path),))
            figures[f"token {algorithm}"] = await _token(settings, pair, algorithm, rounds)
    return figures | await _rights(rounds)


def _write(path: Path, data: bytes) -> None:
    path.write_bytes(data)


async def _token(settings: Settings, key: Any, algorithm: str, rounds: int) -> float:
    tokens, now_s = Tokens(settings, wall_now), wall_now() // 1000
    claims = {"sub": "asha", "iat": now_s, "exp": now_s + 3600, "role": "trader", "sessions": [6]}
    text = jwt.encode(claims, key, algorithm)

    async def verify() -> None:
        for _ in range(_TOKENS_A_ROUND):
            await tokens.grant(text)

    return await _median_us(verify, _TOKENS_A_ROUND, rounds)


async def _rights(rounds: int) -> dict[str, float]:
    owners = Owners(_NoJournal())  # type: ignore[arg-type] # it asks for nothing else
    grant = Grant("asha", Role.TRADER, frozenset(_SESSIONS[1::4]), None)
    await owners.in_reach(grant)

    async def ask(session_id: int) -> None:
        for _ in range(_QUESTIONS_A_ROUND):
            owners.ask(grant, Need.TRADE, session_id)

    async def be_refused() -> None:
        for _ in range(_QUESTIONS_A_ROUND):
            with suppress(NotFound):
                owners.ask(grant, Need.TRADE, _FOREIGN)

    return {
        "rights named": await _median_us(partial(ask, _NAMED), _QUESTIONS_A_ROUND, rounds),
        "rights own": await _median_us(partial(ask, _OWN), _QUESTIONS_A_ROUND, rounds),
        # With the error that it makes.
        "refused foreign": await _median_us(be_refused, _QUESTIONS_A_ROUND, rounds),
    }


async def _median_us(act: Callable[[], Awaitable[None]], times: int, rounds: int) -> float:
    costs = []
    for _ in range(rounds):
        began_s = process_time()
        await act()
        costs.append((process_time() - began_s) / times * 1_000_000)
    return median(costs)
