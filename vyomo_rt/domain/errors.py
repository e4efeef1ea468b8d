"""Everything the server refuses or cannot do, as one tree; and why it cannot start.

The code of an error is its name on the wire (``error.code`` on the streams,
``code`` of a problem document); ``wire`` and ``web`` translate it there, once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

if TYPE_CHECKING:
    from vyomo_rt.domain.pending import PendingEntry
    from vyomo_rt.domain.state import SessionState
    from vyomo_rt.domain.trade import Trade

ErrorCode = Literal[
    "bad_json",
    "bad_request",
    "unknown_type",
    "not_found",
    "conflict",
    "limit_exceeded",
    "unauthorized",
    "rate_limited",
    "forbidden",
    "unavailable",
    "internal",
]


class CannotStart(Exception):
    """Why a command cannot begin or go on, in one line for the person who gave it."""

    exit_code: ClassVar[int] = 1


class VyomoError(Exception):
    """A refusal with a message for the person who sent the request.

    ``field`` is the JSON name of the member, parameter or header at fault, or the part of the
    request at fault: ``method``, ``path``, ``query``, ``headers``, ``body``. It is None if the
    request is not at fault.
    """

    code: ClassVar[ErrorCode] = "bad_request"
    part: ClassVar[str | None] = None
    """The field where none is given."""

    def __init__(self, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.field = self.part if field is None else field


class BadJson(VyomoError):
    """The text is not a JSON object."""

    code = "bad_json"
    part = "body"


class BadRequest(VyomoError):
    """A field is missing or wrong; the message names it."""

    code = "bad_request"


class UnknownEncoding(BadRequest):
    """The body is compressed in a way that the server does not know."""


class UnknownType(VyomoError):
    """A client message of a type the protocol does not have."""

    code = "unknown_type"


class NotFound(VyomoError):
    """No such session, trade or symbol; or none that the caller may know of, in the same words."""

    code = "not_found"

    @classmethod
    def session(cls, session_id: int | str) -> NotFound:
        return cls(f"session {session_id} not found", "sessionId")

    @classmethod
    def trade(cls, trade_id: int | str) -> NotFound:
        return cls(f"trade {trade_id} not found", "tradeId")

    @classmethod
    def order(cls, order_id: int | str) -> NotFound:
        return cls(f"order {order_id} not found", "orderId")


class Conflict(VyomoError):
    """The request is well-formed but the current state forbids it."""

    code = "conflict"


class PreconditionFailed(Conflict):
    """The request asks for a document only as it was, and it has changed."""


class KeyReused(Conflict):
    """An ``Idempotency-Key`` came again with another request.

    ``trade``, ``entry`` or ``session`` is what the key made, as it is now.
    """

    def __init__(
        self,
        made: str,
        *,
        trade: Trade | None = None,
        entry: PendingEntry | None = None,
        session: SessionState | None = None,
    ) -> None:
        super().__init__(
            f"this Idempotency-Key was used for another request, which made {made}: use a new one",
            "Idempotency-Key",
        )
        self.trade = trade
        self.entry = entry
        self.session = session


class LimitExceeded(VyomoError):
    """A limit of the server or of the connection would be exceeded."""

    code = "limit_exceeded"


class SessionFull(LimitExceeded):
    """A session has as many open trades as it may: another one needs a close first."""


class BodyTooLarge(LimitExceeded):
    """The body of a request is longer than allowed."""

    part = "body"


class Unauthorized(VyomoError):
    """The caller has not said who it is, or what it says is not good; the text says why."""

    code = "unauthorized"
    part = "Authorization"


class RateLimited(VyomoError):
    """Too much in too short a time; ``retry_after_s`` says when it may be tried again."""

    code = "rate_limited"

    def __init__(self, message: str, retry_after_s: float) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Forbidden(VyomoError):
    """The caller may not do this, or not from where it is."""

    code = "forbidden"


class Unavailable(VyomoError):
    """The store is away; the request has not been carried out."""

    code = "unavailable"


class Moved(Unavailable):
    """Another node decides about the session; nothing was changed here."""

    def __init__(self) -> None:
        super().__init__("the session has moved to another node; nothing was changed, try again")


class OutcomeUnknown(Unavailable):
    """The store did not answer a write: it may or may not have happened.

    ``idempotency_key`` is the key under which a repetition of the request finds out, if it has
    one; the client's, or one that was made for it.
    """

    idempotency_key: str | None = None


class Failed(VyomoError):
    """The server has a fault; its log says which."""

    code = "internal"


class NewerData(VyomoError):
    """What is stored was written by a later version of this program."""

    code = "internal"


class HalfRestored(VyomoError):
    """The store holds only part of a backup: nothing may be added to it."""

    code = "internal"


class NumberTaken(VyomoError):
    """An event number is held by a record that this server did not write."""

    code = "unavailable"
