"""Which calls are recorded and carried out again, and under which ids."""

from __future__ import annotations

import re

import pytest

from tests.kit.rest import API
from tests.kit.server import MakeSettings, routed_calls
from vyomo_rt.app.server import running
from vyomo_rt.domain.errors import NotFound
from vyomo_rt.replay.calls import Calls
from vyomo_rt.replay.ids import RecordedIds
from vyomo_rt.web.listening import bind_sockets

NOT_OF_A_DAY = {
    "POST /ticks", "PATCH /replay", "POST /tickets", "POST /sign-in", "POST /sign-out",
    "POST /revocations", "POST /connections/{}/kick",
}  # fmt: skip
"""They decide nothing about a session, or bring what is recorded by itself."""


async def test_every_call_that_makes_or_changes_something_is_carried_out_in_a_replay(
    make_settings: MakeSettings,
) -> None:
    settings = make_settings()
    served = {
        f"{method} {re.sub(r'{[a-zA-Z]+}', '{}', path.removeprefix(API))}"
        for method, path in await routed_calls(settings)
        if method in {"POST", "PATCH", "PUT", "DELETE"}
    }
    async with running(settings, bind_sockets(settings.host, 0)) as rooms:
        assert served - NOT_OF_A_DAY == set(Calls(rooms.desk).table)


def ids(*made: int) -> RecordedIds:
    found = RecordedIds("trade")
    for id_ in made:
        found.make(id_)
    return found


def test_without_a_word_about_ids_the_first_is_one_or_the_first_that_is_named() -> None:
    assert [ids(1, 2, 3).find(recorded) for recorded in (1, 2, 3)] == [1, 2, 3]
    counted = ids(1, 2, 3)
    assert [counted.find(recorded) for recorded in (41, 43)] == [1, 3]


def test_ids_between_those_that_are_known_are_counted_from_the_one_before() -> None:
    found = ids(1, 2, 3)
    found.know(100, 1)
    assert found.find(102) == 3
    found.make(4)
    found.know(201, 4)  # the recorded server was started again in between
    found.make(5)
    assert [found.find(recorded) for recorded in (101, 201, 202)] == [2, 4, 5]
    for recorded in (99, 203):
        with pytest.raises(NotFound, match=f"has made no trade that was {recorded} on its day"):
            found.find(recorded)
    with pytest.raises(NotFound):
        ids().find(1)
