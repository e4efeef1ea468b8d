"""A Chromium that is driven by its own protocol, where a page may be hidden.

Playwright makes every page believe that it is looked at, and a browser freezes only hidden ones.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

import aiohttp

from tests.kit.chromium import FLAGS
from tests.kit.machine import program
from tests.kit.waiting import until

_STARTS_WITHIN_S = 60.0


class Tab:
    """A page of the browser."""

    def __init__(self, browser: DevTools, target: str, session: str) -> None:
        self._browser = browser
        self._target = target
        self._session = session

    async def evaluate(self, script: str) -> Any:
        """What an expression comes to, awaited if it is a promise."""
        answer = await self._browser.ask(
            "Runtime.evaluate",
            self._session,
            expression=script,
            awaitPromise=True,
            returnByValue=True,
        )
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    async def becomes(self, script: str, pattern: str) -> None:
        """Wait until an expression is a text that holds the pattern."""

        async def look() -> bool:
            return re.search(pattern, str(await self.evaluate(script))) is not None

        await until(look)

    async def show(self) -> None:
        """Bring it to the front, which hides all others."""
        await self._browser.ask("Target.activateTarget", targetId=self._target)

    async def freeze(self, frozen: bool = True) -> None:
        """Stop its scripts, as the browser does with a page that was hidden for a while."""
        state = "frozen" if frozen else "active"
        await self._browser.ask("Page.setWebLifecycleState", self._session, state=state)


class DevTools:
    """The browser's side of the protocol; one question at a time."""

    def __init__(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        self._ws = ws
        self._ids = count(1)

    async def ask(self, method: str, session: str | None = None, **params: Any) -> dict[str, Any]:
        id_ = next(self._ids)
        question = {"id": id_, "method": method, "params": params}
        await self._ws.send_json(question | ({"sessionId": session} if session else {}))
        while True:
            answer = json.loads((await self._ws.receive()).data)
            if answer.get("id") == id_:
                assert "error" not in answer, (method, answer)
                result: dict[str, Any] = answer["result"]
                return result

    async def open(self, url: str) -> Tab:
        """A new page, in front of the others."""
        made = await self.ask("Target.createTarget", url=url)
        attached = await self.ask("Target.attachToTarget", targetId=made["targetId"], flatten=True)
        return Tab(self, made["targetId"], attached["sessionId"])


@asynccontextmanager
async def devtools(folder: Path) -> AsyncIterator[DevTools]:
    """A browser of its own, with its profile in a folder; a test that finds none installed ends."""
    process = await asyncio.create_subprocess_exec(
        program("chromium", "chromium-browser", "google-chrome"),
        *FLAGS,
        "--headless",
        f"--user-data-dir={folder}",
        "--remote-debugging-port=0",
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    try:
        async with asyncio.timeout(_STARTS_WITHIN_S):
            while (found := re.search(rb"ws://\S+", await process.stderr.readline())) is None:
                pass
        async with (
            aiohttp.ClientSession() as http,
            http.ws_connect(found[0].decode(), max_msg_size=0) as ws,
        ):
            yield DevTools(ws)
    finally:
        process.kill()
        await process.wait()
