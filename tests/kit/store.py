"""An embedded store that tests share, each in a database of its own."""

from __future__ import annotations

import uuid


def new_database(store_uri: str) -> str:
    """The address of a database in a store that nobody else uses."""
    return f"{store_uri}test_{uuid.uuid4().hex}"
