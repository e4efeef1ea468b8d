"""All checks in order, each printed as it finishes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TextIO

import aiohttp

from vyomo_rt.doctor import content, idle, reach, resumption, sse, websocket
from vyomo_rt.doctor.report import Finding, Problem, Report, wrong
from vyomo_rt.doctor.server import Options, Server

Check = Callable[[Server], Awaitable[list[Finding]]]

CHECKS: tuple[tuple[str, Check], ...] = (
    ("address", reach.address),
    ("tls", reach.tls),
    ("http", reach.identity),
    ("ready", reach.readiness),
    ("requests", reach.requests),
    ("origin", reach.origin),
    ("websocket", websocket.opening),
    ("round trip", websocket.round_trip),
    ("clock", websocket.clock),
    ("prices", content.prices),
    ("session", content.session),
    ("market", content.market),
    ("sse", sse.opening),
    ("sse", sse.head),
    ("agreement", content.agreement),
    ("resumption", resumption.resumption),
    ("idle", idle.idle),
)


async def examine(options: Options, out: TextIO) -> int:
    """Look at a server, print what is found, and return the exit code: 0 well, 1 something wrong.

    Later checks build on what earlier ones learned, and are left out after one without which
    nothing can be seen.
    """
    report = Report(out)
    server = Server(options, report.waiting)
    whole = True
    try:
        for name, check in CHECKS:
            report.waiting(name)
            findings = await _look(check, server)
            report.add(name, findings)
            if any(finding.ends for finding in findings):
                whole = False
                break
    finally:
        await server.close()
    return report.sum_up(whole=whole)


async def _look(check: Check, server: Server) -> list[Finding]:
    """What a check finds; getting no answer is a finding too."""
    try:
        return await check(server)
    except Problem as problem:
        return [wrong(str(problem))]
    except TimeoutError:
        return [wrong("no answer in time: is the server overloaded, or is a proxy waiting?")]
    except (aiohttp.ClientError, OSError) as error:
        return [wrong(f"the connection fails: {error or type(error).__name__}")]
    except (LookupError, TypeError, ValueError) as error:
        # Somebody else's server may send anything.
        return [wrong(f"an answer breaks the protocol ({error!r}): is this a vyomo-rt server?")]
