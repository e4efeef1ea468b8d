"""What the server refuses: an error of a stream, a problem document of a REST call."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from msgspec import UNSET, Meta, UnsetType

from vyomo_rt.domain.errors import (
    BadJson,
    ErrorCode,
    KeyReused,
    NumberTaken,
    OutcomeUnknown,
    RateLimited,
    Unavailable,
    VyomoError,
)
from vyomo_rt.domain.pending import AlreadyEnded
from vyomo_rt.domain.trade import AlreadyClosed
from vyomo_rt.wire.encoding import Data, Message, encode, unless_none
from vyomo_rt.wire.frame import Frame, make_frame
from vyomo_rt.wire.order import OrderDocument, order_document
from vyomo_rt.wire.session import SessionDocument
from vyomo_rt.wire.tick import NoTickAccepted, RejectedTick
from vyomo_rt.wire.trade import TradeDocument, trade_document
from vyomo_rt.wire.values import Count, MessageId, Symbol

RETRY_AFTER_S = 1
"""When to retry what the store could not do while it was away."""


class ErrorMessage(Message, tag="error"):
    """A command was refused and changed nothing."""

    message: str
    code: ErrorCode
    detail: str | UnsetType = UNSET
    id: MessageId | UnsetType = UNSET
    retry_after_ms: Count | UnsetType = UNSET


class Problem(Data):
    """An RFC 9457 problem document with the protocol's code."""

    type: Literal["about:blank"]
    title: str
    status: int
    detail: str
    code: ErrorCode
    field: Annotated[
        str | None,
        Meta(
            description="The member, parameter or header that is at fault, or method, path, query,"
            " headers or body for that part of the request; null where the request is not at fault"
        ),
    ]
    idempotency_key: Annotated[
        str | UnsetType,
        Meta(
            description="Whether it was done is not known yet: the request again with this"
            " Idempotency-Key, given or made, finds out, and does nothing twice"
        ),
    ] = UNSET
    retry_after_ms: Annotated[
        Count | UnsetType, Meta(description="When a call may be repeated that was one too many")
    ] = UNSET
    trade: Annotated[
        TradeDocument | UnsetType,
        Meta(description="The trade that is already closed, or that the Idempotency-Key made"),
    ] = UNSET
    order: Annotated[
        OrderDocument | UnsetType,
        Meta(description="The order that has already ended, or that the Idempotency-Key made"),
    ] = UNSET
    session: Annotated[
        SessionDocument | UnsetType, Meta(description="The session that the Idempotency-Key made")
    ] = UNSET
    accepted: Annotated[
        Count | UnsetType, Meta(description="As in the answer when a tick was accepted")
    ] = UNSET
    rejected: list[RejectedTick] | UnsetType = UNSET
    held: list[Symbol] | UnsetType = UNSET


def error_frame(error: VyomoError, id_: MessageId | None) -> Frame:
    """An ``error``; on SSE the event is ``server_error``: ``error`` would look like a lost line."""
    message, detail = str(error), None
    if isinstance(error, BadJson):
        message, detail = "Invalid message format", message
    text = encode(
        ErrorMessage(
            message=message,
            code=error.code,
            detail=unless_none(detail),
            id=unless_none(id_),
            retry_after_ms=unless_none(retry_after_ms(error)),
        )
    )
    return make_frame("server_error", text)


def retry_after_ms(error: VyomoError) -> int | None:
    """When to try again what was refused only for now."""
    match error:
        case RateLimited():
            return math.ceil(error.retry_after_s * 1000)
        case Unavailable() | NumberTaken():
            return RETRY_AFTER_S * 1000
    return None


def problem_document(
    status: int, title: str, error: VyomoError, session: SessionDocument | UnsetType = UNSET
) -> Problem:
    """An error as a document; ``session`` is the one of a ``KeyReused``."""
    found = Problem(
        type="about:blank",
        title=title,
        status=status,
        detail=str(error),
        code=error.code,
        field=error.field,
        session=session,
    )
    if isinstance(error, AlreadyClosed | KeyReused) and error.trade is not None:
        found.trade = trade_document(error.trade)
    if isinstance(error, AlreadyEnded | KeyReused) and error.entry is not None:
        found.order = order_document(error.entry)
    if isinstance(error, RateLimited):
        found.retry_after_ms = unless_none(retry_after_ms(error))
    if isinstance(error, OutcomeUnknown):
        found.idempotency_key = unless_none(error.idempotency_key)
    if isinstance(error, NoTickAccepted):
        found.accepted, found.rejected = error.answer.accepted, error.answer.rejected
        found.held = error.answer.held
    return found
