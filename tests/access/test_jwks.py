"""The keys of an identity provider: fetched, cached, renewed, and kept through an outage."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from tests.access.signing import EC_KEY, ED_KEY, KEY, NOW_S, PAIRS, RSA_KEY, token
from tests.kit.waiting import PATIENCE_S
from vyomo_rt.access import tokens as tokens_module
from vyomo_rt.access.jwks import Jwks, keys_in
from vyomo_rt.access.tokens import Tokens
from vyomo_rt.config import Settings
from vyomo_rt.domain.errors import Unauthorized, Unavailable
from vyomo_rt.domain.moment import WallMs


def row(private: Any, kid: str, **more: Any) -> dict[str, Any]:
    kinds = {RSA_KEY: RSAAlgorithm, EC_KEY: ECAlgorithm, ED_KEY: OKPAlgorithm}
    found: str = kinds[private].to_jwk(private.public_key())  # type: ignore[attr-defined]
    members: dict[str, Any] = json.loads(found)
    return members | {"kid": kid} | more


class Provider:
    """Publishes keys; counts how often it is asked, and may fail or hang."""

    def __init__(self) -> None:
        self.rows: list[Any] = [row(RSA_KEY, "r"), row(EC_KEY, "e"), row(ED_KEY, "d")]
        self.asked = 0
        self.status = 200
        self.hangs = asyncio.Event()
        self.hangs.set()
        self.was_asked = asyncio.Event()
        self.now_s = 1000.0

    async def answer(self, _: web.Request) -> web.Response:
        self.asked += 1
        self.was_asked.set()
        await self.hangs.wait()
        return web.json_response({"keys": self.rows}, status=self.status)


@pytest.fixture
async def provider() -> Provider:
    return Provider()


@pytest.fixture
async def tokens(provider: Provider, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Tokens]:
    app = web.Application()
    app.router.add_get("/keys", provider.answer)
    # The machine may be busy.
    monkeypatch.setattr("vyomo_rt.access.jwks.TIMEOUT_S", 20.0)
    monkeypatch.setattr(tokens_module, "Jwks", lambda url: Jwks(url, lambda: provider.now_s))
    async with TestServer(app) as server:
        settings = Settings(auth_jwks_url=str(server.make_url("/keys")))
        yield Tokens(settings, lambda: WallMs(NOW_S * 1000))
        provider.hangs.set()


def good(algorithm: str = "EdDSA", kid: str | None = "d") -> str:
    return token(PAIRS[algorithm], algorithm, kid)


async def test_keys_are_fetched_once_for_all_who_wait(provider: Provider, tokens: Tokens) -> None:
    provider.hangs.clear()
    waiting = [
        asyncio.create_task(tokens.grant(good(algorithm, kid)))
        for algorithm, kid in (("RS256", "r"), ("ES256", "e"), ("EdDSA", "d"), ("EdDSA", None))
    ]
    await provider.was_asked.wait()
    provider.hangs.set()
    assert {grant.subject for grant in await asyncio.gather(*waiting)} == {"asha"}
    assert provider.asked == 1


async def test_unknown_names_neither_hammer_the_provider_nor_evict_good_keys(
    provider: Provider, tokens: Tokens
) -> None:
    await tokens.grant(good())
    for number in range(300):
        with pytest.raises(Unauthorized):
            await tokens.grant(good(kid=f"unknown-{number}"))
        await tokens.grant(good())
    assert provider.asked == 1
    provider.now_s += 10
    for number in range(300):
        with pytest.raises(Unauthorized):
            await tokens.grant(good(kid=f"unknown-{number}"))
        await tokens.grant(good())
    assert provider.asked == 2


async def test_a_new_key_is_found_and_one_that_was_withdrawn_stops_to_count(
    provider: Provider, tokens: Tokens
) -> None:
    await tokens.grant(good())
    provider.rows = [row(EC_KEY, "new")]
    provider.now_s += 10
    await tokens.grant(good("ES256", "new"))
    with pytest.raises(Unauthorized):
        await tokens.grant(good())


async def test_a_withdrawn_key_stops_to_count_after_some_minutes_though_nobody_names_another(
    provider: Provider, tokens: Tokens
) -> None:
    await tokens.grant(good())
    provider.rows = [row(EC_KEY, "new")]
    provider.now_s += 300
    await tokens.grant(good())  # this one still passes, and has the keys renewed
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                await tokens.grant(good())
            except Unauthorized:
                break
            await asyncio.sleep(0)
    assert provider.asked == 2


@pytest.mark.parametrize("failure", ["status", "hangs", "empty"])
async def test_an_outage_is_bridged_with_the_keys_that_are_known(
    provider: Provider, tokens: Tokens, failure: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await tokens.grant(good())
    if failure == "status":
        provider.status = 503
    elif failure == "empty":
        provider.rows = []
    else:
        monkeypatch.setattr("vyomo_rt.access.jwks.TIMEOUT_S", 0.05)
        provider.hangs.clear()
    provider.now_s += 1000
    for _ in range(3):
        with pytest.raises(Unauthorized):
            await tokens.grant(good(kid="unknown"))
        await tokens.grant(good())
    assert provider.asked == 2


async def test_without_any_key_yet_it_is_said_that_this_will_pass(
    provider: Provider, tokens: Tokens
) -> None:
    provider.status = 500
    for _ in range(2):
        with pytest.raises(Unavailable):
            await tokens.grant(good())
    assert provider.asked == 1
    provider.status = 200
    provider.now_s += 10
    await tokens.grant(good())


def test_of_a_set_only_public_keys_for_signatures_are_taken() -> None:
    secret = {"kty": "oct", "k": "c2VjcmV0", "kid": "s"}
    private = json.loads(OKPAlgorithm.to_jwk(ED_KEY)) | {"kid": "p"}
    rows = [
        secret,
        private,
        row(RSA_KEY, "enc", use="enc"),
        row(RSA_KEY, "ops", key_ops=["sign"]),
        row(RSA_KEY, "other", alg="RS512"),
        row(RSA_KEY, "confused", alg="HS256"),
        row(ED_KEY, "good", alg="EdDSA", use="sig"),
        {"kty": "RSA", "n": 5, "e": "AQAB"},
        {"kty": ["RSA"]},
        "no object",
    ]
    (key,) = keys_in(json.dumps({"keys": rows}).encode())
    assert (key.kid, key.algorithm) == ("good", "EdDSA")
    for document in (b"[]", b"{}", b'{"keys":5}', b"no json", b'{"keys":[]}'):
        with pytest.raises(ValueError, match=r"."):
            keys_in(document)


async def test_a_secret_that_signs_here_is_not_the_provider_s(tokens: Tokens) -> None:
    with pytest.raises(Unauthorized):
        await tokens.grant(token(KEY))
