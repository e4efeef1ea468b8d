"""The feeds that are installed: those of this package, and of any other that names some."""

from functools import cache
from importlib.metadata import EntryPoint, entry_points

GROUP = "vyomo_rt.feeds"
"""The entry points by which a package adds a feed."""


@cache
def installed_feeds() -> dict[str, EntryPoint]:
    """The entry points of all feeds, by the name that ``--feed`` takes."""
    return {entry.name: entry for entry in sorted(entry_points(group=GROUP))}
