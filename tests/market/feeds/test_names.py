"""What sources call our symbols, and a file that says otherwise."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from vyomo_rt.domain.errors import CannotStart
from vyomo_rt.domain.moment import MarketMs
from vyomo_rt.exchange.calendar import Calendar
from vyomo_rt.market.feeds.names import Names
from vyomo_rt.market.feeds.yahoo.feed import YahooFeed


def yahoo(override: Path | None) -> YahooFeed:
    names = Names.of_source("yahoo", override)
    return YahooFeed(names, "http://h", Calendar.shipped(), lambda: MarketMs(0))


@pytest.mark.parametrize(
    ("symbol", "name"),
    [
        ("NIFTY", "^NSEI"),
        ("BANKNIFTY", "^NSEBANK"),
        ("FINNIFTY", "NIFTY_FIN_SERVICE.NS"),
        ("SENSEX", "^BSESN"),
        ("RELIANCE", "RELIANCE.NS"),
        ("M&M", "M&M.NS"),
        ("BAJAJ-AUTO", "BAJAJ-AUTO.NS"),
        ("^NSEI", "^NSEI"),
        ("TCS.BO", "TCS.BO"),
        ("NIFTY26NOV24000CE", None),
        ("RELIANCE26NOVFUT", None),
        ("A B", None),
    ],
)
def test_symbols_have_yahoos_names(symbol: str, name: str | None) -> None:
    assert yahoo(None).name(symbol) == name


def test_a_file_overrides_names_of_each_feed_by_itself(tmp_path: Path) -> None:
    file = tmp_path / "names.json"
    file.write_text(json.dumps({"yahoo": {"nifty": "NIFTY_50.NS", "GOLD": "GC=F"}, "sim": {}}))
    feed = yahoo(file)
    assert [feed.name(symbol) for symbol in ("NIFTY", "GOLD", "SENSEX")] == [
        "NIFTY_50.NS",
        "GC=F",
        "^BSESN",
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "truncated"),
        ('{"NIFTY": "^NSEI"}', "Expected `object`, got `str`"),
        ('{"yahoo": {"NIFTY": 0}}', "0 cannot be the name of NIFTY"),
        ('{"yahoo": {"NIFTY": "a\\nb"}}', "cannot be the name of NIFTY"),
        ('{"yahoo": {"?": "X"}}', "symbol '?' is not valid"),
        ('{"yahoo": {"NIFTY": []}}', "[] cannot be the name of NIFTY"),
        ('{"yaho": {}}', "no feed is called yaho"),
    ],
)
def test_a_file_of_names_that_is_of_no_use_is_told(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "names.json"
    file.write_text(text)
    with pytest.raises(CannotStart, match="the names of symbols") as refusal:
        yahoo(file)
    assert words in str(refusal.value)
    with pytest.raises(CannotStart, match="cannot be read: No such file"):
        yahoo(tmp_path / "none.json")
