"""The query of a request as the fields of a type in ``wire``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from vyomo_rt.wire.commands import with_integers

LISTS = ("symbols", "types")
"""Parameters that may be repeated."""

_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}


def read_query(request: web.Request) -> dict[str, str]:
    """The query; a list may be written with commas or by repeating its name."""
    query = request.query
    lists = {name: ",".join(query.getall(name)) for name in LISTS if name in query}
    return dict(query) | lists


def query_fields(query: Mapping[str, str]) -> dict[str, Any]:
    """Lists, integers and booleans instead of their spelling; what is empty is absent."""
    fields: dict[str, Any] = {name: value for name, value in query.items() if value}
    for name in LISTS:
        parts = [part for part in fields.pop(name, "").split(",") if part.strip()]
        if parts:
            fields[name] = parts
    if flag := fields.get("onlyChanges"):
        fields["onlyChanges"] = _BOOLEANS.get(flag.lower(), flag)
    return with_integers(fields)
