"""The commands of docs/nodes.md that start three nodes on one machine."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
import tempfile
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import aiohttp
import pytest

from tests.deploy.proxies import free_port
from tests.kit.documents import ROOT, blocks
from tests.kit.nodes import are_even
from tests.kit.rest import Rest
from tests.kit.server import START_S
from tests.kit.waiting import PATIENCE_S, until
from vyomo_rt.config import PREFIX


@pytest.mark.slow(6)
async def test_the_commands_for_three_nodes_on_one_machine_do_what_the_page_says() -> None:
    (block,) = blocks(ROOT / "docs" / "nodes.md", "sh", "nodes")
    script, urls = block.text, []
    for port in ("4222", "4025", "4026", "4027"):
        assert port in script
        script = re.sub(rf"\b{port}\b", own := str(free_port()), script)
        urls.append(f"http://localhost:{own}")
    environ = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    environ["PATH"] = f"{Path(sys.executable).parent}:{environ['PATH']}"
    async with AsyncExitStack() as stack:
        # A short path: it holds a Unix socket.
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="vyomo-", dir="/tmp"))
        name = Path(folder).name
        assert "/tmp/vyomo-nodes/" in script
        script = script.replace("vyomo-nodes", name)
        process = await asyncio.create_subprocess_exec(
            *("bash", "-c", script), env=environ, cwd=folder, start_new_session=True
        )
        stack.push_async_callback(end, process)
        http = await stack.enter_async_context(aiohttp.ClientSession())
        nodes = [Rest(url, http) for url in urls[1:]]
        await until(lambda: are_even(nodes), START_S)
        session_id = await nodes[0].new_session()
        for node in nodes:
            assert (await node.call("GET", f"/sessions/{session_id}"))[0] == 200


async def end(process: asyncio.subprocess.Process) -> None:
    """As Ctrl-C does, and then for good."""
    os.killpg(process.pid, signal.SIGTERM)
    with suppress(TimeoutError):
        async with asyncio.timeout(PATIENCE_S):
            await process.wait()
            await until(lambda: not is_there(process.pid))
            return
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def is_there(group: int) -> bool:
    with suppress(ProcessLookupError):
        os.killpg(group, 0)
        return True
    return False
