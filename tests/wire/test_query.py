"""What the query of a request asks for, and where a stream goes on."""

from __future__ import annotations

from typing import Any, get_args
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import fields
from multidict import MultiDict

from vyomo_rt.domain.errors import BadRequest
from vyomo_rt.wire.commands import SubscribePrices, SubscribeSession
from vyomo_rt.wire.event import EventsQuery
from vyomo_rt.wire.frame import KEEP_ALIVE, KEEP_ALIVE_EVENT, Framing
from vyomo_rt.wire.position import Position, read_position, spell_position
from vyomo_rt.wire.price import PricesQuery
from vyomo_rt.wire.query import (
    StreamQuery,
    of_prices,
    of_session,
    query_fields,
    read_query,
    stream_query,
)
from vyomo_rt.wire.session import SessionsQuery
from vyomo_rt.wire.trade_list import TradesQuery

ASKED = (SubscribeSession, SubscribePrices, SessionsQuery, TradesQuery, EventsQuery, PricesQuery)
NUMBERS = st.integers(0, 10**18 - 1)


def asked(text: str, last_event_id: str | None = None) -> StreamQuery:
    return stream_query(read_query(MultiDict(parse_qsl(text))), last_event_id)


def holds(kind: Any, type_: type) -> bool:
    """Whether a field may have a value of a type."""
    if getattr(kind, "__origin__", None) is list:
        return type_ is list
    return kind is type_ or any(holds(part, type_) for part in get_args(kind))


@pytest.mark.parametrize(
    ("type_", "text", "value"),
    [(int, "12", 12), (list, "A, ,B", ["A", "B"]), (bool, "TRUE", True)],
)
def test_what_is_spelled_as_text_in_an_address_is_read_for_every_field(
    type_: type, text: str, value: object
) -> None:
    names = {
        (struct, field.encode_name)
        for struct in ASKED
        for field in fields(struct)
        if holds(field.type, type_) and field.encode_name != "id"
    }
    assert names
    for struct, name in names:
        assert query_fields({name: text}, struct) == {name: value}


def test_a_name_that_may_be_a_text_stays_one() -> None:
    assert query_fields({"id": "7", "epoch": "7"}, SubscribeSession) == {"id": "7", "epoch": "7"}


@given(NUMBERS, NUMBERS, st.text("0123456789abcdef-", min_size=1))
def test_a_position_is_read_as_it_was_spelled(session_id: int, seq: int, epoch: str) -> None:
    text = spell_position(session_id, seq, epoch)
    assert read_position(f" {text} ") == Position(session_id, seq, epoch)


def test_a_position_may_lack_its_epoch() -> None:
    assert read_position("6-41") == read_position("6-41-") == Position(6, 41, None)


@pytest.mark.parametrize(
    "text", ["", "6", "6-", "-1-2", "6-x-e", "6-41e", "６-1-e", "6-" + "9" * 19]
)
def test_what_is_no_position_is_none(text: str) -> None:
    assert read_position(text) is None


def test_a_stream_goes_on_where_its_position_says() -> None:
    session = asked("sessionId=6&lastEventId=6-41-e").session
    assert session is not None
    assert (session.since, session.epoch) == (41, "e")


@pytest.mark.parametrize("of_no_use", ["5-41-e", "nonsense"])
def test_a_position_of_no_use_is_one_that_cannot_be_recovered(of_no_use: str) -> None:
    """So the client hears that it has missed something."""
    session = asked("sessionId=6&since=3&epoch=e", of_no_use).session
    assert session is not None
    assert (session.since, session.epoch) == (0, "unknown")


def test_the_header_counts_more_than_the_address() -> None:
    session = asked("sessionId=6&lastEventId=6-41-e", "6-50-e").session
    assert session is not None
    assert session.since == 50


def test_a_list_has_commas_or_repeats_its_name() -> None:
    prices = asked("symbols=A,B&symbols=C&onlyChanges=1").prices
    assert prices is not None
    assert (prices.symbols, prices.only_changes) == (["A", "B", "C"], True)


def test_a_streams_address_decides_what_it_is_of() -> None:
    both = {"symbols": "A", "sessionId": "6"}
    assert stream_query(of_prices(both), None).session is None
    session_only = stream_query(of_session(both, "7"), None)
    assert session_only.prices is None
    assert session_only.session is not None
    assert session_only.session.session_id == 7
    with pytest.raises(BadRequest, match="symbols is required"):
        of_prices({"symbols": " ,"})


def test_a_stream_without_anything_to_show_is_refused() -> None:
    with pytest.raises(BadRequest, match="sessionId or symbols is required"):
        asked("priceInterval=1000")


def test_a_stream_is_kept_alive_by_a_comment_or_by_an_event() -> None:
    assert asked("sessionId=6").keep_alive == KEEP_ALIVE[Framing.SSE]
    assert asked("sessionId=6&keepAlive=event").keep_alive == KEEP_ALIVE_EVENT
    with pytest.raises(BadRequest, match="keepAlive: expected event"):
        asked("sessionId=6&keepAlive=yes")
