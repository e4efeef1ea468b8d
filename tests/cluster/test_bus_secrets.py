"""NATS that asks for credentials, has a certificate of its own, or is not there."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

import vyomo_rt.bus
from lab.site.nats_server import running_nats
from tests.kit.certificates import make_certificate
from tests.kit.nats_users import Operator, new_key
from tests.kit.nodes import are_even
from tests.kit.rest import Rest
from tests.kit.server import MakeSettings, serve_here
from tests.kit.waiting import until
from vyomo_rt.bus.link import Bus
from vyomo_rt.domain.errors import CannotStart
from vyomo_rt.domain.shard import SHARDS

PASSWORD = "p@ss:w0rd"
IN_URL = "nats://node:p%40ss%3Aw0rd@127.0.0.1"
_LETS_IN = f'authorization {{ user: node, password: "{PASSWORD}" }}\n'


def hear_nothing(_about: str, _message: bytes) -> None:
    """For a bus of which only the connection matters."""


async def no_answer(_kind: str, _message: bytes) -> bytes:
    return b""


@asynccontextmanager
async def bus(
    url: str, credentials: Path | None = None, ca: Path | None = None
) -> AsyncIterator[Bus]:
    """A bus that is being connected."""
    made = Bus(
        url,
        "test",
        credentials=credentials,
        ca=ca,
        hear=hear_nothing,
        answer=no_answer,
        on_gap=lambda: None,
    )
    task = asyncio.create_task(made.run())
    try:
        yield made
    finally:
        task.cancel()
        await asyncio.wait({task})


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture) -> Callable[[str], int]:
    """How many warnings there were with some words."""
    caplog.set_level(logging.DEBUG)

    def count(words: str) -> int:
        found = [each for each in caplog.messages if "NATS cannot be used" in each]
        assert not any(secret in caplog.text for secret in (PASSWORD, "p%40ss", "SUA"))
        return sum(words in each for each in found)

    return count


Told = Callable[[str], int]


async def test_a_bus_with_a_certificate_of_its_own_is_used_if_its_authority_is_named(
    tmp_path: Path, told: Told
) -> None:
    own, foreign = (make_certificate(tmp_path / name) for name in ("own", "foreign"))
    tls = f'tls {{ cert_file: "{own.chain}", key_file: "{own.key}" }}\n'
    async with running_nats(tls) as server:
        async with bus(server.url, ca=own.authority) as made:
            await until(lambda: made.is_connected)
        async with bus(server.url.replace("nats:", "tls:")) as made:
            await until(lambda: told("name its authority in VYOMO_RT_NATS_CA_FILE") == 1)
        async with bus(server.url, ca=foreign.authority) as made:
            await until(lambda: told("certificate is not trusted") == 2)
            assert not made.is_connected
    with pytest.raises(CannotStart, match=r"VYOMO_RT_NATS_CA_FILE: .*no\.pem cannot be used"):
        async with bus(server.url, ca=tmp_path / "no.pem"):
            pass


async def test_nothing_is_said_to_a_bus_without_tls_that_should_have_it(told: Told) -> None:
    async with running_nats(_LETS_IN) as server:
        url = IN_URL.replace("nats:", "tls:") + f":{server.port}"
        async with bus(url) as made:
            await until(lambda: told("it offers no TLS") == 1)
            assert not made.is_connected


async def test_a_user_and_a_password_may_stand_in_the_url(told: Told) -> None:
    """Characters that a URL needs for itself are escaped there; what is wrong is told once."""
    async with running_nats(_LETS_IN) as server, bus(f"{IN_URL}:{server.port}") as made:
        await until(lambda: made.is_connected)
        server.config = _LETS_IN.replace("node", "other")
        server.reload()
        await until(lambda: told("it does not let this node in") == 1)
        await asyncio.sleep(1.5)  # time for another attempt
        assert told("it does not let this node in") == 1
        server.config = _LETS_IN
        server.reload()
        await until(lambda: made.is_connected)


async def test_a_token_may_stand_in_the_url() -> None:
    token = "authorization { token: t0ken }\n"
    async with running_nats(token) as server, bus(f"nats://t0ken@127.0.0.1:{server.port}") as made:
        await until(lambda: made.is_connected)


async def test_a_file_of_credentials_lets_a_node_in(tmp_path: Path, told: Told) -> None:
    file, operator, user = tmp_path / "node.creds", Operator(), new_key()
    file.write_text(operator.credentials())
    async with running_nats(operator.config) as server, bus(server.url, file) as made:
        await until(lambda: made.is_connected)
    async with running_nats(f"authorization {{ users: [{{ nkey: {user.name} }}] }}\n") as server:
        async with bus(server.url, file):
            await until(lambda: told("check VYOMO_RT_NATS_CREDENTIALS_FILE") == 1)
        file.write_text(f"{user.seed}\n")
        async with bus(server.url, file) as made:
            await until(lambda: made.is_connected)
    for text, why in (("SECRET\n", "holds no seed of a user"), (None, "cannot be read")):
        file.write_text(text) if text else file.unlink()
        with pytest.raises(CannotStart, match=f"VYOMO_RT_NATS_CREDENTIALS_FILE: .*{why}"):
            async with bus(server.url, file):
                pass


def test_without_the_extra_a_node_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nats", None)
    monkeypatch.delitem(sys.modules, "vyomo_rt.bus.connecting", raising=False)
    monkeypatch.delattr(vyomo_rt.bus, "connecting", raising=False)
    with pytest.raises(CannotStart, match=r"pip install 'vyomo-rt\[cluster\]'"):
        Bus("nats://h", "test", hear=hear_nothing, answer=no_answer, on_gap=lambda: None)


async def test_nodes_start_without_the_bus_and_find_each_other_when_it_comes(
    make_settings: MakeSettings, told: Told
) -> None:
    async with running_nats() as nats, AsyncExitStack() as stack:
        settings = make_settings(nats_url=nats.url)
        await nats.stop()
        one = await stack.enter_async_context(serve_here(settings))
        await until(lambda: decides(one))
        await one.open_trade(await one.new_session())
        await until(lambda: told("Connect call failed") == 1)
        other = await stack.enter_async_context(serve_here(settings))
        await nats.start()
        await until(lambda: are_even([one, other]))


async def decides(node: Rest) -> bool:
    """Whether a node has taken all shards up."""
    _, cluster = await node.call("GET", "/cluster")
    return bool(cluster["deciding"] == SHARDS)
