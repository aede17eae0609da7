"""Actions in full, which upgrades are followed, and whom the guard counts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from commweb.providers.rooms import CreateRoom, EnsureAccount, Join, Remove, SetLevels
from commweb.sync.known import Applied, Policy, Target
from commweb.sync.plan import Birth, follows, guard, plan
from commweb.sync.standing import standings
from tests.unit.sync.given import BIRTH, LAST, ROOM, observed, planned, record, seat


def test_a_room_is_made_with_everything_it_needs() -> None:
    seats = (
        seat("ada", 50),
        seat("bob", 0),
        seat("cyd", 50, account="unusable"),
        seat("dan", 50, account_id=None),
    )
    creation, *_rest = planned(Target(ROOM, seats), Applied(), None)
    assert creation == CreateRoom(
        name="Algebra",
        topic="Numbers",
        slug="algebra",
        creation_key="key",
        creation_started_at_seconds=12.5,
        levels={"@ada:sim": 50},
        picture=None,
        origin={"course": "1"},
    )


@pytest.mark.parametrize(("people", "invited"), [(3, 3), (50, 50), (51, 50)])
def test_as_many_as_a_busy_server_answers_in_time_are_invited_with_the_room(
    people: int, invited: int
) -> None:
    target = Target(ROOM, tuple(seat(f"p{number:03}", account="new") for number in range(people)))
    actions = plan(target, Applied(), None, birth=Birth("key", None, ()), policy=Policy())
    joins = tuple(action for action in actions if isinstance(action, Join))
    assert len(joins) == people
    (creation,) = [action for action in actions if isinstance(action, CreateRoom)]
    assert creation.invited == joins[:invited]


@pytest.mark.parametrize("fast", [False, True])
def test_a_room_for_many_is_made_open_only_if_the_admin_chose_so(fast: bool) -> None:
    target = Target(ROOM, tuple(seat(name) for name in ("ada", "bob", "cyd")))
    creation = planned(target, Applied(), None, fast_fill=fast)[0]
    assert isinstance(creation, CreateRoom)
    assert creation.open_door is fast


def test_joins_and_accounts_say_all_about_the_person() -> None:
    seats = (
        seat("ada", 50, account="new", external_id="sso-1", make=False, rename=False),
        seat("bob", 49, account="stale", by_invitation=True),
    )
    found = planned(Target(ROOM, seats), Applied(), observed())
    assert found[1:] == [
        EnsureAccount("ada", "@ada:sim", "Ada", "sso-1", make=False, rename=False, theirs=True),
        Join("ada", "@ada:sim", "Ada", moderator=True, room_name="Algebra"),
        EnsureAccount("bob", "@bob:sim", "Bob", known=True, theirs=True),
        Join("bob", "@bob:sim", "Bob", room_name="Algebra", by_invitation=True),
    ]


def test_one_write_names_everybody_it_is_about() -> None:
    members = {"bob": record("in", 50, remote_user_id="@bob:sim", display_name="Bob")}
    room = observed(inside=["bob"], levels={"@bob:sim": 50})
    target = Target(replace(ROOM, read_only=True), (seat("ada", 50),))
    actions = planned(target, replace(LAST, members=members), room)
    (write,) = [action for action in actions if isinstance(action, SetLevels)]
    assert write == SetLevels({"@ada:sim": 50, "@bob:sim": None}, read_only=True)
    assert write.names == {"@ada:sim": "Ada", "@bob:sim": "Bob"}


def test_removals_name_account_person_and_room() -> None:
    target = Target(ROOM, ())
    room = observed(inside=["ada", "gil"])
    found = planned(target, replace(LAST, members={"ada": record()}), room, remove_others=True)
    removals = [action for action in found if isinstance(action, Remove)]
    assert removals == [
        Remove("ada", "@ada:sim", "Ada", "Algebra"),
        Remove("", "@gil:sim", "@gil:sim", "Algebra"),
    ]


def test_a_closed_room_is_called_by_its_last_name() -> None:
    members = {"ada": record()}
    room = observed(inside=["ada"], name="Seen")
    for last, name in (
        (Applied("Last", members=members), "Last"),
        (Applied(members=members), "Seen"),
    ):
        (removal,) = plan(None, last, room, birth=BIRTH, policy=Policy())
        assert removal == Remove("ada", "@ada:sim", "Ada", name)


def test_a_closed_room_that_is_gone_needs_nothing() -> None:
    assert plan(None, LAST, None, birth=BIRTH, policy=Policy()) == ()


# Upgrades and the guard.


@pytest.mark.parametrize(
    ("values", "followed"),
    [
        ({}, True),
        ({"own_in_room": False}, True),
        ({"creators": frozenset()}, True),
        ({"creators": frozenset(), "own_in_room": False}, False),
        ({"creators": frozenset(), "own_can_manage": False}, False),
    ],
)
def test_a_replacement_is_followed_if_it_is_ours_or_obeys_us(
    values: dict[str, Any], followed: bool
) -> None:
    assert follows(observed(**values)) is followed


def test_a_replacement_that_is_not_there_is_not_followed() -> None:
    assert not follows(None)


def test_a_guard_counts_those_who_are_being_added_or_invited_too() -> None:
    states = ["in", "adding", "invited"] * 3 + ["in"]
    members = {
        f"p{number}": record(state, remote_user_id=f"@p{number}:sim")
        for number, state in enumerate(states)
    }
    room = observed(inside=[f"p{number}" for number in range(10)])
    applied, target = Applied(members=members), Target(ROOM, (seat("p0"),))
    people = standings(target, applied, room, Policy())
    assert guard(target, applied, people, room) is not None
    fewer = {**members, "p9": replace(members["p9"], state="left")}
    applied = Applied(members=fewer)
    assert guard(target, applied, standings(target, applied, room, Policy()), room) is None
