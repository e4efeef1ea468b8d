"""Dockerfile and compose.yaml, as far as they can be run without Docker."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
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
from tests.kit.documents import ROOT
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
def services() -> dict[str, Any]:
    """Of compose.yaml."""
    compose = YAML(typ="safe").load(ROOT / "compose.yaml")
    assert set(compose["volumes"]) == {"mongo"}
    return dict(compose["services"])


def test_compose_sets_what_are_settings(image: Image, services: dict[str, Any]) -> None:
    environ: dict[str, str] = services["server"]["environment"]
    settings, warnings = config.load({}, image.environ | environ)
    assert settings.allow_open
    assert not [warning for warning in warnings if "is not a setting" in warning]


def test_compose_publishes_the_server_on_this_machine_only(
    image: Image, services: dict[str, Any]
) -> None:
    (published,) = services["server"]["ports"]
    assert published == f"127.0.0.1:4025:{image.told['EXPOSE']}"
    assert image.told["EXPOSE"] == image.environ["VYOMO_RT_PORT"]
    assert "ports" not in services["mongo"]


def test_compose_makes_the_replica_set_that_the_server_names(services: dict[str, Any]) -> None:
    server, mongo = services["server"], services["mongo"]
    uri = server["environment"]["VYOMO_RT_MONGO_URI"]
    host, name = re.findall(r"^mongodb://([\w:]+)/\?replicaSet=(\w+)$", uri)[0]
    assert host == "mongo:27017"
    assert mongo["command"][1:3] == ["--replSet", name]
    *_, script = mongo["healthcheck"]["test"]
    assert f'_id: "{name}"' in script
    assert f'host: "{host}"' in script
    parse = [program("node"), "-e", "new Function(process.argv[1])", script]
    subprocess.run(parse, check=True)
    assert server["depends_on"]["mongo"]["condition"] == "service_healthy"
    assert mongo["volumes"] == ["mongo:/data/db"]
