"""The real Firefox, which runs scripts for tests.

No driver is needed: its page asks a small HTTP server for one script after the other, and posts
what came of each.
"""

from __future__ import annotations

import asyncio
import json
import os
import queue
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

_PREFERENCES = {
    "app.normandy.enabled": False,
    "browser.shell.checkDefaultBrowser": False,
    "browser.startup.homepage_override.mstone": "ignore",
    "datareporting.policy.dataSubmissionEnabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "services.settings.server": "",
    "toolkit.telemetry.enabled": False,
}
_PAGE = b"""<!doctype html><title>Runs scripts</title><script type="module">
const AsyncFunction = (async () => {}).constructor;
const thrown = [];
addEventListener("error", ({ message }) => thrown.push(message));
for (;;) {
  const { script, values, goto } = await (await fetch("/next")).json();
  if (goto) { location = goto; break; }
  const answer = await new AsyncFunction("values", script)(values).then(
    (result) => ({ result }), (error) => ({ error: `${error}` }));
  if (thrown.length) answer.error = thrown.splice(0).join();
  await fetch("/answer", { method: "POST", body: JSON.stringify(answer) });
}
</script>"""
_ANSWER_WITHIN_S = 30.0


class Firefox:
    """A window, with a page that runs scripts."""

    def __init__(self) -> None:
        self._scripts: queue.Queue[bytes] = queue.Queue()
        self._answers: queue.Queue[bytes] = queue.Queue()
        scripts, answers = self._scripts, self._answers

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                path, query = urlsplit(self.path).path, parse_qs(urlsplit(self.path).query)
                self.send_response(200)
                self.send_header("Content-Type", "text/html")
                if "policy" in query:
                    self.send_header("Content-Security-Policy", query["policy"][0])
                self.end_headers()
                self.wfile.write(scripts.get() if path == "/next" else _PAGE)

            def do_POST(self) -> None:
                answers.put(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def open(self, policy: str | None = None) -> None:
        """Leave the page, and all that it opened, for a fresh one under that CSP."""
        page = f"{self.url}/?{urlencode({'policy': policy})}" if policy else f"{self.url}/"
        self._scripts.put(json.dumps({"goto": page}).encode())

    async def run(self, script: str, **values: Any) -> Any:
        """What the body of an asynchronous JavaScript function returns. Fails if it throws."""
        self._scripts.put(json.dumps({"script": script, "values": values}).encode())
        taken = await asyncio.to_thread(self._answers.get, timeout=_ANSWER_WITHIN_S)
        answer = json.loads(taken)
        assert "error" not in answer, answer["error"]
        return answer.get("result")


@contextmanager
def running_firefox(program: str, profile: Path) -> Iterator[Firefox]:
    lines = [f"user_pref({json.dumps(k)}, {json.dumps(v)});\n" for k, v in _PREFERENCES.items()]
    (profile / "user.js").write_text("".join(lines))
    firefox = Firefox()
    process = subprocess.Popen(
        [program, "--headless", "--no-remote", "--profile", profile, firefox.url],
        env=os.environ | {"HOME": str(profile), "MOZ_CRASHREPORTER_DISABLE": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield firefox
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        firefox.close()
