"""Makes the feeds that the settings name."""

from __future__ import annotations

from collections.abc import Sequence

from vyomo_rt.config.feeds import GROUP, installed_feeds
from vyomo_rt.domain.errors import CannotStart
from vyomo_rt.market.feed import Feed, FeedContext


def make_feeds(names: Sequence[str], context: FeedContext) -> list[Feed]:
    """Feeds by their entry points, in this order. Raises CannotStart."""
    feeds: dict[str, Feed] = {}
    for name in names:
        feed = _make_feed(name, context)
        if feed.source in feeds:
            raise CannotStart(f"feed {name}: another one is named {feed.source} on its ticks, too")
        feeds[feed.source] = feed
    return [*feeds.values()]


def _make_feed(name: str, context: FeedContext) -> Feed:
    """Raises CannotStart, also for whatever another's code raises."""
    entry = installed_feeds().get(name.partition(":")[0])
    if entry is None:
        raise CannotStart(
            f"feed {name}: no installed package has it as an entry point of {GROUP}; "
            "where that is new, install the package again"
        )
    try:
        kind = entry.load()
        if isinstance(kind, type) and issubclass(kind, Feed):
            return kind.made_for(context)
    except CannotStart:
        raise
    except Exception as error:
        raise CannotStart(f"feed {name} ({entry.value}) cannot be used: {error!r}") from error
    raise CannotStart(f"feed {name}: {entry.value} is no subclass of {Feed.__module__}.Feed")
