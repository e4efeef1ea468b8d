"""The console's files, which a browser keeps for as long as they are what they were."""

from __future__ import annotations

import re
from pathlib import Path

import aiohttp
from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.kit.rest import Rest
from vyomo_rt.web.static import StaticFiles

FOR_GOOD = "public, max-age=31536000, immutable"


async def keeping(http: aiohttp.ClientSession, url: str) -> tuple[str, str]:
    """A file, and how long a browser may keep it without asking."""
    async with http.get(url, raise_for_status=True) as response:
        return await response.text(), response.headers["Cache-Control"]


async def test_what_the_page_names_is_kept_and_what_programs_name_is_asked_for_again(
    server: Rest,
) -> None:
    page, kept = await keeping(server.http, server.url)
    assert kept == "no-cache"
    named = re.findall(r'(?:src|href)="(static[^"]+)"', page)
    assert len(named) > 50
    assert len({name.split("/")[0] for name in named}) == 1
    for name in named:
        text, kept = await keeping(server.http, f"{server.url}/{name}")
        assert kept == FOR_GOOD
        same = name.partition("/")[2]
        assert await keeping(server.http, f"{server.url}/static/{same}") == (text, "no-cache")


async def test_after_a_change_the_page_names_another_edition_and_nobody_keeps_what_came_between(
    tmp_path: Path,
) -> None:
    """So no browser keeps a new script under an old page's name, or the other way round."""
    script = tmp_path / "console" / "main.js"
    script.parent.mkdir()
    script.write_text("old")
    files, app = StaticFiles(tmp_path), web.Application()
    files.install(app)
    async with TestServer(app) as server, aiohttp.ClientSession(server.make_url("")) as http:
        old = f"/static-{await files.edition()}/console/main.js"
        assert await keeping(http, old) == ("old", FOR_GOOD)
        script.write_text("newer")
        assert await keeping(http, old) == ("newer", "no-cache")
        new = f"/static-{await files.edition()}/console/main.js"
        assert new != old
        assert await keeping(http, new) == ("newer", FOR_GOOD)
        assert await keeping(http, old) == ("newer", "no-cache")


async def test_an_edition_is_the_same_wherever_the_files_are_and_known_without_a_page(
    tmp_path: Path,
) -> None:
    """Behind a balancer one node shows the page and another one the files."""
    editions = []
    for node in ("one", "another"):
        script = tmp_path / node / "console" / "main.js"
        script.parent.mkdir(parents=True)
        script.write_text("the same")
        editions.append(await StaticFiles(tmp_path / node).edition())
    assert len(set(editions)) == 1
    app = web.Application()
    StaticFiles(tmp_path / "one").install(app)
    async with TestServer(app) as server, aiohttp.ClientSession(server.make_url("")) as http:
        address = f"/static-{editions[0]}/console/main.js"
        assert await keeping(http, address) == ("the same", FOR_GOOD)
