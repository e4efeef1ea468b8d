"""The one question about rights: first the role, then the session."""

from __future__ import annotations

import pytest

from vyomo_rt.domain.errors import Forbidden, NotFound
from vyomo_rt.domain.grant import Grant, Need, Role

MINE, NAMED, FOREIGN, NOBODYS = range(1, 5)
OWNERS = {MINE: "asha", NAMED: "ravi", FOREIGN: "ravi", NOBODYS: None}


def grant(role: Role, subject: str | None = "asha") -> Grant:
    return Grant(subject, role, frozenset({NAMED}), None)


@pytest.mark.parametrize(
    ("role", "may"),
    [
        (Role.VIEWER, {Need.ENTER, Need.SEE}),
        (Role.TRADER, {Need.ENTER, Need.SEE, Need.TRADE}),
        (Role.FEED, {Need.ENTER, Need.PUSH}),
        (Role.ADMIN, set(Need)),
    ],
)
def test_each_role_may_what_it_is_for_and_the_refusal_names_it(role: Role, may: set[Need]) -> None:
    for need in Need:
        if need in may:
            grant(role).ask(need)
        else:
            with pytest.raises(Forbidden, match=f"^the role {role} may not "):
                grant(role).ask(need, FOREIGN, OWNERS[FOREIGN])


@pytest.mark.parametrize("session_id", [MINE, NAMED])
def test_what_a_subject_has_made_and_what_is_named_is_in_its_reach(session_id: int) -> None:
    grant(Role.TRADER).ask(Need.TRADE, session_id, OWNERS[session_id])


@pytest.mark.parametrize("session_id", [FOREIGN, NOBODYS])
@pytest.mark.parametrize("subject", ["asha", None])
def test_what_is_out_of_reach_is_refused_like_what_there_is_not(
    session_id: int, subject: str | None
) -> None:
    with pytest.raises(NotFound) as refused:
        grant(Role.TRADER, subject).ask(Need.SEE, session_id, OWNERS[session_id])
    assert str(refused.value) == f"session {session_id} not found"


@pytest.mark.parametrize(
    "unlimited",
    [Grant.EVERYTHING, grant(Role.ADMIN), Grant("asha", Role.VIEWER, None, None)],
)
def test_to_a_grant_without_limits_it_is_all_one_who_made_a_session(unlimited: Grant) -> None:
    assert not unlimited.is_limited
    for session_id in OWNERS:
        unlimited.ask(Need.SEE, session_id)
