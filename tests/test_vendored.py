"""What is shipped of others is unchanged, with its licence, and named on the page."""

from __future__ import annotations

import hashlib
from pathlib import Path

SOURCE = Path(__file__).parent.parent
CHARTS = SOURCE / "static" / "vendor" / "lightweight-charts"


def test_lightweight_charts_is_the_file_of_npm_with_its_licence_and_its_notice() -> None:
    library = (CHARTS / "lightweight-charts.standalone.production.mjs").read_bytes()
    assert b"TradingView Lightweight Charts\xe2\x84\xa2 v5.2.1\n" in library[:200]
    assert hashlib.sha256(library).hexdigest() == (
        "1bb1ee79f9d4dd17261b53d930f7a8995748276f80e7ba0e24412b5068062f5f"
    )
    assert "Apache License" in (CHARTS / "LICENSE").read_text()[:200]
    assert "fancy-canvas" in (CHARTS / "LICENSE-fancy-canvas").read_text()
    assert "5.2.1" in (CHARTS / "README").read_text()


def test_the_page_names_the_author_of_the_charts_as_their_notice_asks() -> None:
    page = (SOURCE / "templates" / "console.html").read_text()
    for line in (CHARTS / "NOTICE").read_text().splitlines():
        words, _, link = line.partition(" https://")
        assert words in page
        assert not link or f'<a href="https://{link}">' in page
    assert "attributionLogo: false" in (SOURCE / "static" / "console" / "candles.js").read_text()
