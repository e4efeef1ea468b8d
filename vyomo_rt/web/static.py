"""The files of the console, and the client module."""

from __future__ import annotations

import asyncio
import posixpath
import re
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import TypeAlias

from aiohttp import web

from vyomo_rt.domain.errors import NotFound
from vyomo_rt.web.tagged import tagged

_MEDIA_TYPES = {
    ".css": "text/css",
    ".js": "text/javascript",
    ".mjs": "text/javascript",
    ".svg": "image/svg+xml",
    ".ts": "text/plain",
}
"""For all files: what systems say about their types differs, and browsers believe it."""
_IMPORT = re.compile(r'^(?:import|\}) [^"(]*"(\.[^"]+)"', re.MULTILINE)
"""A static import of a module beside it."""
_Stamp: TypeAlias = tuple[int, int]
"""When a file was changed, and how long it is."""
_FOR_GOOD = "public, max-age=31536000, immutable"


class StaticFiles:
    """What was in a folder at the start, each file at two addresses.

    Programs name ``/static/vyomo-rt.js``, and browsers ask for that again each time. The page
    names its files by their edition, ``/static-<edition>/console/main.js``: a browser keeps these
    for good, and no old script meets a new page, because another page names another edition. A
    file of another edition than the server has is answered with the server's own, as after an
    upgrade a page from before it may ask for one; but nobody keeps it.
    """

    def __init__(self, folder: Path) -> None:
        self._files = _files_in(folder)
        self.modules = _imported(folder, "console/main.js")
        """What the console's script imports, directly or not."""
        self._edition = ""
        self._stamps: Mapping[str, _Stamp] = {}

    def install(self, app: web.Application) -> None:
        app.router.add_get("/static/{name:.+}", self.show)
        app.router.add_get("/static-{edition:[0-9a-f]+}/{name:.+}", self.show)

    async def edition(self) -> str:
        """A digest of the files as they are now: in a checkout somebody may be changing them."""
        await asyncio.to_thread(self._look)
        return self._edition

    async def show(self, request: web.Request) -> web.Response:
        """Raises NotFound, PreconditionFailed."""
        name = request.match_info["name"]
        path = self._files.get(name)
        missing = NotFound(f"there is nothing at {request.path}", "path")
        if path is None:
            raise missing
        edition = request.match_info.get("edition")
        if edition is not None and not self._edition:
            await self.edition()
        try:
            stamp, body = await asyncio.to_thread(_read, path)
        except FileNotFoundError:
            raise missing from None
        response = tagged(request, body, _MEDIA_TYPES[path.suffix])
        if edition == self._edition and stamp == self._stamps.get(name):
            response.headers["Cache-Control"] = _FOR_GOOD
        return response

    def _look(self) -> None:
        stamps = {name: stamp for name, path in self._files.items() if (stamp := _stamp(path))}
        if stamps != self._stamps:
            digest = sha256()
            for name in sorted(stamps):
                with suppress(FileNotFoundError):
                    digest.update(sha256(self._files[name].read_bytes()).digest())
                digest.update(name.encode())
            self._edition, self._stamps = digest.hexdigest()[:16], stamps


def _stamp(path: Path) -> _Stamp | None:
    """What tells that a file is no longer what it was; None if it is not there."""
    with suppress(FileNotFoundError):
        status = path.stat()
        return status.st_mtime_ns, status.st_size
    return None


def _read(path: Path) -> tuple[_Stamp | None, bytes]:
    return _stamp(path), path.read_bytes()


@cache
def _files_in(folder: Path) -> dict[str, Path]:
    paths = (path for path in folder.rglob("*") if path.suffix in _MEDIA_TYPES and path.is_file())
    return {path.relative_to(folder).as_posix(): path for path in paths}


@cache
def _imported(folder: Path, script: str) -> tuple[str, ...]:
    """The modules that a script needs, also through others.

    The page names them, so that a browser asks for all at once: it would learn of each only from
    the one that imports it, round trip after round trip.
    """
    found = [script]
    for name in found:
        for path in _IMPORT.findall((folder / name).read_text(encoding="utf-8")):
            module = posixpath.normpath(posixpath.join(posixpath.dirname(name), path))
            if module not in found:
                found.append(module)
    return tuple(found[1:])
