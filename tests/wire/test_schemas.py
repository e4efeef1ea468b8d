"""Schemas say of each value what it is as JSON."""

from __future__ import annotations

from jsonschema import Draft202012Validator

from vyomo_rt.wire.schemas import Schemas
from vyomo_rt.wire.trade_event import ClosedData


def test_a_member_that_can_only_be_true_is_a_boolean_and_a_word_is_a_string() -> None:
    schemas = Schemas()
    schemas.of(ClosedData)
    members = schemas.components["ClosedData"]["properties"]
    stale = Draft202012Validator(members["stale"])
    assert stale.is_valid(True)
    assert not stale.is_valid("true")
    assert not stale.is_valid(False)
    assert members["status"]["type"] == "string"
