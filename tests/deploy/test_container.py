"""Dockerfile and compose.yaml, as far as they can be run without Docker."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from ruamel.yaml import YAML

from tests.deploy.images import Image, instructions
from tests.deploy.proxies import free_port
from tests.kit.documents import ROOT, blocks
from tests.kit.machine import program
from tests.kit.rest import Rest
from tests.kit.server import START_S
from vyomo_rt import config

pytestmark = pytest.mark.xdist_group("container")

OPEN = {"VYOMO_RT_ALLOW_OPEN": "1"}


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    root = tmp_path_factory.mktemp("image")
    root.chmod(0o755)  # pytest's folders are closed to the image's user
    return Image(ROOT / "Dockerfile", root)


class Container:
    """A process as the image's user, in its environment, from the folder ``/``."""

    def __init__(self, image: Image, environ: dict[str, str]) -> None:
        self._image = image
        self._environ = image.environ | environ

    async def start(self) -> str:
        self.process = await asyncio.create_subprocess_exec(
            *self._image.command(), cwd="/", env=self._environ, stdout=asyncio.subprocess.PIPE
        )
        assert self.process.stdout is not None
        async with asyncio.timeout(START_S):
            line = (await self.process.stdout.readline()).decode()
        assert "listening on" in line
        return f"http://127.0.0.1:{self._environ['VYOMO_RT_PORT']}"

    async def is_healthy(self) -> bool:
        process = await asyncio.create_subprocess_exec(
            *self._image.as_user(self._image.health_check),
            env=self._environ,
            stderr=asyncio.subprocess.DEVNULL,
        )
        return await process.wait() == 0


@asynccontextmanager
async def running(image: Image, port: int) -> AsyncIterator[tuple[Container, Rest]]:
    container = Container(image, OPEN | {"VYOMO_RT_PORT": str(port)})
    url = await container.start()
    try:
        async with aiohttp.ClientSession() as http:
            yield container, Rest(url, http)
    finally:
        if container.process.returncode is None:
            container.process.kill()
        await container.process.wait()


async def test_the_container_is_healthy_while_it_serves_and_stops_at_once_and_keeps_its_data(
    image: Image,
) -> None:
    port = free_port()
    async with running(image, port) as (container, rest):
        assert await container.is_healthy()
        for path in ("/", "/static/vyomo-rt.js"):
            async with rest.http.get(rest.url + path) as response:
                assert response.status == 200
        session_id = await rest.new_session()
        stopped = time.monotonic()
        container.process.send_signal(signal.Signals[image.told["STOPSIGNAL"]])
        assert await container.process.wait() == 0
        assert time.monotonic() - stopped < 10, "then it would be killed"
        assert not await container.is_healthy()
    async with running(image, port) as (_, rest):
        status, session = await rest.call("GET", f"/sessions/{session_id}")
        assert (status, session["sessionId"]) == (200, session_id)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_the_container_may_write_to_its_volume_only(image: Image) -> None:
    find = image.as_user(["find", str(image.root), "-writable", "-not", "-type", "l"])
    done = subprocess.run(find, capture_output=True, text=True, check=True)
    folders = {Path(path).relative_to(image.root).parts[0] for path in done.stdout.splitlines()}
    assert [f"/{folder}" for folder in folders] == [image.told["VOLUME"]]


def test_the_container_opens_to_the_network_only_if_told(image: Image) -> None:
    done = subprocess.run(
        image.command(), cwd="/", env=image.environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "VYOMO_RT_ALLOW_OPEN=1" in done.stderr


def test_both_stages_have_the_oldest_python_that_is_supported() -> None:
    (oldest,) = re.findall(r"^python_requires = >=(\S+)$", (ROOT / "setup.cfg").read_text(), re.M)
    bases = [text for name, text in instructions(ROOT / "Dockerfile") if name == "FROM"]
    assert bases == [f"python:{oldest}-slim-bookworm AS build", f"python:{oldest}-slim-bookworm"]


@pytest.fixture
def compose() -> dict[str, Any]:
    """The file compose.yaml, merged."""
    return dict(YAML(typ="safe").load(ROOT / "compose.yaml"))


@pytest.fixture
def services(compose: dict[str, Any]) -> dict[str, Any]:
    """Of compose.yaml."""
    return dict(compose["services"])


@pytest.fixture
def nodes(services: dict[str, Any]) -> list[dict[str, Any]]:
    """Those of the services that are this program."""
    found = [service for service in services.values() if service.get("build") == "."]
    assert len(found) == 3
    return found


def test_compose_sets_what_are_settings(image: Image, nodes: list[dict[str, Any]]) -> None:
    for node in nodes:
        settings, warnings = config.load({}, image.environ | node["environment"])
        assert settings.allow_open
        assert not [warning for warning in warnings if "is not a setting" in warning]


def test_compose_publishes_the_proxy_on_this_machine_only(
    image: Image, services: dict[str, Any]
) -> None:
    assert [name for name in services if "ports" in services[name]] == ["proxy"]
    port = image.told["EXPOSE"]
    assert services["proxy"]["ports"] == [f"127.0.0.1:4025:{port}"]
    assert port == image.environ["VYOMO_RT_PORT"]


def test_compose_has_a_proxy_that_knows_all_nodes(
    image: Image, compose: dict[str, Any], tmp_path: Path
) -> None:
    """Its configuration is one, and says what docs/nodes.md does."""
    text, port = compose["configs"]["proxy"]["content"], image.told["EXPOSE"]
    named = re.findall(r"^ +server (\w+) (\w+):(\d+)$", text, re.M)
    nodes = [name for name in compose["services"] if name.startswith("node")]
    assert named == [(name, name, port) for name in nodes]
    assert f"bind :{port}" in text
    (recipe,) = blocks(ROOT / "docs" / "nodes.md", "haproxy", "nodes")
    for line in recipe.text.splitlines():
        assert line.startswith("    server") or line in text, line
    file = tmp_path / "haproxy.cfg"
    file.write_text(re.sub(r"node\d:", "127.0.0.1:", text))
    subprocess.run([program("haproxy"), "-c", "-q", "-f", file], check=True)
    proxy = compose["services"]["proxy"]
    assert proxy["configs"][0]["source"] == "proxy"
    assert proxy["image"] == "haproxy:2.6", "as in docs/deploy.md"


async def test_compose_asks_nodes_if_they_are_ready(
    nodes: list[dict[str, Any]], server: Rest
) -> None:
    for node in nodes:
        _, python, *arguments = node["healthcheck"]["test"]
        assert python == "python"
        command = [arg.replace("4025", server.url.rpartition(":")[2]) for arg in arguments]
        process = await asyncio.create_subprocess_exec(sys.executable, *command)
        assert await process.wait() == 0
    assert "/readyz" in arguments[-1]
    gone = await asyncio.create_subprocess_exec(
        *(sys.executable, *(arg.replace("4025", "1") for arg in arguments)),
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert await gone.wait() != 0


def test_compose_makes_the_replica_set_that_the_nodes_name(
    services: dict[str, Any], nodes: list[dict[str, Any]]
) -> None:
    mongos = [name for name in services if name.startswith("mongo")]
    for node in nodes:
        uri = node["environment"]["VYOMO_RT_MONGO_URI"]
        hosts, name = re.findall(r"^mongodb://([\w:,]+)/\?replicaSet=(\w+)$", uri)[0]
        assert hosts.split(",") == [f"{mongo}:27017" for mongo in mongos]
        assert node["depends_on"]["mongo1"]["condition"] == "service_healthy"
    for mongo in mongos:
        assert services[mongo]["command"][1:3] == ["--replSet", name]
        assert services[mongo]["volumes"] == [f"{mongo}:/data/db"]
    *_, script = services["mongo1"]["healthcheck"]["test"]
    assert f'_id: "{name}"' in script
    assert re.findall(r'host: "([\w:]+)"', script) == hosts.split(",")
    parse = [program("node"), "-e", "new Function(process.argv[1])", script]
    subprocess.run(parse, check=True)


def test_compose_has_the_bus_that_the_nodes_name(
    services: dict[str, Any], nodes: list[dict[str, Any]]
) -> None:
    assert {node["environment"]["VYOMO_RT_NATS_URL"] for node in nodes} == {"nats://nats:4222"}
    assert services["nats"]["image"].startswith("nats:2")
