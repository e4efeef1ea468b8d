"""Which tokens are taken, which grant each stands for, and why the others are refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from tests.access.signing import ED_KEY, KEY, NOW_S, PAIRS, claims, part, pem, token
from vyomo_rt.access.tokens import Tokens
from vyomo_rt.config import Settings
from vyomo_rt.domain.errors import CannotStart, Unauthorized
from vyomo_rt.domain.grant import Grant, Role
from vyomo_rt.domain.moment import WallMs

SIGNATURE = "the token is not signed with a key that counts here"
Make = Callable[..., Tokens]


def at(now_s: float = NOW_S, **settings: Any) -> Tokens:
    settings = {"auth_key": KEY} | settings
    return Tokens(Settings(**settings), lambda: WallMs(int(now_s * 1000)))


async def why_refused(text: str, tokens: Tokens | None = None) -> str:
    with pytest.raises(Unauthorized) as refused:
        await (tokens or at()).grant(text)
    return str(refused.value)


async def test_a_token_becomes_the_grant_that_it_says() -> None:
    said: dict[str, Any] = {"role": "trader", "sessions": [6, 7], "jti": "t1"}
    assert await at().grant(token(**said)) == Grant(
        "asha",
        Role.TRADER,
        frozenset({6, 7}),
        WallMs((NOW_S + 3600) * 1000),
        issued_at_ms=WallMs(NOW_S * 1000),
        token_id="t1",
    )


async def test_left_out_the_role_is_viewer_and_the_sessions_are_its_own() -> None:
    grant = await at().grant(token())
    assert (grant.role, grant.sessions, grant.is_limited) == (Role.VIEWER, frozenset(), True)
    assert not (await at().grant(token(sessions="*"))).is_limited


@pytest.mark.parametrize("algorithm", PAIRS)
async def test_each_kind_of_public_key_verifies_the_tokens_of_its_own_algorithm(
    algorithm: str, tmp_path: Path
) -> None:
    path = tmp_path / "key.pem"
    path.write_bytes(pem(PAIRS[algorithm]))
    tokens = at(auth_key=None, auth_public_keys=(str(path),))
    assert (await tokens.grant(token(PAIRS[algorithm], algorithm))).subject == "asha"
    for other in PAIRS.keys() - {algorithm}:
        assert await why_refused(token(PAIRS[other], other), tokens) == SIGNATURE


async def test_a_file_may_hold_several_keys_and_there_may_be_several_files(tmp_path: Path) -> None:
    both, third = tmp_path / "both.pem", tmp_path / "third.pem"
    both.write_bytes(pem(PAIRS["RS256"]) + pem(PAIRS["ES256"]))
    third.write_bytes(pem(ED_KEY))
    tokens = at(auth_public_keys=(str(both), str(third)))
    for algorithm, pair in PAIRS.items():
        await tokens.grant(token(pair, algorithm))
    await tokens.grant(token())


async def test_the_public_key_is_no_secret_to_sign_with(tmp_path: Path) -> None:
    """The classic: a token of HS256 whose secret is the published key."""
    path = tmp_path / "key.pem"
    path.write_bytes(pem(PAIRS["RS256"]))
    tokens = at(auth_key=None, auth_public_keys=(str(path),))
    head, body = part({"alg": "HS256", "typ": "JWT"}), part(claims())
    hs256 = jwt.get_algorithm_by_name("HS256")
    signature = part(hs256.sign(f"{head}.{body}".encode(), pem(PAIRS["RS256"])))
    assert await why_refused(f"{head}.{body}.{signature}", tokens) == SIGNATURE


@pytest.mark.parametrize("name", ["none", "None", "NONE", "nOnE", "HS512", "", None, 5, ["HS256"]])
async def test_the_algorithm_is_that_of_the_key_whatever_the_token_says(name: Any) -> None:
    good = token()
    _, body, signature = good.split(".")
    for tail in (signature, ""):
        forged = f"{part({'alg': name, 'typ': 'JWT'})}.{body}.{tail}"
        assert await why_refused(forged) in (SIGNATURE, "this is no token: expected a JWT")


async def test_what_is_changed_cut_off_or_swapped_is_not_signed() -> None:
    head, body, signature = token(role="viewer").split(".")
    admin = part(claims(role="admin"))
    other = token("another key, which this server has not").split(".")
    for parts in (
        (head, admin, signature),
        (head, body, other[2]),
        (head, body, signature[:-6]),
        (head, body, ""),
        tuple(other),
    ):
        assert await why_refused(".".join(parts)) in (SIGNATURE, "this is no token: expected a JWT")


@pytest.mark.parametrize(
    "text", ["", "x", "..", "a.b.c", "é", "." * 9, token() + "=", "x" * 20_000, "\ud800"]
)
async def test_what_is_no_token_is_told_so(text: str) -> None:
    assert (await why_refused(text)).startswith(("this is no token", "the token is longer"))


@pytest.mark.parametrize("name", ["sub", "exp", "iat"])
async def test_a_token_without_what_is_required_is_refused_naming_it(name: str) -> None:
    without: dict[str, Any] = {name: None}
    assert f"{name} is required" in await why_refused(token(**without))


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"sub": 6}, "sub: expected a string"),
        ({"sub": ""}, "sub is not 1 to 256"),
        ({"sub": "a\nb"}, "sub is not 1 to 256"),
        ({"sub": "x" * 257}, "sub is not 1 to 256"),
        ({"jti": ""}, "jti is not 1 to 256"),
        ({"exp": "soon"}, "exp: expected"),
        ({"exp": True}, "exp: expected"),
        ({"role": "root"}, "role 'root' is unknown"),
        ({"role": "Admin"}, "role 'Admin' is unknown"),
        ({"role": ["admin"]}, "role: expected"),
        ({"sessions": "6"}, "sessions: expected an array or *, got '6'"),
        ({"sessions": [0]}, "sessions[0]: "),
        ({"sessions": ["6"]}, "sessions[0]: "),
        ({"sessions": [True]}, "sessions[0]: "),
    ],
)
async def test_a_claim_that_is_wrong_is_named(said: dict[str, Any], words: str) -> None:
    assert words in await why_refused(jwt.encode(claims() | said, KEY))


async def test_a_token_counts_until_half_a_minute_after_its_end_for_clocks_differ() -> None:
    text = token()
    for now_s in (NOW_S, NOW_S + 3600, NOW_S + 3629.9):
        assert (await at(now_s).grant(text)).subject == "asha"
    assert await why_refused(text, at(NOW_S + 3630)) == "the token has expired"


async def test_a_token_of_the_future_is_refused_but_for_half_a_minute() -> None:
    assert await at(NOW_S - 30).grant(token())
    assert "issued in the future" in await why_refused(token(), at(NOW_S - 30.1))
    later = token(nbf=NOW_S + 60)
    assert "not valid yet" in await why_refused(later, at(NOW_S + 29))
    assert await at(NOW_S + 30).grant(later)


async def test_a_token_lives_for_no_longer_than_the_setting_says() -> None:
    assert await at().grant(token(exp=NOW_S + 86_400))
    assert "lives longer than 86400 s" in await why_refused(token(exp=NOW_S + 86_401))
    assert "lives longer" in await why_refused(token(exp=10**15))
    assert "lives longer than 600 s" in await why_refused(token(), at(auth_token_life_s=600))


async def test_audience_and_issuer_are_checked_once_they_are_configured() -> None:
    tokens = at(auth_audience="desk", auth_issuer="https://id.example")
    for aud in ("desk", ["else", "desk"]):
        await tokens.grant(token(aud=aud, iss="https://id.example"))
    assert "(iss)" in await why_refused(token(aud="desk"), tokens)
    assert "(iss)" in await why_refused(token(aud="desk", iss="https://id.example/"), tokens)
    for other in (None, "desks", [], ["else"]):
        text = token(aud=other, iss="https://id.example")
        assert "(aud)" in await why_refused(text, tokens)
    await at().grant(token(aud="anybody", iss="anybody"))


async def test_the_previous_key_counts_until_its_moment() -> None:
    old, until_ms = "the key of last month, which is long enough", (NOW_S + 60) * 1000
    rotated: dict[str, Any] = {"auth_previous_key": old, "auth_previous_key_until": until_ms}
    assert await at(**rotated).grant(token(old))
    assert await at(NOW_S + 60, **rotated).grant(token())
    assert await why_refused(token(old), at(NOW_S + 60, **rotated)) == SIGNATURE
    assert await why_refused(token(old)) == SIGNATURE


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"no key", "holds no public key"),
        (b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----", "holds a private key"),
        (b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----", "cannot be read"),
    ],
)
def test_a_key_file_that_cannot_be_used_stops_the_start(
    content: bytes, words: str, tmp_path: Path
) -> None:
    path = tmp_path / "key.pem"
    path.write_bytes(content)
    with pytest.raises(CannotStart, match=words):
        at(auth_public_keys=(str(path),))
    with pytest.raises(CannotStart, match="cannot be read"):
        at(auth_public_keys=(str(tmp_path / "none.pem"),))


def test_a_key_that_is_too_weak_stops_the_start(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    for weak in (rsa.generate_private_key(65537, 1024), ec.generate_private_key(ec.SECP384R1())):
        path.write_bytes(pem(weak))
        with pytest.raises(CannotStart, match="none of RSA with at least 2048 bits"):
            at(auth_public_keys=(str(path),))


def test_a_public_key_in_the_place_of_the_secret_stops_the_start() -> None:
    with pytest.raises(CannotStart, match="this is a public key"):
        at(auth_key=pem(ED_KEY).decode())
