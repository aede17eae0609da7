"""Actions in full, in which order, and which upgrades are followed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from commweb.providers.rooms import CreateRoom, EnsureAccount, Join, Remove, SetLevels
from commweb.sync.known import Applied, Policy, Target
from commweb.sync.plan import Birth, follows, plan
from tests.unit.sync.given import BIRTH, LAST, PICTURE, ROOM, observed, planned, record, seat


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
        invite_level=0,
    )
    creation, *_rest = planned(Target(ROOM, seats), Applied(), None, invite_level=30)
    assert creation.invite_level == 30


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


def test_a_hidden_room_is_made_with_its_levels_and_closed_before_anybody_comes() -> None:
    target = Target(replace(ROOM, read_only=True), (seat(),))
    creation, closing, joining = planned(target, Applied(), None, invite_level=50)
    assert isinstance(creation, CreateRoom)
    assert creation.invite_level == 50
    assert closing == SetLevels({}, read_only=True)
    assert closing.names == {}
    assert isinstance(joining, Join)


def test_joins_and_accounts_say_all_about_the_person() -> None:
    seats = (
        seat("ada", 50, account="new", external_id="sso-1", make=False, rename=False),
        seat("bob", 49, account="stale", by_invitation=True),
    )
    found = planned(Target(ROOM, seats), Applied(), observed())
    assert found[:-1] == [
        EnsureAccount("ada", "@ada:sim", "Ada", "sso-1", make=False, rename=False, theirs=True),
        Join("ada", "@ada:sim", "Ada", moderator=True, room_name="Algebra"),
        EnsureAccount("bob", "@bob:sim", "Bob", known=True, theirs=True),
        Join("bob", "@bob:sim", "Bob", room_name="Algebra", by_invitation=True),
    ]


def test_what_tells_whose_an_account_is_goes_along() -> None:
    known = {"theirs": False, "trust_names": True, "intended_at_seconds": 7.5, "last_name": "A."}
    action, _join = planned(Target(ROOM, (seat(account="stale", **known),)), LAST, observed())[:2]
    assert action == EnsureAccount("ada", "@ada:sim", "Ada", known=True, **known)  # type: ignore[arg-type]


OLD = "@old:sim"


@pytest.mark.parametrize("state", ["in", "adding", "removed"])
def test_an_old_account_goes_just_after_the_person_is_inside_with_the_new_one(state: str) -> None:
    inside = ["ada", "old"] if state == "in" else ["old"]
    last = replace(LAST, members={"ada": record(state)}, past={OLD: "ada"})
    found = planned(Target(ROOM, (seat("ada"), seat("bob"))), last, observed(inside=inside))
    kinds = [type(action).__name__ for action in found[: 2 if state == "in" else 3]]
    assert kinds == (["Remove", "Join"] if state == "in" else ["Join", "Remove", "Join"])
    assert Remove("", OLD, OLD, "Algebra", after="ada") in found


def test_an_old_account_stays_while_the_new_one_cannot_come_in() -> None:
    last = replace(LAST, members={"ada": record("failing")}, past={OLD: "ada"})
    target = Target(ROOM, (seat("ada", account="unusable"),))
    assert planned(target, last, observed(inside=["old"])) == []


def test_an_account_that_is_somebody_elses_goes_at_once() -> None:
    last = replace(LAST, members={"ada": record("removed")}, past={OLD: "ada"})
    target = Target(ROOM, (seat("ada"),), foreign=frozenset({OLD}))
    found = planned(target, last, observed(inside=["old"]))
    assert found[0] == Remove("", OLD, OLD, "Algebra")
    assert found[0].after == ""
    assert isinstance(found[1], Join)


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


def test_old_accounts_leave_a_closed_room_too() -> None:
    last = replace(LAST, members={"ada": record()}, past={OLD: "ada"})
    found = plan(None, last, observed(inside=["ada", "old"]), birth=BIRTH, policy=Policy())
    assert found == (
        Remove("ada", "@ada:sim", "Ada", "Algebra"),
        Remove("", OLD, OLD, "Algebra"),
    )


def test_a_closed_room_that_is_gone_needs_nothing() -> None:
    assert plan(None, LAST, None, birth=BIRTH, policy=Policy()) == ()


def home(remote: str) -> str:
    return remote.partition(":")[2]


TEACHER = "@prof:sim"
OLDER = observed(replaced_by="!new", replaced_by_sender=TEACHER)
NEWER = replace(observed(), remote_id="!new", predecessor="!room", creator=TEACHER)


def test_an_upgrade_by_somebody_of_our_server_is_followed() -> None:
    assert follows(NEWER, OLDER, home)


@pytest.mark.parametrize(
    "values",
    [
        {"predecessor": None},
        {"predecessor": "!other"},
        {"creator": "@somebody:sim"},
        {"creator": ""},
    ],
)
def test_a_room_that_is_only_called_the_replacement_is_not_followed(values: dict[str, Any]) -> None:
    assert not follows(replace(NEWER, **values), OLDER, home)


def test_an_upgrade_by_somebody_of_another_server_is_not_followed() -> None:
    sender = "@prof:elsewhere"
    older, newer = replace(OLDER, replaced_by_sender=sender), replace(NEWER, creator=sender)
    assert not follows(newer, older, home)
    assert not follows(replace(NEWER, creator=""), replace(OLDER, replaced_by_sender=""), home)


def test_who_leaves_goes_first_and_details_come_last() -> None:
    members = {"bob": record("in", 50, remote_user_id="@bob:sim", display_name="Bob")}
    room = observed(inside=["bob"], levels={"@bob:sim": 50}, topic="Old")
    target = Target(replace(ROOM, name="Geometry", picture=PICTURE), (seat("ada", 50),))
    last = replace(LAST, members=members, topic="Old", picture_uri="")
    kinds = [type(action).__name__ for action in planned(target, last, room)]
    assert kinds == ["Remove", "SetLevels", "Join", "SetName", "SetTopic", "SetPicture"]


def test_a_level_that_only_gives_power_waits_for_the_people() -> None:
    kinds = [
        type(action).__name__
        for action in planned(Target(ROOM, (seat("ada", 50), seat("bob"))), LAST, observed())
    ]
    assert kinds[:3] == ["Join", "Join", "SetLevels"]


@pytest.mark.parametrize(
    ("values", "policy", "now", "wanted", "order"),
    [
        ({"read_only": True}, {}, 0, 0, ["SetLevels", "Join"]),
        ({}, {"invite_level": 50}, 0, 0, ["SetLevels", "Join"]),
        ({}, {}, 50, 0, ["SetLevels", "Join"]),
        ({}, {}, 50, 25, ["SetLevels", "Join"]),
        ({}, {}, 10, 50, ["Join", "SetLevels"]),
        ({}, {}, -5, 0, ["Join", "SetLevels"]),
        ({}, {}, 0, 0, ["Join"]),
    ],
    ids=["read-only", "inviting", "all", "some", "more power", "given back", "nothing"],
)
def test_what_takes_power_away_does_not_wait_for_the_people(
    values: dict[str, Any], policy: dict[str, Any], now: int, wanted: int, order: list[str]
) -> None:
    last = replace(LAST, members={"ada": record("in", now)})
    target = Target(replace(ROOM, **values), (seat("ada", wanted), seat("bob")))
    room = observed(inside=["ada"], levels={"@ada:sim": now} if now else {})
    found = planned(target, last, room, **policy)
    assert [type(action).__name__ for action in found] == order


def test_so_many_with_one_level_are_given_it_as_everybodys() -> None:
    people = [seat(f"p{number}", 10) for number in range(401)]
    first = (seat("nia", 50, account_id=None), seat("own", 50, account_id="@bot:sim"))
    target = Target(ROOM, (*first, *people, seat("zoe", 50), seat("yan", 0), seat("zed", 50)))
    room = observed(
        levels={"@p0:sim": 10, "@zed:sim": 50}, inside=[f"p{number}" for number in range(401)]
    )
    policy = Policy(student_level=10, invite_level=50)
    actions = plan(target, LAST, room, birth=BIRTH, policy=policy)
    (write,) = [action for action in actions if isinstance(action, SetLevels)]
    assert (write.default_level, write.invite_level) == (10, 50)
    assert dict(write.levels) == {"@p0:sim": None, "@zoe:sim": 50, "@yan:sim": 0}


def test_a_new_room_lists_only_people_whose_level_is_not_everybodys() -> None:
    target = Target(ROOM, (seat("ada", 50), seat("bob", 10)))
    policy = Policy(student_level=10)
    creation = plan(target, Applied(), None, birth=BIRTH, policy=policy)[0]
    assert isinstance(creation, CreateRoom)
    assert (creation.default_level, dict(creation.levels)) == (10, {"@ada:sim": 50})
    equal = Policy(student_level=50, teacher_level=50)
    creation = plan(target, Applied(), None, birth=BIRTH, policy=equal)[0]
    assert isinstance(creation, CreateRoom)
    assert creation.default_level == 0, "a guest would be a moderator"
