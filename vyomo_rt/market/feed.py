"""A price source as the rest of the server sees it, and as its author writes it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Sequence
from typing import ClassVar, NamedTuple, Self

from vyomo_rt.config import Settings
from vyomo_rt.domain.market import PreviousClose
from vyomo_rt.domain.moment import MarketClock
from vyomo_rt.domain.quote import Tick
from vyomo_rt.exchange.calendar import Calendar
from vyomo_rt.market.wanted import Wanted


class FeedContext(NamedTuple):
    """What a feed may need of its server."""

    settings: Settings
    now: MarketClock
    calendar: Calendar


class Feed(ABC):
    """A source of prices: give it a name and write ``ticks``. `Supervisor` keeps it running."""

    source: ClassVar[str]
    """The name that stands on each of its ticks."""

    fresh_for_ms: int = 15_000
    """How old a price may be before it is stale."""

    takes_posts: ClassVar[bool] = False
    """Whether its prices come from outside, over HTTP."""

    keeps_hours: bool = False
    """Whether all its symbols follow the hours of the exchange, also without `--market-hours`."""

    resting: str | None = None
    """Why it sends nothing now although all is well, for a person: the market is closed."""

    unserved: Sequence[str] = ()
    """Wanted symbols that get no price: too many, or the source has none of that name."""

    @classmethod
    def made_for(cls, context: FeedContext) -> Self:
        """Make one, once in a server. Raises CannotStart where its settings are of no use."""
        del context
        return cls()

    def knows(self, symbol: str, /) -> bool:
        """Whether it might price the symbol at all; one that it does not know is refused."""
        del symbol
        return True

    def previous_close(self, symbol: str, /) -> PreviousClose | None:
        """The close of the session before, if the source has told it with its prices."""
        del symbol
        return None

    @abstractmethod
    def ticks(self, wanted: Wanted) -> AsyncGenerator[Tick | None, None]:
        """Its ticks, as they come; ends only if all of them are posted.

        None says that the source answers again, but knows nothing new.

        Any exception means that the source failed: after a pause it is begun anew by another
        call. `FeedFailed` says so in words, `FeedRefused` that it must not be begun anew.
        """


class FeedRefused(Exception):
    """No retry will help: a key has expired, a setting is wrong. The text says what to do."""


class FeedFailed(Exception):
    """The source failed in a way that the feed understands; the text is for a person.

    With ``pause_s`` the source must not be asked again before so long.
    """

    def __init__(self, reason: str, pause_s: float | None = None) -> None:
        super().__init__(reason)
        self.pause_s = pause_s
