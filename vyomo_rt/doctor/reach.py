"""Whether the server can be reached, is a vyomo-rt, is ready, and lets a page in."""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
import time

import aiohttp

from vyomo_rt.doctor.advice import SAME_HOST, directive
from vyomo_rt.doctor.report import Finding, note, well, wrong
from vyomo_rt.doctor.server import ANSWER_WITHIN_S, API, Answer, Refused, Server

_CERTIFICATE_DAYS = 14
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


async def address(server: Server) -> list[Finding]:
    """The name has an address, and something listens there."""
    host, port = _authority(server)
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        why = getattr(error, "strerror", None) or error
        text = f"the name {host!r} has no address ({why}): correct it, or its DNS entry"
        return [wrong(text, ends=True)]
    addresses = list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))
    failures = await asyncio.gather(*(_connect(address, port) for address in addresses))
    failed = {a: f for a, f in zip(addresses, failures, strict=True) if f is not None}
    if len(failed) == len(addresses):
        return [wrong(_closed(host, port, failed), ends=True)]
    reached = ", ".join(a for a in addresses if a not in failed)
    silent = [a for a, failure in failed.items() if isinstance(failure, TimeoutError)]
    if silent:
        return [
            note(
                f"{_place(host, port)} is open at {reached}, but {', '.join(silent)} does not "
                "answer: clients that try it first have to wait; remove it from DNS or let it "
                "through"
            )
        ]
    return [well(f"{_place(host, port)} is open ({reached})")]


async def tls(server: Server) -> list[Finding]:
    """For https: the certificate is one that clients trust."""
    if server.url.scheme != "https":
        return []
    host, port = _authority(server)
    try:
        async with asyncio.timeout(ANSWER_WITHIN_S):
            _, writer = await asyncio.open_connection(host, port, ssl=True)
    except ssl.SSLCertVerificationError as error:
        text = (
            f"browsers will not trust the certificate ({error.verify_message}): give the proxy a "
            "valid one; if the certificate authority is your own, name its file in SSL_CERT_FILE "
            "for the doctor, and install it where the clients run"
        )
        return [wrong(text, ends=True)]
    except (OSError, TimeoutError) as error:
        text = (
            f"port {port} does not speak TLS ({_said(error)}): vyomo-rt speaks plain HTTP, so "
            f"use http://{_place(host, port)}, or put a proxy with a certificate in front of it"
        )
        return [wrong(text, ends=True)]
    certificate = writer.get_extra_info("peercert")
    version = writer.get_extra_info("ssl_object").version()
    writer.transport.abort()
    days = (ssl.cert_time_to_seconds(certificate["notAfter"]) - time.time()) / 86_400
    if days < _CERTIFICATE_DAYS:
        text = f"the certificate ends in {days:.1f} days: renew it, or no client will connect"
        return [note(text)]
    return [well(f"{version}, the certificate is good for {days:.0f} days")]


async def identity(server: Server) -> list[Finding]:
    """What answers is a vyomo-rt."""
    try:
        answer = await server.ask("/livez")
    except TimeoutError:
        text = (
            f"the connection is accepted, but no answer comes within {ANSWER_WITHIN_S:g} s: "
            "the process hangs or is stopped; look at its log, and restart it"
        )
        return [wrong(text, ends=True)]
    except (aiohttp.ClientError, OSError) as error:
        text = await _use_tls(server) or (
            f"what listens there does not speak HTTP ({_said(error)}): is this the right port?"
        )
        return [wrong(text, ends=True)]
    if answer.status == 200 and answer.json.get("status") == "ok":
        through = f", through {server.proxy}" if server.proxy else ""
        return [well(f"vyomo-rt answers in {answer.took_ms:.0f} ms{through}")]
    if target := _moved_to(answer):
        asked = str(server.url).rstrip("/")
        text = f"{asked} redirects to {target}: use that address, here and in the clients"
        return [wrong(text, ends=True)]
    if await _speaks(server):
        text = (
            f"/livez answers {answer.status}, but the WebSocket speaks the protocol: an older "
            "server, or a proxy that does not forward /livez and /readyz"
        )
        return [note(text)]
    return [wrong(await _stranger(server, answer), ends=True)]


async def readiness(server: Server) -> list[Finding]:
    """The store and the price source work."""
    answer = await server.ask("/readyz")
    store, feed = answer.json.get("store"), answer.json.get("feed")
    if not isinstance(feed, dict):
        return [note(f"/readyz: {server.why(answer)}")]
    findings = []
    if store != "ok":
        findings.append(
            wrong(
                f"the store is away ({answer.status}): trades can be neither opened nor closed "
                "(503), prices go on; an embedded store restarts by itself; for a MongoDB, check "
                "that it runs and that VYOMO_RT_MONGO_URI is right; the server's log says more"
            )
        )
    source, state, message = (feed.get(name) for name in ("source", "state", "message"))
    if state == "DOWN":
        text = (
            f"the {source} feed is DOWN ({message}): prices stand still and stops do not act; "
            "the server's log says why"
        )
        findings.append(wrong(text))
    elif state != "LIVE":
        pushed = "; is the program that pushes ticks running?" if source == "ingest" else ""
        findings.append(note(f"the {source} feed is {state}: {message}{pushed}"))
    elif not findings:
        findings.append(well(f"the store works, the {source} feed is LIVE"))
    if answer.json.get("notices") == "waiting":
        text = (
            "notices do not get through to their receiver (VYOMO_RT_NOTIFY_URL): is it running? "
            "They wait and are sent again; the server's log says why"
        )
        findings.append(note(text))
    return findings


async def requests(server: Server) -> list[Finding]:
    """REST answers under this Host; picks the session to watch."""
    wanted = server.options.session_id
    path = f"{API}/sessions" + ("" if wanted is None else f"/{wanted}")
    answer = await server.ask(path)
    if answer.status == 200:
        sessions = answer.json.get("sessions", [answer.json])
        if sessions:
            # One that is in use, and has the most to replay.
            server.session = max(sessions, key=lambda s: (s["status"] == "ACTIVE", s["seq"]))
        return [well(f"sessions are listed in {answer.took_ms:.0f} ms")]
    if answer.status == 404 and wanted is not None and answer.json:
        return [wrong(f"there is no session {wanted}: see {server.url}{API}/sessions")]
    return [wrong(f"{API}: {server.why(answer)}", ends=answer.status == 421)]


async def origin(server: Server) -> list[Finding]:
    """A page may use the server: one of its own or, with --origin, one from elsewhere."""
    own = str(server.url.origin())
    page = server.options.origin or own
    answer = await server.ask(f"{API}/sessions", headers={"Origin": page})
    if answer.status == 403:
        return [wrong(_origin_refused(server, page, own, answer))]
    server.origin = page
    if answer.status != 200:
        return []
    if page == own:
        return [well(f"pages of {page} may connect")]
    preflight = await server.ask(
        f"{API}/sessions",
        "OPTIONS",
        headers={
            "Origin": page,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "content-type,idempotency-key",
        },
    )
    for asked, of in ((answer, "answers"), (preflight, "answers to a preflight (OPTIONS)")):
        allowed = asked.headers.getall("Access-Control-Allow-Origin", [])
        if allowed not in ([page], ["*"]):
            return [wrong(_cors(server, page, allowed, of))]
    return [well(f"pages of {page} may connect, and read answers (CORS)")]


def _authority(server: Server) -> tuple[str, int]:
    assert server.url.host is not None
    assert server.url.port is not None
    return server.url.host, server.url.port


def _place(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


async def _connect(address_: str, port: int) -> Exception | None:
    """Why nothing can be opened there."""
    try:
        async with asyncio.timeout(ANSWER_WITHIN_S):
            _, writer = await asyncio.open_connection(address_, port)
    except (OSError, TimeoutError) as error:
        return error
    writer.transport.abort()
    return None


def _closed(host: str, port: int, failed: dict[str, Exception]) -> str:
    if any(isinstance(failure, TimeoutError) for failure in failed.values()):
        return (
            f"{_place(host, port)} does not answer within {ANSWER_WITHIN_S:g} s: the machine is "
            "off or a firewall drops the packets; open the port there"
        )
    start = "start it: `vyomo-rt serve`"
    if host not in _LOOPBACK:
        start += " (it listens on its own machine only, unless told `--host ... --allow-open`)"
    return (
        f"nothing listens at {_place(host, port)}: is it running, and on this port? If not, {start}"
    )


async def _use_tls(server: Server) -> str | None:
    """What to say of a port that answers over TLS only."""
    host, port = _authority(server)
    if server.url.scheme == "https":
        return None
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        async with asyncio.timeout(ANSWER_WITHIN_S):
            _, writer = await asyncio.open_connection(host, port, ssl=context)
    except (OSError, TimeoutError):
        return None
    writer.transport.abort()
    return f"port {port} speaks TLS: use https://{_place(host, port)}"


def _moved_to(answer: Answer) -> str | None:
    """The address to use in place of the one that redirects: streams follow no redirect."""
    location = answer.headers.get("Location", "")
    is_moved = 300 <= answer.status < 400 and re.fullmatch(r"https?://.+/livez", location)
    return location.removesuffix("/livez") if is_moved else None


def _said(error: Exception) -> str:
    """An error's own words, in a line."""
    text = getattr(error, "reason", None) or str(error).partition("\n")[0]
    return str(text or type(error).__name__)


async def _speaks(server: Server) -> bool:
    """Whether the WebSocket answers a ping, whatever HTTP does."""
    try:
        socket_ = await server.open_websocket()
    except (Refused, aiohttp.ClientError, OSError, TimeoutError):
        return False
    return await socket_.ask("ping", ANSWER_WITHIN_S) is not None


async def _stranger(server: Server, answer: Answer) -> str:
    if "Location" in answer.headers or answer.status in (401, 407, 502, 503, 504):
        return server.why(answer)
    if answer.status == 400 and (text := await _use_tls(server)):
        return text
    name = f" ({server.proxy})" if server.proxy else ""
    return (
        f"something other than vyomo-rt{name} answers here: /livez gives {answer.status}, and no "
        "WebSocket opens; is this the right port, and does a proxy forward /livez?"
    )


def _origin_refused(server: Server, page: str, own: str, answer: Answer) -> str:
    if not answer.json:
        return server.why(answer)
    allow = f"VYOMO_RT_ALLOWED_ORIGINS={page}"
    if page != own:
        return (
            f"pages of {page} are refused (403) and get no prices: start the server with {allow} "
            "(several are separated by commas)"
        )
    return (
        f"the server's own pages, {page}, are refused (403), as if the Host that arrives were not "
        f"the one that was sent; {directive(server.proxy, SAME_HOST)}, or start it with {allow}"
    )


def _cors(server: Server, page: str, allowed: list[str], of: str) -> str:
    if len(allowed) > 1 or any("," in value for value in allowed):
        return (
            f"{of} carry Access-Control-Allow-Origin twice ({', '.join(allowed)}), and browsers "
            "refuse that: remove the proxy's own (in nginx: `add_header`)"
        )
    value = allowed[0] if allowed else "missing"
    return (
        f"in {of} Access-Control-Allow-Origin is {value}, so a page of {page} cannot read "
        f"them: {server.proxy or 'a proxy'} must pass that header and OPTIONS on as they are"
    )
