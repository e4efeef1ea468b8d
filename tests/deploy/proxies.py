"""The proxies of docs/deploy.md: their real programs, with the configurations that stand there.

Only ports, paths and times are exchanged; each must stand in the document to be exchanged.
"""

from __future__ import annotations

import os
import random
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.kit.documents import ROOT, blocks
from tests.kit.machine import program

PAGE = ROOT / "docs" / "deploy.md"
NODES_PAGE = ROOT / "docs" / "nodes.md"
NAME = "rt.example.com"
RECIPES_TIMEOUT_S = 60.0
SHORT_TIMEOUT_S = 2.0
"""What the recipes' time-outs are shrunk to where they are tested; a busy machine exceeds it."""
KEEP_ALIVE_S = 0.8
"""How often the server behind them then says that it is there, and nearly as long it waits for a
client's answer."""
_START_S = 10.0


@dataclass(frozen=True)
class Site:
    """Where a proxy listens, where the server behind it does, and its folder."""

    folder: Path
    port: int
    server_port: int
    node_ports: tuple[int, ...] = ()
    """Of several nodes, if it is the recipe for them."""
    timeout_s: float = RECIPES_TIMEOUT_S

    @property
    def url(self) -> str:
        return f"https://{NAME}:{self.port}"

    @property
    def ca(self) -> Path:
        """The certificate that clients have to trust."""
        own = self.folder / "site.crt"
        return own if own.exists() else self.folder / "pki" / "authorities" / "local" / "root.crt"

    def tls(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self.ca)


def recipe(language: str, changes: Mapping[str, str], mark: str = "") -> str:
    """A configuration of the document with changes, none of which may be without effect."""
    (block,) = blocks(PAGE, language, mark)
    text = block.text
    for written, actual in changes.items():
        assert written in text, f"{language}: no {written!r} in {PAGE.name}"
        text = text.replace(written, actual)
    return text


def for_nodes(site: Site, language: str) -> str:
    """What docs/nodes.md adds to a recipe, with the nodes' own addresses."""
    (block,) = blocks(NODES_PAGE, language, "nodes")
    text = block.text
    for number, port in enumerate(site.node_ports, start=1):
        assert f"10.0.0.{number}:4025" in text
        text = text.replace(f"10.0.0.{number}:4025", f"127.0.0.1:{port}")
    assert "10.0.0." not in text, "as many nodes as there"
    return text


def nginx(site: Site) -> list[str]:
    _make_certificate(site)
    changes = {
        "listen 443 ": f"listen 127.0.0.1:{site.port} ",
        "127.0.0.1:4025": f"127.0.0.1:{site.server_port}",
        "60s": f"{site.timeout_s:g}s",
        "/etc/ssl/rt.example.com.crt": str(site.folder / "site.crt"),
        "/etc/ssl/private/rt.example.com.key": str(site.folder / "site.key"),
    }
    folders = "\n".join(
        f"{kind}_temp_path {site.folder}/{kind};"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    # Its workers would be nobody, who may not enter this folder.
    user = "user root;" if os.getuid() == 0 else ""
    text = recipe("nginx", changes)
    if site.node_ports:
        text = text.replace(f"127.0.0.1:{site.server_port}", "vyomo_rt")
        text = for_nodes(site, "nginx") + text
    (site.folder / "nginx.conf").write_text(
        f"daemon off;\npid {site.folder}/pid;\n{user}\n{recipe('nginx', {}, 'main')}\n"
        f"http {{\naccess_log off;\n{folders}\n{text}\n}}\n"
    )
    return [program("nginx"), "-e", "stderr", "-c", str(site.folder / "nginx.conf")]


def haproxy(site: Site) -> list[str]:
    _make_certificate(site)
    both = site.folder / "both.pem"
    both.write_text((site.folder / "site.crt").read_text() + (site.folder / "site.key").read_text())
    changes = {
        "bind :443 ": f"bind 127.0.0.1:{site.port} ",
        "127.0.0.1:4025": f"127.0.0.1:{site.server_port}",
        "60s": f"{site.timeout_s:g}s",
        "/etc/haproxy/rt.example.com.pem": str(both),
    }
    text = recipe("haproxy", changes)
    if site.node_ports:
        line = f"    server vyomo_rt 127.0.0.1:{site.server_port}\n"
        assert text.count(line) == 2, "both backends"
        text = text.replace(line, for_nodes(site, "haproxy"))
    (site.folder / "haproxy.cfg").write_text(text)
    return [program("haproxy"), "-db", "-f", str(site.folder / "haproxy.cfg")]


def caddy(site: Site) -> list[str]:
    """Caddy makes the certificate itself, here by an authority of its own."""
    options = (
        "admin off", "local_certs", "skip_install_trust", f"storage file_system {site.folder}",
        f"https_port {site.port}", f"http_port {free_port()}", "default_bind 127.0.0.1",
    )  # fmt: skip
    changes = {
        "127.0.0.1:4025": f"127.0.0.1:{site.server_port}",
        "5s": f"{min(5, site.timeout_s):g}s",
    }
    (site.folder / "Caddyfile").write_text(
        "{\n" + "\n".join(options) + "\n}\n\n" + recipe("caddy", changes)
    )
    return [program("caddy"), "run", "--config", str(site.folder / "Caddyfile")]


PROXIES: Mapping[str, Callable[[Site], list[str]]] = {
    "nginx": nginx,
    "haproxy": haproxy,
    "caddy": caddy,
}


class Proxy:
    """A proxy's process, from its start until ``stop``."""

    def __init__(self, name: str, site: Site) -> None:
        self.name = name
        self.site = site
        self._log = site.folder / "log"
        self._start(PROXIES[name](site))

    def _start(self, command: Sequence[str]) -> None:
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=log, env=os.environ | {"HOME": str(self.site.folder)}
            )
        deadline = time.monotonic() + _START_S
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                pytest.fail(f"{self.name} did not start: {self._log.read_text()}")
            time.sleep(0.02)

    def _answers(self) -> bool:
        try:
            with (
                socket.create_connection(("127.0.0.1", self.site.port), timeout=1) as sock,
                self.site.tls().wrap_socket(sock, server_hostname=NAME),
            ):
                return True
        except OSError:
            return False

    def stop(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def free_port() -> int:
    """A port that is free, and that the system gives to nobody who asks for any."""
    while True:
        port = random.randrange(20_000, 30_000)
        with socket.socket() as sock:
            try:
                sock.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def _make_certificate(site: Site) -> None:
    subprocess.run(
        [
            program("openssl"), "req", "-x509", "-days", "2", "-nodes",
            "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
            "-subj", f"/CN={NAME}", "-addext", f"subjectAltName=DNS:{NAME}",
            "-keyout", site.folder / "site.key", "-out", site.folder / "site.crt",
        ],
        check=True,
        capture_output=True,
    )  # fmt: skip
