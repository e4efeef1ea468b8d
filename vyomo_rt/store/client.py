"""The driver: a client with the server's limits on time, and filters that use indexes.

Motor no longer gets fixes. Its calls are those of ``pymongo.AsyncMongoClient``,
so ``connect`` is all that changes when it goes.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from motor.motor_asyncio import AsyncIOMotorClient
from pymongo.errors import ConfigurationError

from vyomo_rt.domain.errors import CannotStart
from vyomo_rt.store.documents import Document

if TYPE_CHECKING:
    from motor.motor_asyncio import AsyncIOMotorCollection
    from pymongo import AsyncMongoClient
    from pymongo.asynchronous.collection import AsyncCollection

    Client = AsyncIOMotorClient[Document] | AsyncMongoClient[Document]
    Collection = AsyncIOMotorCollection[Document] | AsyncCollection[Document]

TIMEOUT_MS = 1400
"""How long the driver tries an operation; a limit around it would leave it writing.

While it waits for an absent server it looks at the clock only every half second. A command
is answered within 2 s, so this is less than 1.5.
"""

INT64_MAX = 2**63 - 1
"""The highest int that BSON can carry."""


def connect(uri: str) -> AsyncIOMotorClient[Document]:
    """A client with the server's limits on time; it connects at its first operation.

    Raises CannotStart for a text that is not a MongoDB URI. ``uri`` cannot loosen the
    limits, because the arguments win over it.
    """
    try:
        with warnings.catch_warnings():
            # The driver would go on without an option it cannot read, such as `tls=1`.
            warnings.simplefilter("error", UserWarning)
            return AsyncIOMotorClient(
                uri,
                appname="vyomo-rt",
                timeoutMS=TIMEOUT_MS,
                serverSelectionTimeoutMS=TIMEOUT_MS,
                connectTimeoutMS=1000,
                heartbeatFrequencyMS=1000,
                # A replica set knows a repeated write by its number and does it once, so that
                # a step-down or a cut connection goes unnoticed; elsewhere the driver does
                # not repeat.
                retryWrites=True,
            )
    except (ConfigurationError, ValueError, OSError, UserWarning) as error:
        raise CannotStart(
            f"VYOMO_RT_MONGO_URI (--mongo-uri) is not a usable URI: {error}"
        ) from error


def database_of(client: Client) -> str | None:
    """The database that the client's URI names."""
    try:
        return client.get_default_database().name
    except ConfigurationError:
        return None


def where(**fields: Any) -> Document:
    """A filter by values or, given as a mapping, by operators.

    Values become ``$eq``: for the plain form the embedded server uses no index, and also
    looks into arrays. MongoDB treats both forms alike.
    """
    return {
        name: _within_int64(value if isinstance(value, Mapping) else {"$eq": value})
        for name, value in fields.items()
    }


def _within_int64(value: Any) -> Any:
    """The same value with its ints cut to what BSON can carry; no id is that high."""
    if isinstance(value, Mapping):
        return {name: _within_int64(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_within_int64(inner) for inner in value]
    if isinstance(value, int):
        return max(-INT64_MAX, min(value, INT64_MAX))
    return value
