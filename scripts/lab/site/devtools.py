"""A Chromium that is driven by its own protocol, of which it runs only what is asked for.

Playwright enables more: its browser reports each frame of a WebSocket, which costs a page with
thousands a second more than the page itself does, and believes that every page is looked at.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

import aiohttp

_STARTS_WITHIN_S = 60.0
_LOOK_EVERY_S = 0.02


class Tab:
    """A page of the browser."""

    def __init__(self, browser: DevTools, target: str, session: str) -> None:
        self.browser = browser
        self._target = target
        self._session = session

    async def ask(self, method: str, **params: Any) -> dict[str, Any]:
        """A question of the protocol, to this page."""
        return await self.browser.ask(method, self._session, **params)

    async def go(self, url: str, script: str) -> None:
        """Go to a page that runs a script before its own."""
        await self.ask("Page.enable")
        await self.ask("Page.addScriptToEvaluateOnNewDocument", source=script)
        await self.ask("Page.navigate", url=url)
        await self.becomes("document.readyState", "complete")
        await self.ask("Page.disable")

    async def evaluate(self, script: str) -> Any:
        """What an expression comes to, awaited if it is a promise."""
        answer = await self.ask(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    async def becomes(self, script: str, pattern: str, within_s: float = 20) -> None:
        """Wait until an expression is a text that holds the pattern. Raises TimeoutError."""
        async with asyncio.timeout(within_s):
            while not re.search(pattern, str(await self.evaluate(script))):  # noqa: ASYNC110 (it tells nobody)
                await asyncio.sleep(_LOOK_EVERY_S)

    async def show(self) -> None:
        """Bring it to the front, which hides all others."""
        await self.browser.ask("Target.activateTarget", targetId=self._target)

    async def freeze(self, frozen: bool = True) -> None:
        """Stop its scripts, as the browser does with a page that was hidden for a while."""
        await self.ask("Page.setWebLifecycleState", state="frozen" if frozen else "active")


class DevTools:
    """The browser's side of the protocol; one question at a time."""

    def __init__(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        self._ws = ws
        self._ids = count(1)
        self.told: list[dict[str, Any]] = []
        """What it reported since the last question was asked, until that was answered."""

    async def ask(self, method: str, session: str | None = None, **params: Any) -> dict[str, Any]:
        id_ = next(self._ids)
        question = {"id": id_, "method": method, "params": params}
        await self._ws.send_json(question | ({"sessionId": session} if session else {}))
        self.told = []
        while (answer := await self._next()).get("id") != id_:
            self.told.append(answer)
        assert "error" not in answer, (method, answer)
        result: dict[str, Any] = answer["result"]
        return result

    async def _next(self) -> dict[str, Any]:
        message: dict[str, Any] = json.loads((await self._ws.receive()).data)
        return message

    async def trace(self, *categories: str) -> None:
        """Begin to write down what the browser does."""
        config = {"includedCategories": categories}
        await self.ask("Tracing.start", traceConfig=config)

    async def traced(self) -> list[dict[str, Any]]:
        """What it did since; it goes on without being watched."""
        await self.ask("Tracing.end")
        events: list[dict[str, Any]] = []
        while (report := await self._next())["method"] != "Tracing.tracingComplete":
            if report["method"] == "Tracing.dataCollected":
                events += report["params"]["value"]
        return events

    async def open(self, url: str) -> Tab:
        """A new page, in front of the others."""
        made = await self.ask("Target.createTarget", url=url)
        attached = await self.ask("Target.attachToTarget", targetId=made["targetId"], flatten=True)
        return Tab(self, made["targetId"], attached["sessionId"])


@asynccontextmanager
async def devtools(program: str, folder: Path, *flags: str) -> AsyncIterator[DevTools]:
    """A browser of its own without a window, with its profile in a folder."""
    process = await asyncio.create_subprocess_exec(
        program,
        *flags,
        "--headless",
        f"--user-data-dir={folder}",
        "--remote-debugging-port=0",
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,  # the program may be a script that starts the browser
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
        os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
