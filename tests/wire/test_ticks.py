"""The rows of a feed."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from vyomo_rt.domain.errors import BadJson, BadRequest
from vyomo_rt.domain.quote import Tick
from vyomo_rt.wire import decoding, tick
from vyomo_rt.wire.tick_rows import parse_ticks


def row(**fields: Any) -> Any:
    return decoding.parse_json(json.dumps({"symbol": "NIFTY", "price": 100.05} | fields))


def to_tick(row_: Any) -> Tick:
    return tick.to_tick(row_, "test")


def test_a_tick_is_a_symbol_and_an_exact_price() -> None:
    assert to_tick(row()) == Tick("NIFTY", 100_0500, None, "test")
    assert to_tick(row(symbol=" bank nifty ")) == Tick("BANK NIFTY", 100_0500, None, "test")
    assert to_tick(row(ts=None)) == Tick("NIFTY", 100_0500, None, "test")


def test_a_tick_can_be_packed_for_other_nodes() -> None:
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(to_tick(row()))) == list(to_tick(row()))


@pytest.mark.parametrize(
    ("ts", "as_of_ms"),
    [
        (1_795_341_600_123, 1_795_341_600_123),
        ("2026-11-22T10:00:00.123Z", 1_795_341_600_123),
        ("2026-11-22T15:30:00.123456+05:30", 1_795_341_600_123),
        ("2026-11-22 10:00:00+00:00", 1_795_341_600_000),
    ],
)
def test_a_tick_is_dated_by_milliseconds_or_iso_with_a_zone(ts: int | str, as_of_ms: int) -> None:
    assert to_tick(row(ts=ts)).as_of_ms == as_of_ms


@pytest.mark.parametrize("ts", ["2026-11-22T10:00:00", "2026-11-22", "now", "", True, 1.5, [], {}])
def test_a_date_without_a_zone_or_of_another_kind_is_refused_by_name(ts: object) -> None:
    with pytest.raises(BadRequest, match=r"^ts: "):
        to_tick(row(ts=ts))


@pytest.mark.parametrize("symbol", ["", " ", "!", "-X", "A" * 65, "A\nB", "é", "NIFTY\x00"])
def test_what_is_no_symbol_is_refused(symbol: str) -> None:
    with pytest.raises(BadRequest, match=r"^symbol "):
        to_tick(row(symbol=symbol))


@pytest.mark.parametrize(
    "symbol", ["^NSEI", "M&M", "BAJAJ-AUTO", "NSE:NIFTY 50", "0", "A" * 64, "A_B.C=D"]
)
def test_every_symbol_of_the_protocol_is_taken(symbol: str) -> None:
    assert to_tick(row(symbol=symbol.lower())).symbol == symbol


def test_ticks_come_alone_in_a_list_or_one_a_line() -> None:
    one = b'{"symbol":"A","price":1}'
    for body in (one, b"[" + one + b"]"):
        assert [to_tick(tick.read_row(row_)) for row_ in parse_ticks(body, 1000)] == [
            Tick("A", 1_0000, None, "test")
        ]
    rows = parse_ticks(one + b"\r\n\n" + one + b"\n", 1000, newline_delimited=True)
    assert [to_tick(tick.read_row(row_)) for row_ in rows] == [Tick("A", 1_0000, None, "test")] * 2


def test_a_line_that_is_no_json_is_only_a_rejected_row() -> None:
    body = b'{"symbol":"A","price":1}\n{oops\n[]\n'
    rows = list(map(tick.read_row, parse_ticks(body, 1000, newline_delimited=True)))
    assert to_tick(rows[0]) == Tick("A", 1_0000, None, "test")
    with pytest.raises(BadJson):
        to_tick(rows[1])
    with pytest.raises(BadRequest, match="expected an object, got an array"):
        to_tick(rows[2])


@pytest.mark.parametrize("body", [b"5", b'"x"', b"null", b"true"])
def test_a_body_that_is_neither_a_tick_nor_a_list_is_refused(body: bytes) -> None:
    with pytest.raises(BadRequest, match="expected a tick or a list of ticks"):
        parse_ticks(body, 1000)


def test_too_many_ticks_at_once_are_refused() -> None:
    rows = [{"symbol": "A", "price": 1}] * (tick.MAX_TICKS + 1)
    with pytest.raises(BadRequest, match="at most 1000 ticks"):
        parse_ticks(json.dumps(rows).encode(), 1000)
    lines = b'{"symbol":"A","price":1}\n\r\n' * tick.MAX_TICKS
    for newline_delimited in (True, False):
        taken = parse_ticks(lines, 1000, newline_delimited=newline_delimited)
        assert len(taken) == tick.MAX_TICKS, "blank lines do not count"
        with pytest.raises(BadRequest, match="at most 1000 ticks"):
            parse_ticks(lines + b"x", 1000, newline_delimited=newline_delimited)
    assert len(parse_ticks(json.dumps(rows[1:]).encode(), 1000)) == 1000


def test_a_rejected_row_is_named_as_its_sender_spelled_it() -> None:
    assert tick.row_symbol({"symbol": " nifty"}) == " nifty"
    assert tick.row_symbol({"symbol": "x" * 100}) == "x" * 80
    assert [tick.row_symbol(odd) for odd in (5, None, {}, {"symbol": 5})] == [None] * 4
