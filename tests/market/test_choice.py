"""Which feed a server uses: ours by name, or one that another package brings."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.config.loading import error_of
from tests.kit.documents import ROOT, blocks
from tests.kit.server import MakeSettings, serve_here
from tests.kit.streams import watching
from vyomo_rt.config import load
from vyomo_rt.config.feeds import installed_feeds
from vyomo_rt.domain.errors import CannotStart

Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Installs a package with one feed."""

    def write(text: str, entry: str) -> None:
        module = entry.partition("= ")[2].partition(":")[0]
        (tmp_path / f"{module}.py").write_text(text)
        about = tmp_path / f"{module}-1.0.dist-info"
        about.mkdir()
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
        (about / "entry_points.txt").write_text(f"[vyomo_rt.feeds]\n{entry}\n")
        monkeypatch.syspath_prepend(tmp_path)
        installed_feeds.cache_clear()

    yield write
    installed_feeds.cache_clear()


async def test_the_example_of_the_documentation_is_a_feed_once_it_is_installed(
    install: Install,
    make_settings: MakeSettings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And what is wrong with its source is told in its words."""
    (example,) = blocks(ROOT / "docs" / "feeds.md", "python", "example")
    assert len(example.text.strip().splitlines()) <= 22
    (entry,) = blocks(ROOT / "docs" / "feeds.md", "ini")
    install(example.text, entry.text.strip().splitlines()[-1].strip())
    table = tmp_path / "prices.json"
    table.write_text(json.dumps({"NIFTY": 24_190.05}))
    monkeypatch.setenv("TABLE_FILE", str(table))
    assert load({"feed": "table"}, {})[0].feed == ("table",)
    async with (
        serve_here(make_settings(feed=("table",))) as server,
        watching("ws", server.url, symbols=["NIFTY", "TCS"]) as watcher,
    ):
        price = (await watcher.next("price_update"))["data"]
        assert (price["price"], price["source"]) == (24_190.05, "table")
        table.write_text("{")
        while (feed := (await watcher.next("feed_status"))["data"])["state"] != "DOWN":
            pass
        assert feed["message"].startswith("the feed table failed: the table is not JSON")


def test_our_feeds_are_entry_points_and_another_name_is_refused_with_those_there_are() -> None:
    assert list(installed_feeds()) == [
        "ingest",
        "kite",
        "nse",
        "openalgo",
        "replay",
        "sim",
        "yahoo",
    ]
    assert error_of({"feed": "bse"}, {}) == (
        "--feed: no such feed is installed: write one of ingest, kite, nse, openalgo, replay, sim, "
        "yahoo, got 'bse'"
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("import no_such_library", "No module named 'no_such_library'"),
        ("class Broken: pass", "is no subclass of vyomo_rt.market.feed.Feed"),
        (
            "from vyomo_rt.market.feed import Feed\nclass Broken(Feed): pass",
            "abstract",
        ),
    ],
)
async def test_a_feed_that_cannot_be_made_ends_the_start_with_its_name_and_the_reason(
    install: Install, make_settings: MakeSettings, text: str, words: str
) -> None:
    install(text, f"broken = broken_{abs(hash(text))}:Broken")
    with pytest.raises(CannotStart, match="feed broken") as refusal:
        async with serve_here(make_settings(feed=("broken",))):
            pass
    assert words in str(refusal.value)
