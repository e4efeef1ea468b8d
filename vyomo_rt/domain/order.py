"""Orders in the units of the domain, and the operation that makes each happen once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar
from uuid import uuid4

from vyomo_rt.domain.charges import ChargePlan
from vyomo_rt.domain.guards import Guards
from vyomo_rt.domain.money import Side
from vyomo_rt.domain.rules import NO_RULES, Rules
from vyomo_rt.domain.session import SessionStatus

T = TypeVar("T")

Read = Callable[[], T]
"""Reads an order from its request, right before it is decided.

It is a function, not the order itself: a repeated operation is answered with what it made
before anything else in the request is looked at, so a mistake in the body does not matter.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionOrder:
    """A session to be made; without a name it is named after its number."""

    starting_capital_paise: int
    name: str | None = None
    rules: Rules = NO_RULES
    charges: ChargePlan | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeOrder:
    """A change of a session; what is left out stays as it is.

    ``changes`` are members of a Standing by name, ``rules`` members of its Rules, None to take
    one away.
    """

    status: SessionStatus | None = None
    changes: Mapping[str, Any] = field(default_factory=dict)
    rules: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class TradeOrder(Guards):
    """A trade to be opened; without an entry price, at the symbol's fresh price."""

    symbol: str
    side: Side
    quantity: int
    entry_price_e4: int | None = None
    tags: tuple[str, ...] = ()
    note: str | None = None


@dataclass(frozen=True, slots=True)
class AmendOrder:
    """A change of an open trade: members of a Trade by name, None to take one away."""

    changes: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosingOrder:
    """A close of a trade: of all that is open, at the last known price, if nothing is given."""

    quantity: int | None = None
    price_e4: int | None = None


@dataclass(frozen=True, slots=True)
class Operation:
    """One thing to be done once, however often it is asked for.

    ``operation_id`` follows from the client's ``Idempotency-Key``, or was made here and
    ``is_fresh``: then nothing can have been done under it yet. ``request_hash``
    distinguishes a repetition of the request from another request under the same key. Until
    0.1.0 it was ``former_hash``, for which 195.25 and 195.250 differ. ``by`` is the subject
    that asks for it; None without access control, and for what the server decides by itself.
    """

    operation_id: str
    request_hash: str
    former_hash: str | None = None
    is_fresh: bool = False
    by: str | None = None

    @classmethod
    def asked(
        cls,
        key: str | None = None,
        request_hash: str = "",
        former_hash: str | None = None,
        *,
        by: str | None,
    ) -> Operation:
        """What a request asks for, under the key that it gives, if it gives one.

        A key is one of its subject's: what others have made under the same is none of its
        business. A key has no line end, so that no two of them come out the same.
        """
        is_fresh = key is None
        key = key or str(uuid4())
        operation_id = key if by is None else f"{by}\n{key}"
        return cls(operation_id, request_hash, former_hash, is_fresh=is_fresh, by=by)

    @classmethod
    def internal(cls, mark: str = "") -> Operation:
        """What the server decides by itself; its id begins with ``mark``."""
        return cls(f"{mark}{uuid4()}", "", is_fresh=True)

    @property
    def key(self) -> str:
        """The key of a request, given or made."""
        return self.operation_id.rpartition("\n")[2]

    def matches(self, request_hash: str) -> bool:
        """Whether a stored hash is that of this request."""
        return request_hash in (self.request_hash, self.former_hash)
