"""Users of NATS as operators make them with ``nsc``: keys, and tokens signed with these."""

from __future__ import annotations

import base64
import json
import os
import time
from typing import Any, NamedTuple

import nkeys  # type: ignore[import-untyped]


class Key(NamedTuple):
    """A seed, and what it is known by."""

    seed: str
    name: str

    def sign(self, text: str) -> str:
        return _base64(nkeys.from_seed(bytearray(self.seed.encode())).sign(text.encode()))


def new_key(kind: int = nkeys.PREFIX_BYTE_USER) -> Key:
    """A key of a user, or of another kind."""
    seed = bytes(nkeys.encode_seed(os.urandom(32), kind))
    return Key(seed.decode(), nkeys.from_seed(bytearray(seed)).public_key.decode())


class Operator:
    """An operator with one account, whose users a server lets in that reads ``config``."""

    def __init__(self) -> None:
        operator = new_key(nkeys.PREFIX_BYTE_OPERATOR)
        self._account = account = new_key(nkeys.PREFIX_BYTE_ACCOUNT)
        names = ("subs", "data", "payload", "imports", "exports", "conn", "leaf")
        limits = dict.fromkeys(names, -1) | {"wildcards": True}
        self.config = (
            f"operator: {_token(operator, operator.name, type='operator')}\n"
            "resolver: MEMORY\nresolver_preload: { "
            f"{account.name}: {_token(operator, account.name, type='account', limits=limits)} }}\n"
        )

    def credentials(self) -> str:
        """The .creds file of a new user."""
        user = new_key()
        about: dict[str, Any] = {"pub": {}, "sub": {}, "subs": -1, "data": -1, "payload": -1}
        token = _token(self._account, user.name, type="user", **about)
        return (
            f"-----BEGIN NATS USER JWT-----\n{token}\n------END NATS USER JWT------\n\n"
            f"-----BEGIN USER NKEY SEED-----\n{user.seed}\n------END USER NKEY SEED------\n"
        )


def _token(by: Key, about: str, **nats: Any) -> str:
    claims = {"jti": "1", "iat": int(time.time()), "iss": by.name, "sub": about, "name": "test"}
    parts = ({"typ": "JWT", "alg": "ed25519-nkey"}, claims | {"nats": {"version": 2, **nats}})
    text = ".".join(_base64(json.dumps(part).encode()) for part in parts)
    return f"{text}.{by.sign(text)}"


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
