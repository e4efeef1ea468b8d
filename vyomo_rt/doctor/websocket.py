"""Whether a WebSocket opens and is answered, how fast, and whether the clocks agree."""

from __future__ import annotations

import statistics
import time

from vyomo_rt.doctor.advice import UPGRADE, directive
from vyomo_rt.doctor.report import Finding, Problem, note, well, wrong
from vyomo_rt.doctor.server import ANSWER_WITHIN_S, Refused, Server
from vyomo_rt.doctor.streams import FULL, WebSocketStream, epoch_ms

_PINGS = 5
_FAR_MS = 300
_CLOCK_OFF_MS = 2000
_CLOSE_TOO_MANY = 4504


async def opening(server: Server) -> list[Finding]:
    """A WebSocket opens, unchanged by anything in between, and is answered."""
    started = time.monotonic()
    try:
        stream = await server.open_websocket()
    except Refused as refused:
        raise Problem(f"/ws/auto-trader does not open: {_no_upgrade(server, refused)}") from None
    except TimeoutError:
        raise Problem(
            f"does not open within {ANSWER_WITHIN_S:g} s: is a proxy in between?"
        ) from None
    took_ms = (time.monotonic() - started) * 1000
    pong = await stream.ask("ping", ANSWER_WITHIN_S)
    if pong is None:
        raise Problem(_mute(stream))
    if "id" not in pong.message:
        text = (
            "opens, but the server knows no `id` and no `ack`: it is older than this doctor; "
            "prices can be watched, but a client that loses the connection cannot resume; update it"
        )
        return [wrong(text, ends=True)]
    server.websocket = stream
    if stream.compressed:
        text = (
            f"opens in {took_ms:.0f} ms, but something in between compresses it "
            "(permessage-deflate), which the server never does: it costs time; switch it off there"
        )
        return [note(text)]
    return [well(f"opens in {took_ms:.0f} ms")]


async def round_trip(server: Server) -> list[Finding]:
    """How long a message takes there and back."""
    if server.websocket is None:
        return []
    trips: list[tuple[float, float]] = []
    for _ in range(_PINGS):
        sent_ms = time.time() * 1000
        pong = await server.websocket.ask("ping", ANSWER_WITHIN_S)
        if pong is None:
            raise Problem(_mute(server.websocket))
        trip_ms = pong.at_ms - sent_ms
        trips.append((trip_ms, epoch_ms(pong.message["timestamp"]) - sent_ms - trip_ms / 2))
    server.round_trip_ms = statistics.median(trip for trip, _ in trips)
    server.clock_lead_ms = min(trips)[1]
    text = f"{server.round_trip_ms:.1f} ms (median of {_PINGS} pings)"
    if server.round_trip_ms > _FAR_MS:
        return [note(f"{text}: users see everything that late; is it far away, or overloaded?")]
    return [well(text)]


async def clock(server: Server) -> list[Finding]:
    """The server's clock and this machine's agree."""
    if (lead_ms := server.clock_lead_ms) is None:
        return []
    if abs(lead_ms) < _CLOCK_OFF_MS:
        return [well(f"the server's and this machine's differ by {abs(lead_ms):.0f} ms")]
    text = (
        f"the server's is {abs(lead_ms) / 1000:.1f} s {'ahead of' if lead_ms > 0 else 'behind'} "
        "this machine's: ages of prices look wrong here, and ticks pushed from here with a `ts` "
        "may be stale or refused; set both clocks by NTP (`timedatectl set-ntp true`)"
    )
    return [note(text)]


def _no_upgrade(server: Server, refused: Refused) -> str:
    upgrade = directive(server.proxy, UPGRADE)
    if refused.status in (400, 426):
        return (
            f"the Upgrade header does not arrive (refused with {refused.status}), so pages "
            f"fall back to SSE and other clients get nothing; {upgrade}"
        )
    if refused.status < 300:
        return (
            f"{server.proxy or 'something else'} answers it as a plain page ({refused.status}): "
            f"forward /ws/auto-trader to vyomo-rt, and {upgrade}"
        )
    return str(refused)


def _mute(stream: WebSocketStream) -> str:
    """Why an open WebSocket is of no use."""
    if stream.close_code == _CLOSE_TOO_MANY:
        return f"is closed at once because the server is full ({_CLOSE_TOO_MANY}): {FULL}"
    if stream.end is not None:
        return f"opens, and is {stream.end}: is the server stopping? Its log says why"
    return (
        f"opens, but a ping is not answered within {ANSWER_WITHIN_S:g} s: a proxy does not pass "
        "messages on, or the server hangs"
    )
