"""The contracts: valid, whole, and true to what docs/protocol.md shows."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any, get_args
from urllib.parse import urlsplit

import pytest
from jsonschema import Draft7Validator

from tests.contracts.contract import NAMES, Contracts
from tests.kit.documents import PROTOCOL, blocks, steps
from tests.kit.rest import Rest
from tests.kit.server import MakeSettings, routed_calls
from tests.kit.vocabulary import error_codes
from vyomo_rt.domain.errors import ErrorCode
from vyomo_rt.wire.closing import CloseCode

ASYNCAPI_SCHEMA = Path(__file__).parent / "asyncapi" / "3.0.0.json"
"""The schema of AsyncAPI's authors (``@asyncapi/specs`` 6.11.1, without ``$id``)."""

BOTH = pytest.mark.parametrize("name", NAMES)


def test_openapi_is_valid(contracts: Contracts) -> None:
    # Loading it takes a fifth of a second, which only the worker that needs it spends.
    from openapi_spec_validator import OpenAPIV31SpecValidator  # noqa: PLC0415

    OpenAPIV31SpecValidator(json.loads(contracts["openapi"].text)).validate()


def test_asyncapi_is_valid(contracts: Contracts) -> None:
    schema = json.loads(ASYNCAPI_SCHEMA.read_text())
    Draft7Validator(schema).validate(contracts["asyncapi"].document)


@BOTH
def test_a_contract_names_the_installed_version(contracts: Contracts, name: str) -> None:
    assert contracts[name].document["info"]["version"] == version("vyomo-rt")


@BOTH
def test_every_reference_leads_somewhere(contracts: Contracts, name: str) -> None:
    found = list(references(contracts[name].document))
    assert found
    for node in found:
        assert contracts[name].resolve(node)


def references(value: Any) -> Iterator[dict[str, Any]]:
    """Every object that refers to another."""
    for child in value.values() if isinstance(value, dict) else value:
        if isinstance(child, dict) and "$ref" in child:
            yield child
        elif isinstance(child, dict | list):
            yield from references(child)


@BOTH
def test_every_example_keeps_its_schema(contracts: Contracts, name: str) -> None:
    contract = contracts[name]
    found = list(with_examples(contract.document))
    assert found
    for schema in found:
        for example in schema["examples"]:
            contract.check(schema, json.dumps(example, default=float))


def test_every_rule_has_an_example(contracts: Contracts) -> None:
    members = contracts["openapi"].document["components"]["schemas"]["RulesBody"]["properties"]
    assert set(members) == {
        *("maxDailyLoss", "dailyTarget", "profitLock", "maxOrderValue", "maxTradesPerDay"),
        *("maxOpenTrades", "losingStreak", "cooldownSeconds", "squareOff"),
    }
    assert all(list(with_examples(member)) for member in members.values())


def with_examples(value: Any) -> Iterator[dict[str, Any]]:
    """Every schema that has examples."""
    if isinstance(value, dict) and isinstance(value.get("examples"), list):
        yield value
    for child in value.values() if isinstance(value, dict) else value:
        if isinstance(child, dict | list):
            yield from with_examples(child)


@BOTH
async def test_who_has_a_contract_is_not_sent_it_again(server: Rest, name: str) -> None:
    url = f"{server.url}/api/{name}.json"
    async with server.http.get(url) as response:
        tag = response.headers["ETag"]
        assert response.headers["Cache-Control"] == "no-cache"
    async with server.http.get(url, headers={"If-None-Match": tag}) as response:
        assert (response.status, await response.read()) == (304, b"")
        assert response.headers["ETag"] == tag
    async with server.http.get(url, headers={"If-None-Match": '"other"'}) as response:
        assert response.status == 200


async def test_every_call_is_described_and_no_other(
    contracts: Contracts, make_settings: MakeSettings
) -> None:
    """Only the console and its files are for people."""
    for_people = {("GET", "/"), ("GET", "/static/{name}"), ("GET", "/static-{edition}/{name}")}
    described = {
        (method.upper(), path)
        for path, operations in contracts["openapi"].document["paths"].items()
        for method in operations
    }
    routed = await routed_calls(make_settings())
    streams = {
        ("GET", channel["address"])
        for channel in contracts["asyncapi"].document["channels"].values()
    }
    assert routed - for_people == described | streams
    assert not described & streams


def test_every_operation_has_a_name_of_its_own_and_a_summary(contracts: Contracts) -> None:
    paths = contracts["openapi"].document["paths"]
    operations = [operation for path in paths.values() for operation in path.values()]
    names = [operation["operationId"] for operation in operations]
    assert len(set(names)) == len(names)
    assert all(operation["summary"] for operation in operations)


def test_every_close_code_and_error_code_is_described(contracts: Contracts) -> None:
    channel = contracts["asyncapi"].document["channels"]["streamWebsocket"]
    assert channel["x-close-codes"] == {str(code): code.description for code in CloseCode}
    assert set(get_args(ErrorCode)) == error_codes()


# --- docs/protocol.md


@pytest.mark.parametrize("mark", ["client", "server"])
def test_every_message_in_the_documentation_keeps_the_contract(
    contracts: Contracts, mark: str
) -> None:
    contract = contracts["asyncapi"]
    messages = contract.document["components"]["messages"]
    lines = [line for b in blocks(PROTOCOL, "json", mark) for line in b.text.splitlines()]
    assert lines
    for line in lines:
        message = messages[json.loads(line)["type"]]
        contract.check(message["payload"], line)


def test_every_call_in_the_documentation_keeps_the_contract(contracts: Contracts) -> None:
    """What is sent, and what is answered where the answer is written out."""
    contract = contracts["openapi"]
    checked = 0
    for step in steps(PROTOCOL, "ingest"):
        refused = any('"type":"about:blank"' in line for line in step.printed)
        for method, path, body in calls(step.command):
            if path.startswith("/sse/") or (body and refused):
                continue
            _, operation = contract.operation(method, path)
            if body is not None:
                schema = operation["requestBody"]["content"]["application/json"]["schema"]
                contract.check(schema, body)
                checked += 1
            success = next(iter(operation["responses"].values()))
            for line in step.printed:
                if line.startswith("{") and "…" not in line:
                    schema = success["content"]["application/json"]["schema"]
                    contract.check(schema, line)
                    checked += 1
    assert checked >= 5


def calls(command: str) -> Iterator[tuple[str, str, str | None]]:
    """Method, path and JSON body of a curl command."""
    words = shlex.split(command)
    if "|" in words:
        return
    url = next(word for word in words if word.startswith("http://"))
    body = words[words.index("-d") + 1] if "-d" in words else None
    method = words[words.index("-X") + 1] if "-X" in words else "POST" if body else "GET"
    yield method, urlsplit(url).path, body
