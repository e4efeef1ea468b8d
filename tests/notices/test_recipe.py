"""The recipe of docs/notices.md passes what happens on to a chat."""

from __future__ import annotations

import asyncio
import os
import re
import socket
import sys
from pathlib import Path
from typing import Any

from aiohttp import web

from tests.kit.server import MakeSettings, serve_here
from tests.kit.waiting import until
from tests.notices.receiving import KEY

PAGE = Path(__file__).parents[2] / "docs" / "notices.md"


def recipe() -> str:
    found = re.search(r"```python telegram\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert found is not None
    return found[1]


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def test_the_recipe_is_short() -> None:
    assert len([line for line in recipe().splitlines() if line.strip()]) <= 15


async def test_a_closed_trade_reaches_the_chat_and_what_is_not_signed_does_not(
    make_settings: MakeSettings, tmp_path: Path
) -> None:
    sent: list[dict[str, Any]] = []

    async def send_message(request: web.Request) -> web.Response:
        sent.append(await request.json())
        return web.json_response({"ok": True})

    app = web.Application()
    app.router.add_post("/bot123:abc/sendMessage", send_message)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port, program = free_port(), tmp_path / "telegram.py"
    program.write_text(recipe())
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(program),
        env=os.environ
        | {
            "VYOMO_RT_NOTIFY_KEY": KEY,
            "TELEGRAM_CHAT": "77",
            "TELEGRAM_BOT": "http://{}:{}/bot123:abc".format(*runner.addresses[0][:2]),
            "PORT": str(port),
        },
        stdout=asyncio.subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}/"
    try:
        settings = make_settings(
            notify_url=url, notify_key=KEY, notify_types=("trade_closed", "session_changed")
        )
        async with serve_here(settings) as rest:
            trade = await rest.open_trade(await rest.new_session())
            await rest.close_trade(trade["tradeId"], 196.3)
            await until(lambda: sent)
            forged = {"Vyomo-Signature": "t=1,v1=00"}
            async with rest.http.post(url, data=b"{}", headers=forged) as answer:
                assert answer.status == 403
    finally:
        process.kill()
        await process.wait()
        await runner.cleanup()
    [message] = sent
    assert message["chat_id"] == "77"
    assert '"trade_closed"' in message["text"]
    assert '"pnl":52.5' in message["text"]
