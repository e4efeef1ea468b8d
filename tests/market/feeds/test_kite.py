"""Kite's packets, its words, and its key."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest

from tests.kit.server import MakeSettings, serve_here
from tests.kit.streams import watching
from tests.kit.waiting import until
from tests.market.feeds.kite import TOKENS, MockKite, message, packet
from tests.market.feeds.running import OPEN_MS, recovers, running
from tests.market.feeds.serving import FIXTURES, serving
from vyomo_rt.config import Settings
from vyomo_rt.domain.errors import CannotStart
from vyomo_rt.domain.moment import MarketMs
from vyomo_rt.domain.quote import FeedState
from vyomo_rt.exchange.calendar import Calendar
from vyomo_rt.market.feed import FeedContext, FeedFailed
from vyomo_rt.market.feeds.kite.feed import KiteFeed
from vyomo_rt.market.feeds.kite.packets import Packet, read_packets
from vyomo_rt.market.feeds.reading import Price

LIVE, DOWN = FeedState.LIVE, FeedState.DOWN
RECORDED_MS = 1_790_308_140_000


def mock_kite() -> MockKite:
    return MockKite(OPEN_MS - 5000)


# -- packets -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "length", "token", "price"),
    [
        ("ltp", 8, 2953217, Price(33_001_000, None)),
        ("quote", 44, 2953217, Price(33_001_000, None, 32_900_000)),
        ("full", 184, 2953217, Price(33_001_000, RECORDED_MS, 32_900_000)),
        ("index_quote", 28, 256265, Price(241_900_500, None, 241_200_000)),
        ("index_full", 32, 256265, Price(241_900_500, RECORDED_MS, 241_200_000)),
    ],
)
def test_each_packet_is_read(mode: str, length: int, token: int, price: Price) -> None:
    body = bytes(packet(mode))
    assert len(body) == length
    assert list(read_packets(message(body))) == [Packet(token, price)]


def test_a_message_has_many_packets_of_different_lengths() -> None:
    modes = ("full", "ltp", "index_full", "quote", "index_quote")
    tokens = [one.token for one in read_packets(message(*(bytes(packet(m)) for m in modes)))]
    assert tokens == [2953217, 2953217, 256265, 2953217, 256265]


def test_a_packet_of_a_length_that_is_not_documented_has_a_price_all_the_same() -> None:
    body = bytes(packet("ltp")) + bytes(11)
    assert list(read_packets(message(body))) == [Packet(2953217, Price(33_001_000, None))]


def test_heartbeats_have_no_packets() -> None:
    for beat in (b"\x00", b"", b"\x00\x00"):
        assert list(read_packets(beat)) == []


def test_what_is_whole_is_read_before_a_packet_that_is_cut_off() -> None:
    whole = message(bytes(packet("ltp")), bytes(packet("full")))
    for length in (3, 11, 13, 100, len(whole) - 1):
        packets = read_packets(whole[:length])
        with pytest.raises(FeedFailed, match="ends before its packets do"):
            list(packets)
    assert next(read_packets(whole[:100])).token == 2953217
    with pytest.raises(FeedFailed):
        list(read_packets(message(b"\x00\x00\x00\x01")))


def test_prices_of_currencies_have_more_decimals() -> None:
    def price(token: int, value: int) -> Price | None:
        return next(read_packets(message(struct.pack(">II", token, value)))).price

    assert price(TOKENS["USDINR"], 834_025_000) == Price(834_025, None)
    assert price(6 + 256 * 9, 834_025) == Price(834_025, None)
    assert price(2953217, 0) is None


def test_before_the_exchanges_moment_there_is_that_of_the_last_trade() -> None:
    body = packet("full")
    struct.pack_into(">I", body, 60, 0)
    price = next(read_packets(message(bytes(body)))).price
    assert price == Price(33_001_000, RECORDED_MS - 1000, 32_900_000)


# -- the connection --------------------------------------------------------------


async def test_what_is_wanted_is_subscribed_to_and_followed_on_one_connection() -> None:
    mock = mock_kite()
    async with running(mock, "NIFTY") as market:
        await market.priced("NIFTY", 241_900_500)
        assert mock.messages == [
            {"a": "subscribe", "v": [256265]},
            {"a": "mode", "v": ["full", [256265]]},
        ]
        mock.messages.clear()
        market.demand.wanted(["TCS"])
        market.demand.released(["NIFTY"])
        await market.priced("TCS", 33_001_000)
        assert mock.messages == [
            {"a": "unsubscribe", "v": [256265]},
            {"a": "subscribe", "v": [2953217]},
            {"a": "mode", "v": ["full", [2953217]]},
        ]
        assert mock.connections == 1


async def test_no_price_is_due_of_a_contract_that_has_expired() -> None:
    mock = mock_kite()
    mock.patience = mock.patience._replace(silent_s=0.05)
    async with running(mock, "NIFTY26NOV24000CE") as market:
        await until(lambda: len(mock.messages) == 2)
        await market.becomes(LIVE, "outside market hours: the last prices stand")


async def test_of_more_than_3000_instruments_those_of_open_trades_come_first() -> None:
    mock = mock_kite()
    tokens = {f"S{number}": 1 + 256 * number for number in range(1, 3003)}
    async with running(mock) as market:
        feed = market.feed
        assert isinstance(feed, KiteFeed)
        feed._tokens = {**tokens, **TOKENS}
        market.demand.wanted(tokens)
        market.demand.wanted(["TCS"], held=True)
        await until(lambda: "3 symbols get no price: S3000, S3001" in market.status.message)
        await until(lambda: mock.messages)
        assert mock.messages[0]["v"][0] == TOKENS["TCS"]
        assert len(mock.messages[0]["v"]) == 3000


async def test_prices_without_a_moment_are_of_now_but_the_first_one_may_be_a_copy() -> None:
    mock = mock_kite()
    mock.has_moments = False
    async with running(mock, "TCS") as market:
        await market.priced("TCS", 33_001_000)
        assert market.confirmed("TCS").as_of_ms == OPEN_MS
        market.now_ms += 16_000
        await mock.drop()
        await until(lambda: mock.connections == 2 and len(mock.messages) >= 4)
        assert market.confirmed("TCS").stale
        await mock.set_price("TCS", 3300.1)
        await until(lambda: not market.confirmed("TCS").stale)


async def test_orders_and_notices_are_nobodys_here_and_errors_end_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    mock = mock_kite()
    async with running(mock, "TCS") as market:
        await market.priced("TCS", 33_001_000)
        await mock.send_all(json.dumps({"type": "order", "data": {"order_id": "1"}}))
        await mock.send_all(json.dumps({"type": "message", "data": "the market is closed"}))
        await mock.send_all(json.dumps({"type": "error", "data": "Invalid instrument token: 7"}))
        await mock.set_price("TCS", 3301.0)
        await market.priced("TCS", 33_010_000)
        assert mock.connections == 1
    told = [record.getMessage() for record in caplog.records]
    assert [one for one in told if one.startswith("Kite")] == [
        "Kite reports an error: Invalid instrument token: 7"
    ]


async def test_text_that_is_no_json_is_a_failure() -> None:
    async with running(mock_kite(), "NIFTY") as market:
        await market.priced("NIFTY", 241_900_500)
        await market.mock.send_all("<html>")
        await market.becomes(DOWN, "Kite sends no whole JSON")
        await until(lambda: market.mock.sockets)
        await recovers(market)


# -- the key -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "refuse",
    [
        lambda mock: mock.accepts.clear(),
        lambda mock: setattr(
            mock, "notice", '{"type": "error", "data": "Invalid `access_token`."}'
        ),
        lambda mock: setattr(
            mock, "notice", f'{{"type": "error", "data": "Invalid access_token {mock.token}"}}'
        ),
    ],
)
async def test_a_key_that_is_refused_ends_the_feed_and_the_message_says_what_to_do(
    refuse: object, caplog: pytest.LogCaptureFixture
) -> None:
    mock = mock_kite()
    assert callable(refuse)
    refuse(mock)
    async with running(mock, "NIFTY") as market:
        told = await market.becomes(DOWN, "Kite refuses the key")
        assert "put the new access token into VYOMO_RT_KITE_ACCESS_TOKEN or its file" in told
        await until(market.task.done)
        assert mock.connections == 1
        assert mock.token not in told + caplog.text


@pytest.fixture
def names_file(tmp_path: Path) -> Path:
    file = tmp_path / "names.json"
    file.write_text('{"kite": {"SILVER": "MCX:SILVER26DECFUT", "GOLD": "CDS:USDINR26NOVFUT"}}')
    return file


def context(**settings: object) -> FeedContext:
    keys: dict[str, object] = {"kite_api_key": "k", "kite_access_token": "t"}
    made = Settings(**keys | settings)  # type: ignore[arg-type]
    return FeedContext(made, lambda: MarketMs(0), Calendar.shipped())


def test_tokens_come_from_kites_list_of_instruments_and_from_names(names_file: Path) -> None:
    listed = FIXTURES / "kite" / "instruments.csv"
    feed = KiteFeed.made_for(context(kite_instruments=listed, symbol_names=names_file))
    assert feed.key("NIFTY") == 256265
    assert feed.key("NIFTY 50") == 256265
    assert feed.key("ICICIBANK") == 1270529, "NSE comes before BSE"
    assert feed.key("NIFTY26NOV24000CE") == 12345602
    assert feed.key("GOLD") == 412675
    assert not feed.knows("SILVER")
    assert not feed.knows("SBIN")


def test_a_list_of_instruments_may_be_json_and_one_of_no_use_is_told(tmp_path: Path) -> None:
    file = tmp_path / "instruments"
    row = {"instrument_token": 779521, "tradingsymbol": "SBIN", "exchange": "NSE"}
    file.write_text(json.dumps([row]))
    assert KiteFeed.made_for(context(kite_instruments=file)).key("SBIN") == 779521
    for text in ("", "a,b\n1,2\n", "[7]", '[{"tradingsymbol": "SBIN"}]', "[", "{}"):
        file.write_text(text)
        with pytest.raises(CannotStart, match="is of another form"):
            KiteFeed.made_for(context(kite_instruments=file))
    with pytest.raises(CannotStart, match="cannot be read"):
        KiteFeed.made_for(context(kite_instruments=tmp_path / "none"))


def test_without_a_key_it_cannot_start_and_says_which_settings_are_missing() -> None:
    with pytest.raises(CannotStart, match="set VYOMO_RT_KITE_API_KEY and VYOMO_RT_KITE_ACCESS"):
        KiteFeed.made_for(context(kite_access_token=None))


async def test_a_server_shows_kites_prices_and_their_moments(make_settings: MakeSettings) -> None:
    mock = mock_kite()
    async with serving(mock):
        settings = make_settings(
            feed=("kite",),
            kite_url=mock.url.replace("http", "ws"),
            kite_api_key=mock.key,
            kite_access_token=mock.token,
        )
        async with (
            serve_here(settings, now=lambda: OPEN_MS) as server,
            watching("ws", server.url, symbols=["NIFTY"]) as watcher,
        ):
            price = (await watcher.next("price_update"))["data"]
    assert (price["price"], price["source"], price["stale"]) == (24190.05, "kite", False)
    assert price["asOf"] == "2026-11-25T05:29:55.000Z"
