"""What is installed works: the server with its page from anywhere, the client by itself."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from collections.abc import AsyncIterator
from configparser import ConfigParser
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from tests.kit.documents import blocks
from tests.kit.server import START_S, MakeSettings, serve_here

SOURCE = Path(__file__).parent.parent
SHIPPED = ("setup.cfg", "pyproject.toml", "MANIFEST.in", "LICENSE", "README.md")
BUILD = ("--no-deps", "--no-build-isolation")
"""With the setuptools of this environment, which saves another one for each build."""
PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check"]


def run(*command: str | Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the source, so that building leaves nothing in the real one."""
    copy = tmp_path / "checkout"
    copy.mkdir()
    for name in SHIPPED:
        if (SOURCE / name).exists():
            shutil.copy(SOURCE / name, copy)
    for name in ("vyomo_rt", "vyomo_rt_client", "static", "templates"):
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(SOURCE / name, copy / name, symlinks=True, ignore=ignore)
    return copy


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """A virtual environment with the libraries of this one, but without vyomo-rt."""
    folder = tmp_path / "environment"
    run(sys.executable, "-m", "venv", "--without-pip", folder)
    (packages,) = folder.glob("lib/python*/site-packages")
    # A path in a .pth file brings no .pth files of its own: an editable vyomo-rt stays outside.
    (packages / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder


def built_wheel(source: Path, folder: Path) -> Path:
    run(*PIP, "wheel", "--quiet", *BUILD, "--wheel-dir", folder, source)
    (wheel,) = folder.glob("*.whl")
    return wheel


@asynccontextmanager
async def served(folder: Path, *command: str | Path) -> AsyncIterator[str]:
    """The address of a server that was started in another folder."""
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    environ = {"PATH": os.environ["PATH"], "HOME": str(folder)}
    process = await asyncio.create_subprocess_exec(
        *command, "serve", "--port", "0", cwd=elsewhere, env=environ,
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        async with asyncio.timeout(START_S):
            line = (await process.stdout.readline()).decode()
        assert " listening on " in line, line
        yield line.split(" listening on ")[1].split()[0]
    finally:
        process.terminate()
        assert await process.wait() == 0
    assert [path.name for path in elsewhere.iterdir()] == ["vyomo-data"]


async def assert_pages_are_found(url: str) -> None:
    async with aiohttp.ClientSession(url) as http:
        for path, part in (
            ("/", "/console/main.js"),
            ("/static/console/main.js", "import"),
            ("/static/vyomo-rt.js", "export"),
            (
                "/static/vendor/lightweight-charts/lightweight-charts.standalone.production.mjs",
                "@license",
            ),
            ("/static/vyomo-rt/connection.js", "export"),
        ):
            async with http.get(path) as response:
                assert response.status == 200, path
                assert part in await response.text()


async def test_a_wheel_serves_from_another_folder(
    checkout: Path, environment: Path, tmp_path: Path
) -> None:
    wheel = built_wheel(checkout, tmp_path)
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names if ".dist-info" not in name} == {
        "vyomo_rt",
        "vyomo_rt_client",
    }
    pages = {path for folder in ("static", "templates") for path in (SOURCE / folder).rglob("*.*")}
    assert {f"vyomo_rt/{path.relative_to(SOURCE)}" for path in pages} <= set(names)
    vendored = [path for path in (SOURCE / "static" / "vendor").rglob("*") if path.is_file()]
    assert {f"vyomo_rt/{path.relative_to(SOURCE)}" for path in vendored} <= set(names)
    data = {f"exchange/{n}.json" for n in ("calendar", "instruments", "symbol_classes")}
    data |= {"market/feeds/sim/symbols.json", "py.typed"}
    assert {f"vyomo_rt/{name}" for name in data} <= set(names)

    run(*PIP, "--python", environment, "install", "--quiet", "--no-deps", wheel)
    shutil.rmtree(checkout)
    async with served(tmp_path, environment / "bin" / "vyomo-rt") as url:
        await assert_pages_are_found(url)


async def test_an_editable_install_serves_what_is_in_the_checkout(
    checkout: Path, environment: Path, tmp_path: Path
) -> None:
    run(*PIP, "--python", environment, "install", "--quiet", *BUILD, "--editable", checkout)
    page = checkout / "templates" / "console.html"
    page.write_text(page.read_text() + "<!-- edited -->")
    async with served(tmp_path, environment / "bin" / "python", "-m", "vyomo_rt") as url:
        await assert_pages_are_found(url)
        async with aiohttp.ClientSession(url) as http, http.get("/") as response:
            assert "<!-- edited -->" in await response.text()


ALONE = """
import sys
print(*{name.partition(".")[0] for name in sys.modules} & {"vyomo_rt", "msgspec", "motor"})
"""


async def test_the_client_is_a_distribution_of_its_own_that_follows_a_server(
    tmp_path: Path, environment: Path, make_settings: MakeSettings
) -> None:
    source = tmp_path / "python"
    shutil.copytree(SOURCE / "clients" / "python", source)  # what links lead to, too
    wheel = built_wheel(source, tmp_path)
    with zipfile.ZipFile(wheel) as archive:
        (metadata,) = (name for name in archive.namelist() if name.endswith("/METADATA"))
        required = re.findall("^Requires-Dist: ([a-z-]+)", archive.read(metadata).decode(), re.M)
        assert required == ["aiohttp"]
        assert metadata.replace("METADATA", "licenses/LICENSE") in archive.namelist()
    install = ("install", "--quiet", "--no-deps", "--no-index", wheel)
    run(*PIP, "--python", environment, *install)
    (example,) = blocks(SOURCE / "clients" / "python" / "README.md", "python")
    async with serve_here(make_settings()) as rest:
        program = example.text.replace("http://localhost:4025", rest.url) + ALONE
        process = await asyncio.create_subprocess_exec(
            environment / "bin" / "python", "-I", "-c", program,
            cwd=tmp_path, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        output, complaints = await process.communicate()
    assert output.decode().splitlines() == [
        "trade_opened 1 None", "trade_closed 2 1245.75", "session_update 2 None", "",
    ], complaints.decode()  # fmt: skip


def test_all_distributions_have_one_version() -> None:
    setup = ConfigParser()
    setup.read(SOURCE / "setup.cfg")
    version = setup["metadata"]["version"]
    python = tomllib.loads((SOURCE / "clients" / "python" / "pyproject.toml").read_text())
    npm = json.loads((SOURCE / "clients" / "js" / "package.json").read_text())
    assert [python["project"]["version"], npm["version"]] == [version, version]
