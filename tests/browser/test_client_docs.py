"""The client module's types, and the examples of docs/client.md, which are compiled and run."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.kit.documents import blocks
from tests.kit.rest import Rest
from tests.kit.server import serve_here
from tests.kit.store import prepared_database
from vyomo_rt.config import Settings

ROOT = Path(__file__).parents[2]
JS = ROOT / "tests" / "js"
STATIC = ROOT / "static"
PAGE = ROOT / "docs" / "client.md"
WITHIN_S = 20.0

pytestmark = pytest.mark.xdist_group("the page of the client module")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def rest(embedded_uri: str) -> AsyncIterator[Rest]:
    async with serve_here(Settings(port=0, mongo_uri=prepared_database(embedded_uri))) as rest:
        yield rest


@pytest.fixture
def tsc(node: str, node_modules: Path) -> list[str]:
    return [node, str(node_modules / "typescript" / "bin" / "tsc")]


def run(*command: str | Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def project(rest: Rest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's project: the module and its types, copied as the page says, and the packages."""
    folder = tmp_path_factory.mktemp("project")
    copying = await asyncio.create_subprocess_shell(example("by-hand", rest.url), cwd=folder)
    assert await asyncio.wait_for(copying.wait(), WITHIN_S) == 0
    copied = {path.relative_to(folder) for path in folder.rglob("*.*s")}
    assert copied == {path.relative_to(STATIC) for path in STATIC.glob("vyomo-rt/*.js")} | {
        Path("vyomo-rt.js"), Path("vyomo-rt.d.ts"),
    }  # fmt: skip
    (folder / "package.json").write_text('{"type": "module"}')
    (folder / "node_modules").symlink_to(JS / "node_modules")
    return folder


@pytest_asyncio.fixture(loop_scope="session")
async def compiled(tsc: list[str], project: Path, rest: Rest) -> Path:
    """The same project with the TypeScript of the page, which compiles."""
    if not (project / "useVyomo.js").exists():
        texts = {f"example{n}.ts": block.text for n, block in enumerate(blocks(PAGE, "ts"))}
        assert len(texts) >= 3
        texts["useVyomo.ts"] = example("hook", rest.url)
        for name, text in texts.items():
            (project / name).write_text(text)
        files = [project / name for name in texts]
        options = ["--strict", "--target", "es2022", "--module", "nodenext", "--skipLibCheck"]
        # Meanwhile the server goes on: it would not trust its lease if it had stood still.
        await asyncio.to_thread(run, *tsc, *options, *files)
    return project


def example(mark: str, url: str) -> str:
    """The block of the page with a mark, for a server elsewhere."""
    (block,) = blocks(PAGE, mark=mark)
    assert "http://localhost:4025" in block.text
    return block.text.replace("http://localhost:4025", url)


def test_the_types_are_those_of_the_module(tsc: list[str], tmp_path: Path) -> None:
    run(*tsc, "-p", JS, "--outDir", tmp_path)
    made = (tmp_path / "vyomo-rt.d.ts").read_text()
    assert made == (STATIC / "vyomo-rt.d.ts").read_text(), "run `make types`"


def test_right_uses_compile_and_wrong_ones_do_not(tsc: list[str]) -> None:
    run(*tsc, "-p", JS / "tsconfig.consumer.json")


def test_the_typescript_of_the_page_compiles(compiled: Path) -> None:
    assert (compiled / "example0.js").exists()


@asynccontextmanager
async def running(*command: str | Path) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env=os.environ | {"NODE_ENV": "development"},
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        # Reads to the end of the pipes: they must be closed before the loop is.
        await asyncio.wait_for(process.communicate(), WITHIN_S)


class Dashboard:
    """The hook in a React component."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._to, self._from = process.stdin, process.stdout
        self.states: list[str] = []

    def render(self, session_id: int, symbols: list[str]) -> None:
        properties = {"sessionId": session_id, "symbols": symbols}
        self._to.write(json.dumps(properties).encode() + b"\n")

    async def until(self, **expected: Any) -> dict[str, Any]:
        """What the hook returns as soon as it shows that."""
        async with asyncio.timeout(WITHIN_S):
            while True:
                seen: dict[str, Any] = json.loads(await self._from.readline())
                self.states.append(seen["status"])
                if all(_outline(seen[name]) == value for name, value in expected.items()):
                    return seen


def _outline(part: Any) -> Any:
    """The keys of a table, the numbers of a list of events."""
    if isinstance(part, list):
        return [event["seq"] for event in part]
    return set(part) if isinstance(part, dict) else part


async def test_the_hook_shows_a_dashboard_in_react(rest: Rest, node: str, compiled: Path) -> None:
    first, second = await rest.new_session(), await rest.new_session()
    await rest.tick("BANKNIFTY", 196.3)
    async with running(node, JS / "hook.mjs", compiled / "useVyomo.js") as process:
        dashboard = Dashboard(process)
        dashboard.render(first, ["BANKNIFTY"])
        await dashboard.until(status="open", prices={"BANKNIFTY"})

        trade = await rest.open_trade(first)
        seen = await dashboard.until(trades=[1], pnl={str(trade["tradeId"])})
        assert seen["pnl"][str(trade["tradeId"])]["unrealizedPnL"] == 52.5

        dashboard.states.clear()
        dashboard.render(first, ["BANKNIFTY"])
        await rest.close_trade(trade["tradeId"])
        await dashboard.until(trades=[2, 1], pnl=set())
        assert set(dashboard.states) == {"open"}

        dashboard.render(second, [])
        seen = await dashboard.until(status="open", trades=[], prices=set())
        await rest.open_trade(second)
        await dashboard.until(trades=[1])

        assert process.stdin is not None
        process.stdin.close()
        await asyncio.wait_for(process.communicate(), WITHIN_S)
        assert process.returncode == 0


async def test_the_example_for_node_runs(
    rest: Rest, node: str, node_modules: Path, project: Path
) -> None:
    session_id = await rest.new_session()
    script, subscribing = project / "watch.mjs", f"subscribeSession({session_id})"
    script.write_text(example("node", rest.url).replace("subscribeSession(6)", subscribing))
    async with running(node, script) as process:
        assert process.stdout is not None
        line = b""
        async with asyncio.timeout(WITHIN_S):
            while not line:  # it hears of a trade once it has subscribed
                await rest.open_trade(session_id)
                with suppress(TimeoutError):
                    line = await asyncio.wait_for(process.stdout.readline(), 0.3)
        assert line.decode().startswith("opened ")
