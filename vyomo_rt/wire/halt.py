"""The kill switch: what is asked, and what was closed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

from msgspec import Meta

from vyomo_rt.domain.errors import ErrorCode
from vyomo_rt.domain.halt import Halted, HaltOrder
from vyomo_rt.wire.decoding import Body
from vyomo_rt.wire.encoding import Data
from vyomo_rt.wire.values import Id

_Reason = Annotated[
    str, Meta(min_length=1, max_length=200, description="In words, for `session_changed.detail`")
]


class CloseAll(Body):
    """Halt a session and close all its trades."""

    halt: Annotated[bool, Meta(description="false: leave the session's status as it is")] = True
    reason: _Reason | None = None

    def order(self) -> HaltOrder:
        return HaltOrder(halt=self.halt, close_all=True, detail=self.reason)


class HaltAll(Body):
    """Halt all sessions, and close all their trades if ``closeAll`` is true."""

    close_all: bool = False
    reason: _Reason | None = None

    def order(self) -> HaltOrder:
        return HaltOrder(halt=True, close_all=self.close_all, detail=self.reason)


class NotClosed(Data):
    """A trade that could not be closed, because no price of its symbol is known yet."""

    trade_id: Id
    code: ErrorCode
    message: str


class Closed(Data):
    """Trades that were closed; those in ``failed`` are closed at their first price if halted."""

    closed: list[Id]
    failed: list[NotClosed]


class HaltedSession(Data):
    session_id: Id
    closed: list[Id]
    failed: list[NotClosed]


class HaltAnswer(Data):
    """What was closed in each session, by id."""

    sessions: list[HaltedSession]


def closed(halted: Halted) -> Closed:
    return Closed(halted.closed, _failed(halted))


def halt_answer(halted: Iterable[Halted]) -> HaltAnswer:
    return HaltAnswer(
        [HaltedSession(each.session_id, each.closed, _failed(each)) for each in halted]
    )


def _failed(halted: Halted) -> list[NotClosed]:
    return [NotClosed(id_, error.code, str(error)) for id_, error in halted.failed.items()]
