"""The keys that tokens may be signed with; each is for one algorithm only."""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from cryptography.x509 import load_pem_x509_certificate
from jwt import InvalidKeyError, InvalidTokenError, PyJWS
from jwt.warnings import InsecureKeyLengthWarning

from vyomo_rt.domain.errors import CannotStart
from vyomo_rt.domain.moment import WallMs

if TYPE_CHECKING:
    from vyomo_rt.config import Settings

Algorithm = Literal["HS256", "RS256", "ES256", "EdDSA"]
PublicKey = RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey | Ed448PublicKey

LEAST_RSA_BITS = 2048
_BLOCK = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----.*?-----END \1-----", re.DOTALL)
_jws = PyJWS(algorithms=["HS256", "RS256", "ES256", "EdDSA"])


@dataclass(frozen=True, slots=True, eq=False)
class Key:
    """A secret or a public key. ``kid`` is its name, if its publisher gave it one.

    It counts until ``until_ms``, or always.
    """

    algorithm: Algorithm
    material: bytes | PublicKey
    kid: str | None = None
    until_ms: WallMs | None = None

    def counts_at(self, now_ms: WallMs) -> bool:
        return self.until_ms is None or now_ms < self.until_ms

    def payload(self, token: str) -> bytes | None:
        """What a token says, if it was signed with this key by this key's algorithm."""
        try:
            found: bytes = _jws.decode(token, self.material, algorithms=[self.algorithm])
        except (InvalidTokenError, InvalidKeyError):
            return None
        return found


def keys_of(settings: Settings) -> list[Key]:
    """The keys that the settings hold or name. Raises CannotStart."""
    # The settings warn of a short key once; PyJWT would do so for each token.
    warnings.filterwarnings("ignore", category=InsecureKeyLengthWarning)
    keys = [key for path in settings.auth_public_keys for key in _in_pem_file(Path(path))]
    if settings.auth_key is not None:
        keys.append(_secret("VYOMO_RT_AUTH_KEY", settings.auth_key))
    if settings.auth_previous_key is not None and settings.auth_previous_key_until is not None:
        until_ms = WallMs(settings.auth_previous_key_until)
        keys.append(
            _secret("VYOMO_RT_AUTH_PREVIOUS_KEY", settings.auth_previous_key, until_ms=until_ms)
        )
    return keys


def algorithm_of(key: object) -> Algorithm | None:
    """What a public key is for; None if it is too weak, or for nothing that is taken here."""
    match key:
        case RSAPublicKey() if key.key_size >= LEAST_RSA_BITS:
            return "RS256"
        case EllipticCurvePublicKey() if isinstance(key.curve, SECP256R1):
            return "ES256"
        case Ed25519PublicKey() | Ed448PublicKey():
            return "EdDSA"
    return None


def _secret(variable: str, text: str, until_ms: WallMs | None = None) -> Key:
    material = text.encode(errors="surrogateescape")
    try:
        _jws.get_algorithm_by_name("HS256").prepare_key(material)
    except InvalidKeyError:
        words = "this is a public key: write the name of its file into VYOMO_RT_AUTH_PUBLIC_KEYS"
        raise CannotStart(f"{variable}: {words}") from None
    return Key("HS256", material, until_ms=until_ms)


def _in_pem_file(path: Path) -> list[Key]:
    name = f"VYOMO_RT_AUTH_PUBLIC_KEYS: {path}"
    try:
        blocks = [(match[1], match[0]) for match in _BLOCK.finditer(path.read_bytes())]
    except OSError as error:
        raise CannotStart(f"{name} cannot be read: {error.strerror}") from error
    if not blocks:
        raise CannotStart(f"{name} holds no public key (-----BEGIN PUBLIC KEY-----)")
    return [_in_block(name, kind, block) for kind, block in blocks]


def _in_block(name: str, kind: bytes, block: bytes) -> Key:
    if b"PRIVATE" in kind:
        raise CannotStart(f"{name} holds a private key: keep that, and write the public one here")
    try:
        if kind == b"CERTIFICATE":
            public: object = load_pem_x509_certificate(block).public_key()
        else:
            public = load_pem_public_key(block)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise CannotStart(f"{name} holds a public key that cannot be read") from error
    if (algorithm := algorithm_of(public)) is None:
        raise CannotStart(
            f"{name} holds a key that is none of RSA with at least {LEAST_RSA_BITS} bits (RS256), "
            "P-256 (ES256), Ed25519 and Ed448 (EdDSA)"
        )
    assert isinstance(public, PublicKey)
    return Key(algorithm, public)
