"""What both clients know of the protocol by heart is what the server says, and the same."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path
from typing import Any, get_args

import pytest
from msgspec.inspect import CustomType, IntType
from msgspec.structs import fields

from tests.kit.vocabulary import error_codes, subclasses
from vyomo_rt.doctor import websocket
from vyomo_rt.web import rest  # noqa: F401 (with it all documents are there)
from vyomo_rt.wire.closing import CloseCode, Reconnect
from vyomo_rt.wire.commands import ALL_TYPES
from vyomo_rt.wire.decoding import members_of
from vyomo_rt.wire.encoding import Data, Message
from vyomo_rt.wire.rules import ProfitLockBody, RulesBody, RulesData
from vyomo_rt.wire.session import NewSession, SessionChangedData, SessionData
from vyomo_rt.wire.trade import NewTrade, TradeClosing
from vyomo_rt_client import links, numbers, stream

STATIC = Path(__file__).parents[2] / "static"
TEMPLATES = STATIC.parent / "templates"
MODULE = "".join(path.read_text() for path in sorted((STATIC / "vyomo-rt").glob("*.js")))
TYPES = (STATIC / "vyomo-rt.d.ts").read_text()


def module_set(name: str) -> set[str]:
    """The members of a constant of the module."""
    (members,) = re.findall(rf"^const {name} = new Set\(\[(.*?)\]\);", MODULE, re.M | re.S)
    return set(re.findall(r"[\w-]+", members))


def holds_decimals(kind: Any) -> bool:
    return kind is Decimal or any(holds_decimals(part) for part in get_args(kind))


def test_exact_numbers_are_those_that_the_server_sends_as_such() -> None:
    sent = {
        field.encode_name
        for document in subclasses(Data)
        for field in fields(document)
        if holds_decimals(field.type)
    }
    assert sent == numbers.EXACT


def test_both_clients_come_back_after_the_same_close_codes_as_the_server_says() -> None:
    final = {int(code) for code in module_set("FINAL_CODES")}
    assert final | {links.TOKEN_ENDED} == links._FINAL_CLOSE_CODES
    assert links.TOKEN_ENDED == CloseCode.EXPIRED
    said = {code for code in CloseCode if code.reconnect is Reconnect.NEVER}
    assert final == said


def test_the_doctor_knows_the_close_code_of_a_full_server() -> None:
    assert websocket._CLOSE_TOO_MANY == CloseCode.TOO_MANY


def test_both_clients_wait_out_the_same_errors() -> None:
    passing = module_set("PASSING")
    assert passing == stream._PASSING
    assert passing == {"unavailable", "rate_limited", "internal"}
    assert passing <= error_codes()


def test_both_clients_take_the_same_statuses_for_final() -> None:
    assert {int(code) for code in module_set("FINAL_STATUSES")} == links._FINAL_STATUSES


def test_the_types_of_the_module_are_the_messages_of_the_server() -> None:
    (session_types,) = re.findall(r"^export type SessionType = (.*?);", TYPES, re.M | re.S)
    assert set(re.findall(r'"(\w+)"', session_types)) == ALL_TYPES
    (messages,) = re.findall(r"^export type Messages = \{\n(.*?)^\};", TYPES, re.M | re.S)
    tags = {message.__struct_config__.tag for message in subclasses(Message)}
    assert set(re.findall(r"^    (\w+): \{", messages, re.M)) == tags


@pytest.mark.parametrize(
    ("name", "document"),
    [("Figures", SessionData), ("Change", SessionChangedData), ("Rules", RulesData)],
)
def test_the_types_of_the_module_have_the_members_that_the_server_sends(
    name: str, document: type[Data]
) -> None:
    (members,) = re.findall(rf"^export type {name} = \{{\n(.*?)^\}};", TYPES, re.M | re.S)
    found = re.findall(r"^    (\w+)\??: ", members, re.M)
    assert sorted(found) == sorted(field.encode_name for field in fields(document))


def test_the_module_listens_on_a_stream_to_all_that_its_ack_does_not_name() -> None:
    (named,) = re.findall(r"^const SSE_EVENTS = \[(.*?)\];", MODULE, re.M | re.S)
    tags = {message.__struct_config__.tag for message in subclasses(Message)}
    only_websocket = {"pong", "error"}  # an error is a server_error there
    expected = tags - ALL_TYPES - only_websocket | {"server_error"}
    assert set(re.findall(r'"(\w+)"', named)) == expected


def test_the_console_types_as_numbers_what_the_server_takes_as_such() -> None:
    """Its forms convert a field by its ``inputmode``: whole numbers are numeric, others decimal."""
    page = (TEMPLATES / "console.html").read_text()
    typed = dict(re.findall(r'<input [^>]*name="(\w+)"[^>]*inputmode="(\w+)"', page))
    taken = {
        name: mode
        for body in (NewTrade, TradeClosing, NewSession, RulesBody, ProfitLockBody)
        for kind, mode in ((IntType, "numeric"), (CustomType, "decimal"))
        for name in members_of(body, kind)
    }
    assert typed.pop("value") == "decimal"  # of an alert, which the page keeps for itself
    assert typed.items() <= taken.items()
