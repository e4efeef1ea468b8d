"""What the server answers at which path: one row per call, for aiohttp and the contracts."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from http import HTTPStatus
from inspect import getdoc
from typing import Any, Literal, NamedTuple

import msgspec
from aiohttp import hdrs, web
from msgspec.inspect import ListType, type_info

from vyomo_rt.domain.errors import LimitExceeded
from vyomo_rt.domain.grant import Need
from vyomo_rt.wire.decoding import given_twice, kinds_of, unknown
from vyomo_rt.wire.values import Id, IdempotencyKey

JSON = "application/json"
CSV = "text/csv"
API = "/api/auto-trader"
_MAX_PARAMETERS = 1000
_OF_STREAMS = ("lastEventId", "keepAlive", "ticket")
"""Parameters of every event stream."""


Admit = Callable[[web.Request, "Route"], Awaitable[None]]
"""Raises unless the caller may make this request: `Guard.admit`."""

Carry = Callable[[web.Request, "Route"], Awaitable[web.StreamResponse]]
"""Carries a command out."""


class Takes(NamedTuple):
    """How the body of a command is read.

    ``empty`` is what an empty body stands for. A null member counts as absent unless it takes
    ``null``.
    """

    empty: bytes = b""
    null: bool = False


class Text(NamedTuple):
    """Content that is not one JSON value, by its media type."""

    media_type: str


class Parameter(NamedTuple):
    """A parameter of a request; ``type`` has the name, the bounds and the words for it."""

    name: str
    where: Literal["path", "query", "header"]
    type: Any
    required: bool = False
    default: Any = None


@dataclass(frozen=True)
class Stream:
    """The messages of a streaming call: unions of what the server sends and takes.

    With ``takes_auth`` a client may also say who it is by its first message.
    """

    sends: Any
    takes: Any = None
    takes_auth: bool = False

    @property
    def is_websocket(self) -> bool:
        return self.takes is not None


@dataclass(frozen=True)
class Route:
    """One call; aiohttp's route, OpenAPI and AsyncAPI are made from this row.

    ``needs`` is what the caller's grant must allow; with None anybody may call. The handler's
    docstring describes the call, its name names the operation. ``answer`` is the type of the
    answer with ``status``, ``also`` those of other statuses (``None``: no body); ``body`` are
    the types of a request's body. Each is a type of ``wire`` for JSON, or a ``Text``.
    A call that ``takes`` a command has a handler for that, not for the request: it is carried out
    where its session is. ``refuses`` are the statuses of problem documents beyond those of every
    such call.
    """

    method: str
    path: str
    needs: Need | None
    handler: Callable[[Any], Awaitable[web.StreamResponse]]
    tag: str
    answer: Any
    status: HTTPStatus = HTTPStatus.OK
    also: Mapping[HTTPStatus, Any] = field(default_factory=dict)
    body: tuple[Any, ...] = ()
    parameters: tuple[Parameter, ...] = ()
    refuses: tuple[HTTPStatus, ...] = ()
    idempotent: bool = False
    takes: Takes | None = None
    stream: Stream | None = None

    @property
    def name(self) -> str:
        """The operation's name, in camelCase."""
        first, *rest = getattr(self.handler, "__name__", "").split("_")
        return first + "".join(word.capitalize() for word in rest)

    @property
    def words(self) -> tuple[str, str]:
        """A summary, and the rest of the description."""
        summary, _, description = (getdoc(self.handler) or self.name).partition("\n\n")
        return " ".join(summary.split()).removesuffix("."), " ".join(description.split())

    @property
    def answers(self) -> dict[HTTPStatus, Any]:
        """The type for each status that is not a refusal."""
        return {self.status: self.answer, **self.also}

    @property
    def path_names(self) -> list[str]:
        return re.findall(r"{(\w+)}", self.path)

    @property
    def inputs(self) -> list[Parameter]:
        """All its parameters; one in the path is an ``Id`` unless it is described."""
        described = {parameter.name for parameter in self.parameters if parameter.where == "path"}
        names = self.path_names
        found = [Parameter(n, "path", Id, required=True) for n in names if n not in described]
        found += [p for p in self.parameters if p.where == "path" or p.name not in names]
        if self.idempotent:
            found.append(Parameter("Idempotency-Key", "header", IdempotencyKey))
        return found

    @property
    def refusals(self) -> list[HTTPStatus]:
        """The statuses of all its problem documents."""
        found = {
            HTTPStatus.FORBIDDEN,
            HTTPStatus.MISDIRECTED_REQUEST,
            HTTPStatus.INTERNAL_SERVER_ERROR,
            *self.refuses,
        }
        if self.needs is not None:
            found |= {HTTPStatus.UNAUTHORIZED, HTTPStatus.TOO_MANY_REQUESTS}
        if self.path_names:
            found.add(HTTPStatus.NOT_FOUND)
        if self.is_strict or any(parameter.where != "path" for parameter in self.inputs):
            found.add(HTTPStatus.BAD_REQUEST)
        if self.body:
            found |= {
                HTTPStatus.REQUEST_TIMEOUT,
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            }
        if self.idempotent:
            found.add(HTTPStatus.UNPROCESSABLE_ENTITY)
        return sorted(found - self.answers.keys())

    @property
    def is_event_stream(self) -> bool:
        return self.stream is not None and not self.stream.is_websocket

    @property
    def is_call(self) -> bool:
        """Whether it is a REST call, of which one may make only so many a second."""
        return self.path.startswith(f"{API}/")

    @property
    def is_strict(self) -> bool:
        """Whether unknown parameters are refused.

        Probes and scrapers add their own, and a WebSocket's commands come later.
        """
        return self.path.startswith((f"{API}/", "/sse/"))

    def for_aiohttp(self, admit: Admit, carry: Carry) -> web.RouteDef:
        """The route; ``admit`` is called before anything is looked up for the request."""

        async def handler(request: web.Request) -> web.StreamResponse:
            if self.needs is not None:
                await admit(request, self)
            if self.is_strict:
                require_few_parameters(request)
                self._check_names(request)
            return await (self.handler(request) if self.takes is None else carry(request, self))

        if self.method != hdrs.METH_GET:
            return web.route(self.method, self.path, handler)
        # An upgrade has no answer that HEAD could be the head of.
        allow_head = HTTPStatus.SWITCHING_PROTOCOLS not in self.answers
        return web.get(self.path, handler, allow_head=allow_head)

    def _check_names(self, request: web.Request) -> None:
        for name, count in Counter(name for name, _ in request.query.items()).items():
            if name not in self._query_names:
                raise unknown(name, self._query_names)
            if count > 1 and name not in self._lists:
                raise given_twice(name)

    @cached_property
    def _query_names(self) -> list[str]:
        names = [parameter.name for parameter in self.inputs if parameter.where == "query"]
        return names if self.stream is None else [*names, *_OF_STREAMS]

    @cached_property
    def _lists(self) -> set[str]:
        """The parameters that may be repeated."""
        described = {each.name: type_info(each.type) for each in self.inputs}
        return {name for name, type_ in described.items() if ListType in kinds_of(type_)}


def require_few_parameters(request: web.Request) -> None:
    """Raise LimitExceeded, before they are parsed, if the address may have too many."""
    if request.rel_url.raw_query_string.count("&") >= _MAX_PARAMETERS:
        raise LimitExceeded(f"there are more than {_MAX_PARAMETERS} parameters", "query")


@cache
def query_of(*types: type[Any], required: bool = True) -> tuple[Parameter, ...]:
    """The fields of structs as query parameters.

    With ``required=False`` no single one is required, because one of several is enough.
    """
    return tuple(
        Parameter(
            field.encode_name,
            "query",
            field.type,
            required and field.required,
            None if field.default is msgspec.NODEFAULT else field.default,
        )
        for type_ in types
        for field in msgspec.structs.fields(type_)
        if field.encode_name != "id"
    )
