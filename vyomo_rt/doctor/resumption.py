"""Whether a client that lost its connection gets what it missed, on either transport."""

from __future__ import annotations

from typing import Any

from vyomo_rt.doctor.report import Finding, Problem, note, skipped, well
from vyomo_rt.doctor.server import ANSWER_WITHIN_S, API, Server
from vyomo_rt.doctor.streams import Arrival, EventStream, Stream, WebSocketStream, of_type, trouble

_REPLAYED = 5
_QUIET_MS = 60_000


async def resumption(server: Server) -> list[Finding]:
    """Drop both streams, and resume from the position on either transport."""
    if server.session is None:
        return [skipped("needs a session to test with")]
    if server.events is None or server.websocket is None:
        return [skipped("needs both WebSocket and SSE")]
    if (position := server.events.position) is None:
        raise Problem("SSE events carry no `id`, so EventSource cannot resume")
    await server.websocket.drop()
    await server.events.drop()
    id_, seq, epoch = position.split("-", 2)
    session_id, since = int(id_), max(0, int(seq) - _REPLAYED)
    path = f"{API}/sessions/{session_id}/events"
    stored = await server.ask(path, query={"since": since})
    if stored.status != 200:
        return [note(f"not tested, because the stored events cannot be read: {server.why(stored)}")]
    events = stored.json["events"]
    replays = {
        "WebSocket": await _over_websocket(server, session_id, since, epoch),
        "SSE": await _over_sse(server, session_id, f"{session_id}-{since}-{epoch}"),
    }
    for name, replayed in replays.items():
        # More may have happened since they were read.
        if replayed[: len(events)] != events:
            raise Problem(
                f"{name} replays other events than {path}?since={since} lists: do several "
                "servers stand behind this address?"
            )
    if not events:
        return [well("a lost connection resumes; there are no events to replay yet")]
    return [well(f"{len(events)} missed events are replayed, the same over WebSocket and SSE")]


async def _over_websocket(
    server: Server, session_id: int, since: int, epoch: str
) -> list[dict[str, Any]]:
    """Resume from a position that SSE gave; returns the events missed."""
    stream: WebSocketStream = await server.open_websocket()
    ack = await stream.ask(
        "subscribe_session",
        ANSWER_WITHIN_S,
        sessionId=session_id,
        updateInterval=_QUIET_MS,
        since=since,
        epoch=epoch,
    )
    return await _missed(stream, "WebSocket", ack)


async def _over_sse(server: Server, session_id: int, last_event_id: str) -> list[dict[str, Any]]:
    """Resume from a position that the WebSocket knows; returns the events missed."""
    query = {"sessionId": session_id, "updateInterval": _QUIET_MS}
    stream: EventStream = await server.open_events(query, last_event_id)
    ack = await stream.first(lambda _: True, ANSWER_WITHIN_S)
    if ack is not None and ack.type == "ack" and "recovered" not in ack.message["result"]:
        raise Problem(
            "on SSE the header Last-Event-ID does not arrive, and a page that lost its connection "
            "misses trades: let the proxy pass it on (in nginx: remove `proxy_set_header "
            "Last-Event-ID`)"
        )
    return await _missed(stream, "SSE", ack)


async def _missed(stream: Stream, name: str, ack: Arrival | None) -> list[dict[str, Any]]:
    """The events before the snapshot's figures."""
    if problem := trouble(ack):
        raise Problem(f"{name} does not resume: {problem}")
    assert ack is not None
    if not ack.message["result"].get("recovered"):
        raise Problem(
            f"{name} does not know a position from a moment ago: do several servers stand behind "
            "this address, or was the data replaced?"
        )
    if await stream.first(of_type("session_update"), ANSWER_WITHIN_S) is None:
        raise Problem(f"no snapshot follows on {name} within {ANSWER_WITHIN_S:g} s")
    # What carries a `seq` and is no state is an event, of whatever kind.
    return [a.message for a in stream.arrivals if "seq" in a.message and a.type != "session_update"]
