"""What feeds have in common that listen on a WebSocket: subscription, silence, the refused key."""

from __future__ import annotations

import asyncio
import re
from abc import abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from typing import ClassVar, NamedTuple

import aiohttp
from aiohttp import ClientWebSocketResponse, WSMsgType

from vyomo_rt.domain.limits import BackOff
from vyomo_rt.domain.market import MarketState, Segment
from vyomo_rt.domain.moment import MarketClock
from vyomo_rt.domain.quote import Tick
from vyomo_rt.exchange.calendar import Calendar
from vyomo_rt.exchange.instruments import is_open
from vyomo_rt.market.feed import FeedFailed, FeedRefused
from vyomo_rt.market.feeds.exchange import CLOSED, UNWANTED, ExchangeFeed
from vyomo_rt.market.feeds.fetching import PAUSES_S
from vyomo_rt.market.feeds.reading import Price
from vyomo_rt.market.wanted import Wanted

Data = str | bytes
Key = str | int
"""What a source calls a symbol in its messages."""

_MAX_FRAME_BYTES = 16_000_000
_REFUSED, _TOO_MANY = frozenset({401, 403}), 429
_REFUSED_CODES = frozenset({1008, 3000, 3003, 4401, 4403})
"""Codes with which a server closes on a key that it does not take."""


class Patience(NamedTuple):
    """How long a source may take, and how long it is left alone."""

    connect_s: float = 10.0
    silent_s: float = 30.0
    """So long no price may come while a wanted symbol is traded; a heartbeat is no price."""
    ping_s: float = 20.0
    look_s: float = 1.0
    """How often it is looked whether the market has opened, or silence has lasted too long."""
    pauses_s: Sequence[float] = PAUSES_S


class SocketFeed(ExchangeFeed):
    """Prices that come by themselves over a WebSocket; a subclass says in which words."""

    service: ClassVar[str]
    max_symbols: ClassVar[int]
    """More than so many get no price."""
    key_words: ClassVar[re.Pattern[str]]
    """What an error says that is about the key."""
    refusal_help: ClassVar[str]
    """What to do if it refuses the key, for a person."""
    has_key_in_address: ClassVar[bool] = False
    """Whether it takes the key with the handshake, so that its refusal is one of the key."""

    def __init__(
        self,
        calendar: Calendar,
        now: MarketClock,
        patience: Patience | None = None,
        secrets: Iterable[str] = (),
    ) -> None:
        super().__init__(calendar, now)
        self._secrets = [*filter(None, secrets)]
        """The source's errors may repeat a key, and are told to everybody."""
        self.patience = patience or Patience()
        self._back_off = BackOff(self.patience.pauses_s)
        self._symbols: dict[Key, list[str]] = {}
        """The served symbols, by what the source calls them."""
        self._left_out: list[str] = []
        self._refused: set[Key] = set()
        """What the source has no price of, by its own word."""
        self._heard: set[str] = set()
        """The symbols that a price has come of on this connection."""
        self._heard_s = 0.0
        self._look_next_s = 0.0

    # -- what a subclass says ---------------------------------------------------

    @abstractmethod
    def address(self) -> str:
        """Where to connect; it may hold a key, so it stands in no message."""

    @abstractmethod
    def key(self, symbol: str, /) -> Key | None:
        """What the source calls a symbol; None for what it has no price of."""

    async def greet(self, socket: ClientWebSocketResponse) -> None:
        """Say who asks. Raises FeedFailed or FeedRefused."""

    @abstractmethod
    def subscriptions(self, keys: Sequence[Key]) -> Iterable[str]:
        """The messages that ask for prices of these, at least one."""

    @abstractmethod
    def cancellations(self, keys: Sequence[Key]) -> Iterable[str]:
        """The messages that ask for them no longer."""

    @abstractmethod
    def read(self, data: Data) -> Iterable[tuple[Key, Price | None]]:
        """The prices in a message; None of what the source has no price of.

        Raises FeedFailed for a message of another form, FeedRefused if the key is refused.
        """

    # -- ticks --------------------------------------------------------------------

    def knows(self, symbol: str, /) -> bool:
        return self.key(symbol) is not None

    async def ticks(self, wanted: Wanted) -> AsyncGenerator[Tick, None]:
        async with aiohttp.ClientSession() as http:
            while True:
                try:
                    async with aclosing(self._connection(http, wanted)) as ticks:
                        async for tick in ticks:
                            yield tick
                except FeedFailed:
                    if not self._may_rest():
                        raise
                await self._rest(wanted)

    async def _connection(
        self, http: aiohttp.ClientSession, wanted: Wanted
    ) -> AsyncGenerator[Tick, None]:
        """The ticks of one connection, until it fails."""
        self._symbols, self._refused, self._heard = {}, set(), set()
        async with self._connected(http) as socket:
            await self.greet(socket)
            self._heard_s = asyncio.get_running_loop().time()
            await self._subscribe(socket, wanted)
            following = asyncio.create_task(self._follow(socket, wanted))
            try:
                while True:
                    data = await self._receive(socket)
                    if following.done():
                        following.result()
                    for tick in self._news(data):
                        yield tick
                    self._mind_silence()
            finally:
                following.cancel()
                await asyncio.gather(following, return_exceptions=True)

    def _news(self, data: Data | None) -> Iterator[Tick]:
        """What a message tells that was not told before."""
        for key, price in () if data is None else self.read(data):
            if (price is None) != (key in self._refused):
                self._note_refusal(key, price)
            if price is None:
                continue
            for symbol in self._symbols.get(key, ()):
                if self._is_news(symbol, price):
                    self._heard_s = asyncio.get_running_loop().time()
                    yield Tick(symbol, price.price_e4, price.as_of_ms, self.source)

    def _is_news(self, symbol: str, price: Price) -> bool:
        """Whether a price says more than the last one of its symbol.

        The same price with the same moment does not. Without a moment it says that it still
        holds, except as the first one of a connection: that may be a copy of the last one.
        """
        may_be_copy = price.as_of_ms is not None or symbol not in self._heard
        self._heard.add(symbol)
        return not (self._is_repeated(symbol, price) and may_be_copy)

    def _note_refusal(self, key: Key, price: Price | None) -> None:
        if price is not None:
            self._refused.discard(key)
        elif key in self._symbols:
            self._refused.add(key)
        self._tell_unserved()

    def _tell_unserved(self) -> None:
        refused = [symbol for key in self._refused for symbol in self._symbols.get(key, ())]
        self.unserved = self._left_out + sorted(refused)

    # -- the connection -------------------------------------------------------------

    @asynccontextmanager
    async def _connected(
        self, http: aiohttp.ClientSession
    ) -> AsyncIterator[ClientWebSocketResponse]:
        # Errors of the library may have the address in them, so none is passed on.
        try:
            async with asyncio.timeout(self.patience.connect_s):
                socket = await http.ws_connect(
                    self.address(),
                    heartbeat=self.patience.ping_s,
                    max_msg_size=_MAX_FRAME_BYTES,
                    timeout=aiohttp.ClientWSTimeout(ws_close=1.0),
                )
        except TimeoutError:
            limit = f"{self.patience.connect_s:g} s"
            raise FeedFailed(f"{self.service} does not answer within {limit}") from None
        except aiohttp.WSServerHandshakeError as error:
            raise self._handshake_failure(error.status) from None
        except aiohttp.ClientConnectorError as error:
            why = error.os_error.strerror or type(error.os_error).__name__
            raise FeedFailed(f"{self.service} cannot be reached: {why}") from None
        except (aiohttp.ClientError, ValueError) as error:
            name = type(error).__name__
            raise FeedFailed(f"{self.service} cannot be reached: {name}") from None
        self._back_off.refused = 0
        async with socket:
            try:
                yield socket
            except ConnectionError:
                raise FeedFailed(f"{self.service} closed the connection") from None

    def _handshake_failure(self, status: int) -> FeedFailed | FeedRefused:
        if status in _REFUSED and self.has_key_in_address:
            return self.refusal(status)
        if status in _REFUSED or status == _TOO_MANY:
            pause_s = self._back_off.next_s()
            reason = "too many requests" if status == _TOO_MANY else "it wants no such requests"
            return FeedFailed(
                f"{self.service} refuses to answer ({status}, {reason}); it is asked again after "
                f"{pause_s:.0f} s",
                pause_s,
            )
        return FeedFailed(f"{self.service} answers with status {status} and opens no WebSocket")

    async def _receive(self, socket: ClientWebSocketResponse) -> Data | None:
        """The next message; None if there was none for a while. Raises FeedFailed."""
        try:
            message = await socket.receive(timeout=self.patience.look_s)
        except TimeoutError:
            return None
        if message.type in {WSMsgType.TEXT, WSMsgType.BINARY}:
            data: Data = message.data
            return self._without_secrets(data) if isinstance(data, str) else data
        reason = str(message.extra or "") if message.type is WSMsgType.CLOSE else ""
        reason = self._without_secrets(reason)
        words = f"{socket.close_code} {reason}".strip()
        if socket.close_code in _REFUSED_CODES:
            raise self.refusal(words)
        self.raise_refusal(reason)
        raise FeedFailed(f"{self.service} closed the connection ({words})")

    def _without_secrets(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "…")
        return text

    def raise_refusal(self, words: str) -> None:
        """Raise FeedRefused where an error is about the key."""
        if self.key_words.search(words):
            raise self.refusal(words)

    def refusal(self, words: object) -> FeedRefused:
        """Say that the key is refused, in the source's words, and what to do."""
        return FeedRefused(f"{self.service} refuses the key ({words}): {self.refusal_help}")

    async def _follow(self, socket: ClientWebSocketResponse, wanted: Wanted) -> None:
        """Change the subscription with what is wanted."""
        while True:
            await wanted.changed()
            await self._subscribe(socket, wanted)

    async def _subscribe(self, socket: ClientWebSocketResponse, wanted: Wanted) -> None:
        before, self._symbols = self._symbols, self._choose(wanted.symbols())
        gone = [key for key in before if key not in self._symbols]
        new = [key for key in self._symbols if key not in before]
        self._refused.difference_update(gone)
        self._tell_unserved()
        self._note_rest()
        with suppress(ConnectionError):  # whoever receives finds that out, and why
            for text in self.cancellations(gone) if gone else ():
                await socket.send_str(text)
            for text in self.subscriptions(new) if new else ():
                await socket.send_str(text)

    def _choose(self, symbols: Sequence[str]) -> dict[Key, list[str]]:
        """The symbols that are asked for, of all that are wanted."""
        served: dict[Key, list[str]] = {}
        self._left_out = []
        for symbol in symbols:
            key = self.key(symbol)
            if key is None or (key not in served and len(served) >= self.max_symbols):
                self._left_out.append(symbol)
            else:
                served.setdefault(key, []).append(symbol)
        kept = {symbol for each in served.values() for symbol in each}
        self._told = {symbol: price for symbol, price in self._told.items() if symbol in kept}
        return served

    # -- silence ------------------------------------------------------------------

    def _mind_silence(self) -> None:
        """Raise FeedFailed where a price should have come long ago."""
        now_s = asyncio.get_running_loop().time()
        if now_s < self._look_next_s:
            return
        self._look_next_s = now_s + self.patience.look_s
        self._note_rest()
        if now_s - self._heard_s > self.patience.silent_s:
            limit = f"{self.patience.silent_s:g} s"
            raise FeedFailed(
                f"{self.service} is connected, but has sent no new price for {limit}",
                self.patience.look_s,
            )

    def _note_rest(self) -> None:
        """Silence counts from the end of a rest."""
        was_resting = self.resting is not None
        self.resting = self._reason_to_rest()
        if self.resting is not None or was_resting:
            self._heard_s = asyncio.get_running_loop().time()

    def _reason_to_rest(self) -> str | None:
        if not self._symbols.keys() - self._refused:
            return UNWANTED
        return None if self._is_any_open() else CLOSED

    def _is_any_open(self) -> bool:
        now_ms = self._now()
        if all(self._calendar.state(each, now_ms) is not MarketState.OPEN for each in Segment):
            return False  # asked once a second all night, of thousands of symbols
        served = (symbol for each in self._symbols.values() for symbol in each)
        return any(is_open(symbol, now_ms, self._calendar) for symbol in served)

    def _may_rest(self) -> bool:
        """Whether a connection that was lost is not missed: the market is closed."""
        served = (each for key, each in self._symbols.items() if key not in self._refused)
        has_all = all(symbol in self._told for each in served for symbol in each)
        return self.resting == CLOSED and has_all

    async def _rest(self, wanted: Wanted) -> None:
        """Wait for the market to open, or for a new wish."""
        known = set(wanted.symbols())
        while not self._is_any_open() and known.issuperset(wanted.symbols()):
            with suppress(TimeoutError):
                async with asyncio.timeout(self.patience.look_s):
                    await wanted.changed()
