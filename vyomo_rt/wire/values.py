"""The JSON values that messages are made of, with what the contracts say about each.

Bounds and lengths are checked on what a client sends; ``extra_json_schema`` only
describes.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal

from msgspec import Meta, UnsetType

from vyomo_rt.domain.money import MAX_QUANTITY
from vyomo_rt.domain.quote import SYMBOL

MAX_KEY_LENGTH = 128
MAX_INT = 2**63 - 1
"""The highest integer that a query may name."""

_TRIMMED = r"[\t-\r\x1c-\x20]*"
"""The ASCII characters that ``str.strip`` removes."""

Id = Annotated[int, Meta(ge=1)]
ConnectionId = Annotated[str, Meta(description="Name of an open stream, from its `ack` or the log")]
Count = Annotated[int, Meta(ge=0)]
Quantity = Annotated[int, Meta(ge=1, le=MAX_QUANTITY, examples=[75])]
Seq = Annotated[
    int, Meta(ge=0, description="Number of an event in its session's history: 1, 2, 3 …")
]
Epoch = Annotated[str, Meta(description="Random name of the session's history")]
IntervalMs = Annotated[
    int, Meta(description="Milliseconds; clamped to 100…60000, rounded down to a multiple of 100")
]
KeepAlive = Annotated[
    Literal["event"],
    Meta(description="Keep-alives as `event: keep_alive`, which EventSource passes on to a page"),
]
MessageId = Annotated[str, Meta(max_length=64)] | int
"""What a client calls its message; the answer echoes it."""

IdempotencyKey = Annotated[
    str,
    Meta(
        description=(
            "Your name for one decision: repeated with it, the request is carried out once; then "
            "the answer has Idempotency-Replayed, and the document as it is by now"
        ),
        extra_json_schema={"minLength": 1, "maxLength": MAX_KEY_LENGTH, "pattern": "^[ -~]+$"},
    ),
]

Price = Annotated[
    Decimal, Meta(description="₹, at most 4 decimals", extra_json_schema={"minimum": 0})
]
Money = Annotated[Decimal, Meta(description="₹, at most 2 decimals")]
Percent = Annotated[Decimal, Meta(description="%, at most 2 decimals")]
Timestamp = Annotated[
    str,
    Meta(
        description="UTC, to the millisecond",
        extra_json_schema={
            "format": "date-time",
            "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$",
        },
    ),
]

By = Annotated[
    str | UnsetType,
    Meta(
        description="The `sub` of the person or program that asked for it; absent without access"
        " control and for what the server decided by itself"
    ),
]

Symbol = Annotated[str, Meta(examples=["NIFTY"], extra_json_schema={"pattern": f"^{SYMBOL}$"})]
SpelledSymbol = Annotated[
    str,
    Meta(
        description="A symbol; trimmed and upper-cased by the server",
        examples=["NIFTY"],
        extra_json_schema={"pattern": f"^{_TRIMMED}{SYMBOL.replace('A-Z', 'A-Za-z')}{_TRIMMED}$"},
    ),
]
