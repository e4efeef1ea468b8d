"""Whether SSE opens, and whether anything in between changes the stream or holds it back."""

from __future__ import annotations

import time

from vyomo_rt.doctor.advice import LONG_LIVED, NOT_COMPRESSED, UNBUFFERED, directive
from vyomo_rt.doctor.content import BEAT_MS
from vyomo_rt.doctor.report import Finding, Problem, note, well, wrong
from vyomo_rt.doctor.server import ANSWER_WITHIN_S, Refused, Server
from vyomo_rt.doctor.streams import EventStream, Stream, of_type, trouble

_LATE_MS = 300
_FIRST_EVENT_MS = 1000
_is_beat = of_type("price_update", "session_update")


async def opening(server: Server) -> list[Finding]:
    """SSE opens unchanged, and its events arrive as they are sent."""
    started = time.monotonic()
    stream = await _open(server)
    findings = _changed(server, stream)
    try:
        await _acknowledged(server, stream)
        first_ms = (time.monotonic() - started) * 1000
        if first_ms > _FIRST_EVENT_MS + 2 * server.round_trip_ms:
            raise _held_back(server, f"the first event arrives after {first_ms / 1000:.1f} s")
        await _watch(server, stream)
    except Problem as problem:
        return [*findings, wrong(str(problem))]
    server.events = stream
    watched = "nothing holds events back" if server.beats else "no beats to watch yet"
    return findings or [well(f"first event after {first_ms:.0f} ms, {watched}")]


async def head(server: Server) -> list[Finding]:
    """HEAD answers for a stream, as uptime probes ask."""
    if server.events is None:
        return []
    answer = await server.ask("/sse/prices", "HEAD", {"symbols": server.symbol})
    type_ = answer.headers.get("Content-Type", "nothing")
    if answer.status == 200 and type_.startswith("text/event-stream"):
        return []
    return [note(f"HEAD on a stream gives {answer.status} ({type_}): probes that use it will fail")]


async def _open(server: Server) -> EventStream:
    query: dict[str, str | int] = {"symbols": server.symbol, "priceInterval": BEAT_MS}
    if server.session is not None:
        query |= {"sessionId": server.session["sessionId"], "updateInterval": BEAT_MS}
    try:
        stream = await server.open_events(query)
    except Refused as refused:
        raise Problem(f"/sse/auto-trader does not open: {refused}") from None
    except TimeoutError:
        raise _held_back(server, f"nothing arrives within {ANSWER_WITHIN_S:g} s") from None
    type_ = stream.headers.get("Content-Type", "missing")
    if type_.partition(";")[0] != "text/event-stream":
        raise Problem(f"its Content-Type is {type_}: does a proxy forward /sse/ to vyomo-rt?")
    return stream


def _changed(server: Server, stream: EventStream) -> list[Finding]:
    """What something in between did to the headers."""
    findings = []
    if encoding := stream.headers.get("Content-Encoding"):
        text = (
            f"something in between compresses it ({encoding}), which costs time and can hold "
            f"events back until a block is full; {directive(server.proxy, NOT_COMPRESSED)}"
        )
        findings.append(wrong(text))
    control = stream.headers.get("Cache-Control", "missing")
    if "no-transform" not in control:
        text = (
            f"Cache-Control was `no-cache, no-transform` and is `{control}` here: caches and "
            "compressors on the way may hold events back; let the proxy pass it on as it is"
        )
        findings.append(note(text))
    return findings


async def _acknowledged(server: Server, stream: EventStream) -> None:
    first = await stream.first(lambda _: True, ANSWER_WITHIN_S)
    if first is None and stream.end is None:
        raise _held_back(server, f"no event arrives within {ANSWER_WITHIN_S:g} s")
    if first is None:
        raise Problem(f"is {stream.end} before the first event")
    if first.type != "ack":
        text = trouble(first) or "it has no `ack`: an older server, on which no client can resume"
        raise Problem(f"opens, but {text}")


async def _watch(server: Server, stream: EventStream) -> None:
    """Compare the beats with the WebSocket's, which nothing buffers."""
    seconds, since_ms = server.options.watch_s, stream.arrivals[0].at_ms
    if await stream.ended(seconds):
        text = f"is {stream.end} within {seconds:g} s; {directive(server.proxy, LONG_LIVED)}"
        raise Problem(text)
    if not server.beats:
        return
    delays = _delays_ms(stream, since_ms)
    others = _delays_ms(server.websocket, since_ms) if server.websocket else []
    expected = int(seconds * 1000) // BEAT_MS
    if others:
        expected = min(expected, len(others))
    if len(delays) < expected / 2:
        raise _held_back(
            server, f"only {len(delays)} of {expected} beats arrive within {seconds:g} s"
        )
    late_ms, usual_ms = (max(ms) - min(ms) if ms else 0.0 for ms in (delays, others))
    if late_ms > usual_ms + _LATE_MS:
        late = f"up to {late_ms / 1000:.1f} s late"
        raise _held_back(server, f"beats sent every {BEAT_MS} ms arrive in bunches, {late}")


def _delays_ms(stream: Stream, since_ms: float) -> list[float]:
    return [a.delay_ms for a in stream.arrivals if a.at_ms >= since_ms and _is_beat(a)]


def _held_back(server: Server, what: str) -> Problem:
    return Problem(
        f"{what}: something in between holds events back, and users see prices late, in bunches "
        f"or not at all; {directive(server.proxy, UNBUFFERED)}"
    )
