"""The client module as a package of npm, installed into an empty folder."""

from __future__ import annotations

import asyncio
import shutil
import tarfile
from pathlib import Path

from tests.kit.machine import program
from tests.kit.server import MakeSettings, serve_here

ROOT = Path(__file__).parents[2]
FOLLOWS = """
import { createRequire } from "node:module";
import { VyomoClient } from "vyomo-rt-client";
const [, , url, sessionId, modules] = process.argv;
const client = new VyomoClient({ url, WebSocket: createRequire(`${modules}/`)("ws") });
client.on("message", ({ type, seq }) => {
  console.log(type, seq ?? "");
  if (type === "session_update") client.close(); // and nothing keeps the process from ending
});
client.subscribeSession(Number(sessionId), { since: 0 });
client.connect("ws");
"""
TYPED = """
import { VyomoClient, type Quote } from "vyomo-rt-client";
const client = new VyomoClient({ url: "http://localhost:4025" });
client.on("price_update", ({ data }) => { const quote: Quote = data; quote.price.toFixed(2); });
// @ts-expect-error there is no such event
client.on("price_updates", () => {});
"""
STRICT = (
    "--strict",
    "--noEmit",
    "--module",
    "nodenext",
    "--target",
    "es2022",
    "--skipDefaultLibCheck",
)


async def run(*command: str | Path, cwd: Path) -> str:
    process = await asyncio.create_subprocess_exec(
        *command, cwd=cwd, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    output, complaints = await asyncio.wait_for(process.communicate(), 100)
    assert process.returncode == 0, (output + complaints).decode()
    return output.decode()


async def test_the_module_is_a_package_that_follows_a_server(
    node: str, node_modules: Path, tmp_path: Path, make_settings: MakeSettings
) -> None:
    npm, checkout, project = program("npm"), tmp_path / "checkout", tmp_path / "project"
    for name in ("clients/js", "static"):
        shutil.copytree(ROOT / name, checkout / name)
    shutil.copy(ROOT / "LICENSE", checkout)
    packing = (npm, "pack", "--offline", "--pack-destination", tmp_path)
    package = tmp_path / (await run(*packing, cwd=checkout / "clients" / "js")).split()[-1]
    with tarfile.open(package) as archive:
        parts = {f"vyomo-rt/{path.name}" for path in (ROOT / "static" / "vyomo-rt").iterdir()}
        assert {name.removeprefix("package/") for name in archive.getnames()} == {
            "package.json", "README.md", "LICENSE", "vyomo-rt.js", "vyomo-rt.d.ts", *parts,
        }  # fmt: skip

    project.mkdir()
    (project / "package.json").write_text('{"type": "module"}')
    await run(npm, "install", "--offline", "--no-audit", "--no-fund", package, cwd=project)
    (project / "follow.mjs").write_text(FOLLOWS)
    async with serve_here(make_settings()) as rest:
        session_id = await rest.new_session()
        await rest.open_trade(session_id)
        output = await run(node, "follow.mjs", rest.url, str(session_id), node_modules, cwd=project)
    assert output.splitlines() == ["ack ", "trade_opened 1", "session_update 1"]

    (project / "typed.ts").write_text(TYPED)
    await run(node, node_modules / "typescript/bin/tsc", *STRICT, "typed.ts", cwd=project)
