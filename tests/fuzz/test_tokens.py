"""No token is believed but one that was signed here, whatever is done to it."""

from __future__ import annotations

import asyncio
import json
from base64 import urlsafe_b64decode
from typing import Any

from hypothesis import strategies as st

from tests.access.signing import EC_KEY, KEY, NOW_S, claims, part, pem, token
from tests.kit.searching import search, searched
from vyomo_rt.access.tokens import Tokens
from vyomo_rt.config import Settings
from vyomo_rt.domain.errors import Unauthorized
from vyomo_rt.domain.grant import Role
from vyomo_rt.domain.moment import WallMs

VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=5,
)
NAMES = ("sub", "exp", "iat", "nbf", "jti", "role", "sessions", "aud", "iss")
CLAIMS = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(NAMES, VALUES)
    | {
        "sub": st.sampled_from(["asha", ""]) | VALUES,
        "exp": st.integers(NOW_S - 100, NOW_S + 90_000) | VALUES,
        "iat": st.integers(NOW_S - 90_000, NOW_S + 100) | VALUES,
        "role": st.sampled_from([*(role.value for role in Role), "root"]) | VALUES,
        "sessions": st.lists(st.integers(-1, 9), max_size=3) | st.just("*") | VALUES,
    },
)
HEADERS = st.fixed_dictionaries(
    {
        "alg": st.sampled_from(["none", "None", "HS256", "HS512", "RS256", "ES256", "EdDSA"])
        | VALUES
    },
    optional={"kid": VALUES, "typ": VALUES, "crit": VALUES, "jwk": VALUES, "b64": VALUES},
)


def tokens() -> Tokens:
    return Tokens(Settings(auth_key=KEY), lambda: WallMs(NOW_S * 1000))


def ask(verifier: Tokens, text: str) -> Any:
    """The grant of a token, or None; nothing else may come of it."""
    try:
        return asyncio.run(verifier.grant(text))
    except Unauthorized as error:
        said = str(error)
    assert KEY not in said
    return None


@searched
def test_a_token_that_was_changed_anywhere_is_refused(for_s: float) -> None:
    verifier, good = tokens(), token()

    def check(at: int, put: str, cut: int) -> None:
        at %= len(good)
        text = good[:at] + put + good[at + cut :]
        if ask(verifier, text) is not None:
            assert meaning(text) == meaning(good)

    change = st.text(st.sampled_from("ABCab01-_=.+/ \t\n%\0é"), max_size=3) | st.text(max_size=3)
    search(check, st.integers(0, 10_000), change, st.integers(0, 3), for_s=for_s)
    assert ask(verifier, good).subject == "asha"


def meaning(text: str) -> list[bytes]:
    """The bytes of its parts: the last character of a part has bits that mean nothing."""
    return [urlsafe_b64decode(each + "=" * (-len(each) % 4)) for each in text.split(".")]


@searched
def test_no_header_makes_a_token_good_that_is_signed_with_something_else(for_s: float) -> None:
    verifier = tokens()
    _, payload, signature = token().split(".")
    *_, foreign = token(EC_KEY, "ES256").split(".")
    public = pem(EC_KEY).decode()

    def check(header: dict[str, Any], by: str) -> None:
        text = f"{part(json_safe(header))}.{payload}.{by}"
        assert ask(verifier, text) is None

    with_another = st.sampled_from([signature, foreign, "", part(public), "AAAA"])
    others = HEADERS.filter(lambda header: header != {"alg": "HS256", "typ": "JWT"})
    search(check, others, with_another, for_s=for_s)


def json_safe(value: Any) -> Any:
    return json.loads(json.dumps(value, default=str))


@searched
def test_whatever_a_signed_token_claims_its_grant_is_within_the_rules(for_s: float) -> None:
    verifier = tokens()

    def check(said: dict[str, Any]) -> None:
        try:
            text = token(**(claims() | json_safe(said)))
        except (TypeError, ValueError, OverflowError):
            return  # the library signs no such claims
        grant = ask(verifier, text)
        if grant is not None:
            assert isinstance(grant.subject, str)
            assert grant.subject
            assert grant.role in Role
            assert grant.sessions is None or all(number >= 1 for number in grant.sessions)
            assert grant.expires_at_ms > NOW_S * 1000 - 30_000
            assert grant.expires_at_ms - grant.issued_at_ms <= 86_400_000

    search(check, CLAIMS, for_s=for_s)
