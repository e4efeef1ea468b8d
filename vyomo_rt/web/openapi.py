"""The routes as an OpenAPI 3.1 document."""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

import msgspec

from vyomo_rt.web.routes import JSON, Parameter, Route, Text
from vyomo_rt.web.ways_in import COOKIE
from vyomo_rt.wire.refusal import RETRY_AFTER_S, Problem
from vyomo_rt.wire.schemas import Document, Schemas, without_null

_ABOUT = (
    "Sessions, trades, prices and live P&L. The streams are described in `/api/asyncapi.json`."
    " Bodies are JSON whatever their Content-Type; null members count as absent."
    " Unknown members and query parameters are refused by name."
    " Any other method at a path gets 405. Clients ignore members that they do not know."
)
_TAGS = {
    "sessions": "Trading sessions and their figures",
    "trades": "Opening, closing and listing trades",
    "orders": "Pending entries: orders that wait for their price",
    "reports": "What sessions have earned",
    "prices": "The last prices, and pushing new ones",
    "market": "Sessions and holidays of the exchange, and what is traded on it",
    "streams": "WebSocket and Server-Sent Events",
    "access": "Who the caller is, and who may do what",
    "health": "For probes",
    "contracts": "Machine-readable descriptions of this server",
}
_REFUSALS = {
    HTTPStatus.BAD_REQUEST: "The request is malformed, or a field is wrong; `detail` names it",
    HTTPStatus.UNAUTHORIZED: "There is no token, or it is not good; `detail` says why",
    HTTPStatus.FORBIDDEN: "The caller's role, or a page of this Origin, may not do this",
    HTTPStatus.NOT_FOUND: "There is nothing of this name or number",
    HTTPStatus.REQUEST_TIMEOUT: "The body did not come in time",
    HTTPStatus.CONFLICT: "The current state forbids it",
    HTTPStatus.PRECONDITION_FAILED: "The document is not the one that If-Match names",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "The body, inflated, has more than 64 KiB (ticks: 1 MiB)",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "The Content-Encoding is neither gzip nor deflate",
    HTTPStatus.MISDIRECTED_REQUEST: "This Host is not served",
    HTTPStatus.UNPROCESSABLE_ENTITY: "The Idempotency-Key was used for another request,"
    " or none of the ticks was accepted",
    HTTPStatus.TOO_MANY_REQUESTS: "Too many calls, bad tokens or connections; wait",
    HTTPStatus.INTERNAL_SERVER_ERROR: "The server has a fault; its log says which",
    HTTPStatus.SERVICE_UNAVAILABLE: "The store is away; try again",
}
SECURITY_SCHEMES: Document = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "A token; needed once the server has a key",
    },
    "signIn": {
        "type": "apiKey",
        "in": "cookie",
        "name": COOKIE,
        "description": "The cookie of a page that has signed in",
    },
}
_SECURITY: list[Document] = [{"bearer": []}, {"signIn": []}, {}]
"""Without a key nothing is asked for."""
_RETRY_AFTER = {
    "description": "Seconds",
    "schema": {"type": "integer", "minimum": 0, "examples": [RETRY_AFTER_S]},
}
_REPLAYED = {
    "description": "The Idempotency-Key was used for this request before; this is what it made",
    "schema": {"type": "string", "enum": ["true"]},
}


def openapi(routes: Iterable[Route], version: str) -> Document:
    """The document; ``version`` is that of the server.

    The streams are left out: tools for OpenAPI wait for the end of an answer.
    """
    schemas = Schemas()
    paths: dict[str, dict[str, Any]] = {}
    for route in (route for route in routes if route.stream is None):
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, schemas)
    problem = schemas.of(Problem)
    responses = {_name(status): _refusal(status, problem) for status in _REFUSALS}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "vyomo-rt",
            "version": version,
            "description": _ABOUT,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": name, "description": words} for name, words in _TAGS.items()],
        "paths": paths,
        "components": {
            "schemas": schemas.components,
            "responses": responses,
            "securitySchemes": SECURITY_SCHEMES,
        },
    }


def _operation(route: Route, schemas: Schemas) -> Document:
    summary, description = route.words
    operation: Document = {
        "operationId": route.name,
        "tags": [route.tag],
        "summary": summary,
        "description": description,
        "parameters": [_parameter(parameter, schemas) for parameter in route.inputs],
        "responses": _responses(route, schemas),
    }
    if route.needs is not None:
        operation["security"] = _SECURITY
    if route.body:
        operation["requestBody"] = _request_body(route.body, schemas)
    return {name: value for name, value in operation.items() if value}


def _parameter(parameter: Parameter, schemas: Schemas) -> Document:
    schema = without_null(schemas.of(parameter.type))
    document: Document = {
        "name": parameter.name,
        "in": parameter.where,
        "required": parameter.required,
        "schema": schema,
    }
    if "description" in schema:
        document["description"] = schema.pop("description")
    if parameter.default is not None:
        schema["default"] = parameter.default
    if parameter.where == "query" and not parameter.required:
        document["allowEmptyValue"] = True
    if schema.get("type") == "array":
        document |= {"style": "form", "explode": False}
    return document


def _request_body(body: tuple[Any, ...], schemas: Schemas) -> Document:
    content: Document = {}
    for type_ in body:
        content |= _content(type_, schemas, from_client=True)
    return {"required": not all(map(_may_be_empty, body)), "content": content}


def _may_be_empty(body: Any) -> bool:
    """Whether no member is required; then an empty body counts as an empty object."""
    return isinstance(body, type) and not any(f.required for f in msgspec.structs.fields(body))


def _responses(route: Route, schemas: Schemas) -> Document:
    responses: Document = {}
    for status, type_ in route.answers.items():
        answer: Document = {"description": status.phrase}
        if type_ is not None:
            answer["content"] = _content(type_, schemas)
        if route.idempotent:
            answer["headers"] = {"Idempotency-Replayed": _REPLAYED}
        responses[str(status.value)] = answer
    for status in route.refusals:
        responses[str(status.value)] = {"$ref": f"#/components/responses/{_name(status)}"}
    return responses


def _content(type_: Any, schemas: Schemas, *, from_client: bool = False) -> Document:
    if isinstance(type_, Text):
        return {type_.media_type: {"schema": {"type": "string"}}}
    return {JSON: {"schema": schemas.of(type_, from_client=from_client)}}


def _refusal(status: HTTPStatus, problem: Document) -> Document:
    refusal: Document = {
        "description": _REFUSALS[status],
        "content": {"application/problem+json": {"schema": problem}},
    }
    if status in {HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS}:
        refusal["headers"] = {"Retry-After": _RETRY_AFTER}
    return refusal


def _name(status: HTTPStatus) -> str:
    return f"Problem{status.value}"
