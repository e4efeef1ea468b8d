"""Signs tokens as an identity provider does, good ones and bad ones."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

NOW_S = 1_795_341_600
KEY = "a key for the tests, long enough for a hash"

RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())
ED_KEY = ed25519.Ed25519PrivateKey.generate()
PAIRS: dict[str, Any] = {"RS256": RSA_KEY, "ES256": EC_KEY, "EdDSA": ED_KEY}


def claims(now_s: float = NOW_S, **more: Any) -> dict[str, Any]:
    """The claims of a token that is good for an hour; None takes one away."""
    found = {"sub": "asha", "iat": now_s, "exp": now_s + 3600} | more
    return {name: value for name, value in found.items() if value is not None}


def token(key: Any = KEY, algorithm: str = "HS256", kid: str | None = None, **more: Any) -> str:
    headers = None if kid is None else {"kid": kid}
    return jwt.encode(claims(**more), key, algorithm, headers=headers)


def pem(private: Any) -> bytes:
    """The public key of a pair."""
    encoded: bytes = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return encoded


def part(value: Any) -> str:
    """One part of a token, spelled by hand."""
    text = value if isinstance(value, bytes) else json.dumps(value).encode()
    return urlsafe_b64encode(text).decode().rstrip("=")
