"""The streaming routes as an AsyncAPI 3.0 document."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, get_args

from vyomo_rt.web.openapi import SECURITY_SCHEMES
from vyomo_rt.web.routes import Route, Stream
from vyomo_rt.wire.closing import CloseCode
from vyomo_rt.wire.commands import Ping
from vyomo_rt.wire.connection import Ack, Pong
from vyomo_rt.wire.refusal import ErrorMessage
from vyomo_rt.wire.schemas import Document, Schemas, without_null
from vyomo_rt.wire.tick import TickRow, TicksAck, TicksFrame

_ABOUT = (
    "Prices, trades, session figures and P&L as they change, with the same JSON over WebSocket"
    " and Server-Sent Events. The REST calls are in `/api/openapi.json`. Clients ignore messages"
    " and members that they do not know."
)
_CLOSING = {"x-close-codes": {str(code): code.description for code in CloseCode}}
_SERVERS = {
    "websocket": {"host": "{host}", "protocol": "ws"},
    "events": {"host": "{host}", "protocol": "http"},
}
_SCHEMES: Document = {
    "bearer": SECURITY_SCHEMES["bearer"],
    "ticket": {
        "type": "httpApiKey",
        "in": "query",
        "name": "ticket",
        "description": "For where no header can be sent; `POST /api/auto-trader/tickets` makes one",
    },
}
_SECURITY = [{"$ref": f"#/components/securitySchemes/{name}"} for name in _SCHEMES]
_KEEP_ALIVE = "keep_alive"
_KEEP_ALIVES: Document = {
    _KEEP_ALIVE: {
        "name": _KEEP_ALIVE,
        "title": "KeepAlive",
        "summary": "The line is alive. Sent with `keepAlive=event`, in place of the comment `:`.",
        "payload": {"type": "object", "maxProperties": 0},
    }
}
_ANSWERS = {Ping: Pong, TickRow: ErrorMessage, TicksFrame: TicksAck}
_NAMES = {TickRow: "tick", TicksFrame: "ticks", TicksAck: "ticks_ack"}
_HOST = {"host": {"default": "localhost:4025", "description": "Where the server listens"}}


def asyncapi(routes: Iterable[Route], version: str) -> Document:
    """The document; ``version`` is that of the server."""
    document = _Document()
    for route in routes:
        if route.stream is not None:
            document.add(route, route.stream)
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "vyomo-rt",
            "version": version,
            "description": _ABOUT,
            "license": {"name": "MIT"},
        },
        "defaultContentType": "application/json",
        "servers": {
            name: server | {"variables": _HOST, "security": _SECURITY}
            for name, server in _SERVERS.items()
        },
        "channels": document.channels,
        "operations": document.operations,
        "components": {
            "messages": document.messages,
            "schemas": document.schemas.components,
            "securitySchemes": _SCHEMES,
        },
    }


class _Document:
    """The parts that grow with each stream."""

    def __init__(self) -> None:
        self.schemas = Schemas()
        self.channels: Document = {}
        self.operations: Document = {}
        self.messages: Document = {}

    def add(self, route: Route, stream: Stream) -> None:
        """Add a channel, and who sends what on it."""
        websocket = stream.takes is not None
        commands = get_args(stream.takes)
        taken = [self._message(type_, _tag(type_), from_client=True) for type_ in commands]
        sent = [
            self._message(type_, _tag(type_) if websocket else _event(type_))
            for type_ in get_args(stream.sends)
        ]
        if not websocket:
            self.messages |= _KEEP_ALIVES
            sent.append(_KEEP_ALIVE)
        channel = _channel(route, [*taken, *sent])
        operation = _operation("send", route.name, sent)
        if websocket:
            channel |= _CLOSING | {"bindings": {"ws": {"method": "GET", "bindingVersion": "0.1.0"}}}
        else:
            operation["bindings"] = {"http": self._query(route)}
        self.channels[route.name] = channel
        self.operations[route.name] = operation
        for command, name in zip(commands, taken, strict=True):
            answers = [_tag(_ANSWERS.get(command, Ack)), _tag(ErrorMessage)]
            reply = _operation("send", route.name, answers)
            del reply["action"]
            self.operations[name] = _operation("receive", route.name, [name]) | {"reply": reply}

    def _message(self, type_: Any, name: str, *, from_client: bool = False) -> str:
        """Describe a message; returns its name."""
        if name in self.messages:
            return name
        message = {
            "name": name,
            "title": type_.__name__,
            "summary": type_.__doc__,
            "payload": self.schemas.of(type_, from_client=from_client),
        }
        if "id" in type_.__struct_fields__:
            message["correlationId"] = {"location": "$message.payload#/id"}
        self.messages[name] = message
        return name

    def _query(self, route: Route) -> Document:
        parameters = [parameter for parameter in route.inputs if parameter.where == "query"]
        query = {
            "type": "object",
            "properties": {p.name: without_null(self.schemas.of(p.type)) for p in parameters},
            "required": [p.name for p in parameters if p.required],
        }
        return {"method": "GET", "query": query, "bindingVersion": "0.3.0"}


def _channel(route: Route, names: list[str]) -> Document:
    summary, description = route.words
    server = "websocket" if route.stream and route.stream.takes else "events"
    return {
        "address": route.path,
        "title": summary,
        "description": description,
        "servers": [{"$ref": f"#/servers/{server}"}],
        "parameters": {name: {} for name in route.path_names},
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in names},
    }


def _operation(action: str, channel: str, names: list[str]) -> Document:
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{channel}"},
        "messages": [{"$ref": f"#/channels/{channel}/messages/{name}"} for name in names],
    }


def _tag(type_: Any) -> str:
    """What a message is called: its type, unless it has none or another one has the same."""
    return _NAMES.get(type_) or str(type_.__struct_config__.tag)


def _event(type_: Any) -> str:
    """What the message is called in ``event:``."""
    return "server_error" if type_ is ErrorMessage else _tag(type_)
