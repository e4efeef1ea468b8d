"""An installed vyomo-rt, as a wheel and editable, finds its page and its scripts from anywhere."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

SOURCE = Path(__file__).parent.parent
SHIPPED = ("setup.cfg", "pyproject.toml", "MANIFEST.in", "LICENSE", "README.md")
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
    for name in ("vyomo_rt", "static", "templates"):
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


def built_wheel(checkout: Path, folder: Path) -> Path:
    run(*PIP, "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, checkout)
    (wheel,) = folder.glob("vyomo_rt-*.whl")
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
        async with asyncio.timeout(15):
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
            ("/", "static/console/main.js"),
            ("/static/console/main.js", "import"),
            ("/static/vyomo-rt.js", "export"),
        ):
            async with http.get(path) as response:
                assert response.status == 200, path
                assert part in await response.text()


async def test_a_wheel_serves_from_another_folder(
    checkout: Path, environment: Path, tmp_path: Path
) -> None:
    wheel = built_wheel(checkout, tmp_path)
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names if ".dist-info" not in name} == {"vyomo_rt"}
    pages = {path for folder in ("static", "templates") for path in (SOURCE / folder).rglob("*.*")}
    assert {f"vyomo_rt/{path.relative_to(SOURCE)}" for path in pages} <= set(names)
    assert {"vyomo_rt/market/symbols.json", "vyomo_rt/py.typed"} <= set(names)

    run(*PIP, "--python", environment, "install", "--quiet", "--no-deps", wheel)
    shutil.rmtree(checkout)
    async with served(tmp_path, environment / "bin" / "vyomo-rt") as url:
        await assert_pages_are_found(url)


async def test_an_editable_install_serves_what_is_in_the_checkout(
    checkout: Path, environment: Path, tmp_path: Path
) -> None:
    run(*PIP, "--python", environment, "install", "--quiet", "--no-deps", "--editable", checkout)
    page = checkout / "templates" / "console.html"
    page.write_text(page.read_text() + "<!-- edited -->")
    async with served(tmp_path, environment / "bin" / "python", "-m", "vyomo_rt") as url:
        await assert_pages_are_found(url)
        async with aiohttp.ClientSession(url) as http, http.get("/") as response:
            assert "<!-- edited -->" in await response.text()
