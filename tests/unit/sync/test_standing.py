"""What is recorded of people and details before anything is done, and after.

The plan's sentences are in the case files; here is what an interrupted run can rely on.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from commweb.providers.rooms import (
    CreateRoom,
    EnsureAccount,
    Join,
    ObservedMember,
    ObservedRoom,
    Picture,
    Remove,
    SetLevels,
    SetPicture,
)
from commweb.sync.desired import DesiredRoom
from commweb.sync.details import details
from commweb.sync.known import Applied, AppliedMember, Intended, Policy, Seat, Target
from commweb.sync.plan import Birth, follows, guard, plan
from commweb.sync.standing import Standing, is_inside, standings

OWN = "@bot:sim"
ROOM = DesiredRoom("", "any", "Algebra", "Numbers", "algebra")
BIRTH = Birth("key", 12.5, (("course", "1"),))
JOINED = ObservedMember("join", by_self=True)
PICTURE = Picture("d1", "image/png", lambda: b"")


def seat(name: str = "ada", level: int = 0, **more: Any) -> Seat:
    return Seat(name, name.title(), more.pop("account_id", f"@{name}:sim"), level, **more)


def record(state: str = "in", level: int | None = 0, **more: Any) -> AppliedMember:
    values: dict[str, Any] = {
        "remote_user_id": "@ada:sim",
        "display_name": "Ada",
        "intended_level": level,
        "applied_level": level,
        "state": state,
    }
    return AppliedMember(**{**values, **more})


def observed(**more: Any) -> ObservedRoom:
    inside = {f"@{name}:sim": JOINED for name in more.pop("inside", ())}
    members = {OWN: JOINED, **inside, **more.pop("members", {})}
    plain = ObservedRoom("!room", "Algebra", "Numbers", members=members, own_id=OWN)
    return replace(plain, **{"creators": frozenset({OWN}), **more})


def one(
    wanted: Seat | None, known: AppliedMember | None, room: ObservedRoom | None, **policy: Any
) -> Standing:
    target = Target(ROOM, (wanted,) if wanted else ())
    applied = Applied(members={"ada": known} if known else {})
    (only,) = standings(target, applied, room, Policy(**policy))
    return only


def planned(
    target: Target, applied: Applied, room: ObservedRoom | None, **policy: Any
) -> list[Any]:
    return list(plan(target, applied, room, birth=BIRTH, policy=Policy(**policy)))


# People.


def test_somebody_new_is_recorded_as_being_added_before_he_joins() -> None:
    standing = one(seat(level=50), None, observed())
    assert standing.before == record("adding", None, intended_level=50)
    assert (standing.join, standing.after, standing.final) == (True, None, standing.before)
    assert (standing.remove, dict(standing.levels)) == (None, {"@ada:sim": 50})


def test_somebody_inside_is_recorded_with_the_level_seen() -> None:
    standing = one(
        seat(level=50), record("adding", None), observed(levels={"@ada:sim": 50}, inside=["ada"])
    )
    assert standing.before == record("in", 50)
    assert not standing.join


def test_somebody_to_be_removed_stays_ours_until_he_is_out() -> None:
    standing = one(None, record("in", 50), observed(inside=["ada"], levels={"@ada:sim": 50}))
    assert standing.before == record("in", 50, intended_level=None)
    assert standing.after == record("removed", None)
    assert standing.final == standing.after
    assert standing.remove == "@ada:sim"


def test_a_hand_set_level_is_not_recorded_as_ours() -> None:
    room = observed(inside=["ada"], levels={"@ada:sim": 70})
    standing = one(seat(), record("in", 0), room)
    assert (standing.before.applied_level, standing.before.intended_level) == (0, 0)
    assert standing.before.reason == "The power level 70 was set by hand."
    gone = one(None, record("in", 0), room)
    assert gone.after == record("removed", None)


def test_somebody_gone_already_is_recorded_as_removed_at_once() -> None:
    standing = one(None, record("in", 50), observed(levels={"@ada:sim": 50}))
    # The level is still to be taken away, so that it is ours is not forgotten.
    assert standing.before == record("removed", 50, intended_level=None)
    assert (standing.after, standing.remove) == (None, None)
    assert dict(standing.levels) == {"@ada:sim": None}


def test_a_moving_persons_old_account_is_recorded_until_it_is_out() -> None:
    wanted = seat(level=50, account_id="@new:sim")
    room = observed(inside=["ada"], levels={"@ada:sim": 0})
    standing = one(wanted, record("in", 0, reason="why"), room)
    assert standing.before == record("in", 0, intended_level=50)
    assert standing.after == record("adding", None, remote_user_id="@new:sim", intended_level=50)
    assert (standing.remove, standing.join) == ("@ada:sim", True)


def test_a_moving_persons_new_account_is_recorded_at_once_if_the_old_one_is_out() -> None:
    standing = one(seat(account_id="@new:sim"), record("in", 0), observed())
    assert standing.before == record("adding", 0, remote_user_id="@new:sim")
    assert (standing.after, standing.remove) == (None, None)


def test_a_level_that_the_new_account_got_in_an_interrupted_run_is_ours() -> None:
    room = observed(inside=["ada"], levels={"@new:sim": 50})
    standing = one(seat(account_id="@new:sim"), record("in", 0, intended_level=50), room)
    assert dict(standing.levels) == {"@new:sim": None}


def test_a_level_that_a_former_owner_of_the_account_got_is_ours() -> None:
    members = {"bob": record("in", 50, remote_user_id="@ada:sim")}
    room = observed(inside=["ada"], levels={"@ada:sim": 50})
    found = standings(Target(ROOM, (seat(),)), Applied(members=members), room, Policy())
    assert [dict(standing.levels) for standing in found] == [{"@ada:sim": None}, {}]
    assert [standing.final.state for standing in found] == ["in", "removed"]


def test_a_room_made_again_may_have_the_level_intended_in_an_earlier_try() -> None:
    fresh = one(seat(level=0), record("adding", None, intended_level=50), None)
    assert (fresh.before.applied_level, fresh.before.intended_level) == (50, 0)
    kept = one(seat(level=0), record("adding", 50, intended_level=None), None)
    assert kept.before.applied_level == 50
    gone = one(None, record("adding", None, intended_level=50), None)
    assert gone.before == record("removed", 50, intended_level=None)
    assert one(seat(level=50), None, None).before.applied_level is None


def test_nobody_is_removed_from_a_room_that_is_not_there() -> None:
    assert one(None, record("in"), None).remove is None


@pytest.mark.parametrize("own_level", [0, 100])
def test_the_acting_account_is_in_and_has_no_level_of_ours(own_level: int) -> None:
    room = observed(creators=frozenset(), levels={OWN: own_level})
    wanted = replace(seat(level=50), remote_user_id=OWN)
    standing = one(wanted, record("left", 50, remote_user_id=OWN), room)
    assert standing.before == AppliedMember(OWN, "Ada", None, None, "in")
    assert (standing.join, standing.remove, dict(standing.levels)) == (False, None, {})
    gone = one(None, record("in", 50, remote_user_id=OWN), room)
    assert gone.before == record("removed", None, remote_user_id=OWN)
    assert (gone.remove, dict(gone.levels)) == (None, {})


def test_somebody_without_any_account_is_recorded_as_removed() -> None:
    gone = one(None, record("waiting", None, remote_user_id=None, reason="x"), observed())
    assert gone.before == record("removed", None, remote_user_id=None)


def test_a_creator_keeps_what_was_recorded() -> None:
    room = observed(inside=["ada"], creators=frozenset({OWN, "@ada:sim"}))
    assert one(seat(level=50), record("in", 50), room).before == record("in", 50)


def test_a_level_that_cannot_be_changed_is_still_known_as_ours() -> None:
    room = observed(inside=["ada"], creators=frozenset(), levels={OWN: 50, "@ada:sim": 50})
    standing = one(seat(), record("in", 40, intended_level=50), room)
    assert (dict(standing.levels), standing.before.applied_level) == ({}, 50)
    assert standing.before.reason == "Has as much power in the room as commweb."


def test_a_level_that_is_not_raised_while_out_is_known_as_it_is() -> None:
    room = observed(members={"@ada:sim": ObservedMember("ban")}, levels={"@ada:sim": 10})
    standing = one(seat(level=50), record("in", 0, intended_level=10), room)
    assert (dict(standing.levels), standing.before.applied_level) == ({}, 10)
    assert standing.before.reason == "Banned in the chat by a moderator."


@pytest.mark.parametrize("inside", [(), ("ada",)])
def test_a_removed_persons_level_that_equals_the_default_is_left_in_the_list(
    inside: tuple[str, ...],
) -> None:
    room = observed(levels={"@ada:sim": 0}, inside=inside)
    gone = one(None, record("in", 0), room)
    assert (dict(gone.levels), gone.before.applied_level) == ({}, 0)
    assert gone.final.applied_level == 0


def test_what_was_applied_last_is_recorded_until_a_level_is_written() -> None:
    room = observed(inside=["ada"], levels={"@ada:sim": 50})
    ours = one(seat(), record("in", 40, intended_level=50), room)
    assert (dict(ours.levels), ours.before.applied_level) == ({"@ada:sim": None}, 50)
    by_hand = one(seat(), record("in", 40), room, respect_hand_changes=False)
    assert (dict(by_hand.levels), by_hand.before.applied_level) == ({"@ada:sim": None}, 40)


def test_a_level_left_to_an_old_account_goes_though_it_is_out_already() -> None:
    room = observed(levels={"@ada:sim": 50})
    standing = one(seat(level=50, account_id="@new:sim"), record("in", 50), room)
    assert dict(standing.levels) == {"@ada:sim": None, "@new:sim": 50}
    assert standing.remove is None


def test_an_account_that_cannot_be_used_has_a_reason_anyhow() -> None:
    standing = one(seat(account="unusable"), None, observed())
    assert (standing.before.state, standing.before.reason) == (
        "failing",
        "The account cannot be used.",
    )


def test_somebody_without_a_level_has_none_to_drop() -> None:
    gone = one(None, record("in", 0), observed(inside=["ada"]), respect_hand_changes=False)
    assert (dict(gone.levels), gone.remove) == ({}, "@ada:sim")


def test_a_level_of_somebody_too_powerful_is_not_dropped() -> None:
    room = observed(creators=frozenset(), levels={OWN: 50, "@ada:sim": 50})
    gone = one(None, record("in", 50), room)
    assert (dict(gone.levels), gone.before.applied_level) == ({}, 50)


def test_a_guests_level_is_his_own_though_hand_changes_are_overwritten() -> None:
    room = observed(inside=["ada"], levels={"@ada:sim": 70})
    guest = one(None, record("removed", None), room, respect_hand_changes=False)
    assert (dict(guest.levels), guest.remove) == ({}, None)


def test_the_default_level_is_written_by_taking_people_off_the_list() -> None:
    room = observed(inside=["ada"], levels={"@ada:sim": 0}, default_level=20)
    assert dict(one(seat(level=20), record("in", 0), room).levels) == {"@ada:sim": None}
    unlisted = observed(inside=["ada"], default_level=20)
    assert dict(one(seat(level=50), record("in", 20), unlisted).levels) == {"@ada:sim": 50}


def test_a_power_to_repair_counts_as_that_of_the_most_powerful() -> None:
    values = {"creators": frozenset[str](), "inside": ["ada", "zoe"]}
    levels = {OWN: 0, "@ada:sim": 50, "@zoe:sim": 60}
    weak = observed(levels=levels, own_can_manage=False, **values)
    assert dict(one(seat(), record("in", 50), weak).levels) == {"@ada:sim": None}
    equal = observed(levels={**levels, "@zoe:sim": 50}, own_can_manage=False, **values)
    assert dict(one(seat(), record("in", 50), equal).levels) == {}
    out = observed(levels=levels, own_in_room=False, **values)
    assert dict(one(seat(), record("in", 50), out).levels) == {"@ada:sim": None}
    proud = observed(levels={**levels, OWN: 55}, **values)
    assert dict(one(seat(level=56), record("in", 50), proud).levels) == {}
    assert dict(one(seat(level=55), record("in", 50), proud).levels) == {"@ada:sim": 55}


def test_people_are_in_the_order_of_their_ids() -> None:
    target = Target(ROOM, (seat("bob"), seat("ada")))
    members = {"dan": record(remote_user_id="@dan:sim"), "cyd": record(remote_user_id="@cyd:sim")}
    found = standings(target, Applied(members=members), observed(), Policy())
    assert [standing.person_id for standing in found] == ["ada", "bob", "cyd", "dan"]


@pytest.mark.parametrize(
    ("membership", "inside"), [("join", True), ("invite", True), ("leave", False), ("ban", False)]
)
def test_inside_are_those_who_joined_or_were_invited(membership: str, inside: bool) -> None:
    room = observed(members={"@ada:sim": ObservedMember(membership)})
    assert is_inside(room, "@ada:sim") is inside
    assert not is_inside(room, "@nobody:sim")


# Details.


def wanted(**more: Any) -> Target:
    return Target(replace(ROOM, **more), ())


LAST = Applied("Algebra", "Numbers", "d0", "mxc://0", read_only=False)
SHOWN = observed(picture_uri="mxc://0")


def test_what_is_about_to_be_written_is_recorded_as_intended() -> None:
    target = wanted(name="Geometry", topic="Shapes", picture=PICTURE, read_only=True)
    found = details(target, LAST, SHOWN, Policy())
    # The picture's URI is known, and recorded, once it is uploaded.
    assert found.record == replace(
        LAST, intended=Intended("Geometry", "Shapes", read_only=True)
    )  # fmt: skip
    assert (found.read_only, found.kept) == (True, ())


def test_what_arrived_is_recorded_as_applied() -> None:
    coming = Intended("Geometry", "Shapes", "d1", "mxc://1", True)
    room = observed(name="Geometry", topic="Shapes", picture_uri="mxc://1", read_only=True)
    found = details(wanted(name="New", topic="New"), replace(LAST, intended=coming), room, Policy())
    assert found.record == Applied(
        "Geometry", "Shapes", "d1", "mxc://1", {}, True, Intended("New", "New", "", "", False)
    )
    assert SetPicture(None) in found.actions
    assert found.read_only is False


def test_what_equals_the_course_is_recorded_as_applied() -> None:
    room = observed(picture_uri=None, read_only=True)
    found = details(wanted(read_only=True), Applied("x", "y"), room, Policy())
    assert found.record == Applied("Algebra", "Numbers", read_only=True)
    assert found.actions == ()


def test_what_was_set_by_hand_leaves_the_record_as_it_was() -> None:
    hand = observed(name="H", topic="H", picture_uri="mxc://h", read_only=True)
    found = details(wanted(name="Geometry", picture=PICTURE), LAST, hand, Policy())
    assert found.record == LAST
    assert (found.actions, found.read_only) == ((), None)
    assert found.kept == (
        "The name was set by hand.",
        "The topic was set by hand.",
        "The picture was set by hand.",
        "Who may write was set by hand.",
    )
    over = details(wanted(picture=PICTURE), LAST, hand, Policy(respect_hand_changes=False))
    assert (over.kept, len(over.actions), over.read_only) == ((), 3, False)
    assert over.record == replace(
        LAST, intended=Intended("Algebra", "Numbers", read_only=False)
    )  # fmt: skip


def test_a_picture_that_arrived_is_recorded_though_nothing_is_to_be_done() -> None:
    coming = replace(LAST, intended=Intended(picture_digest="d1", picture_uri="mxc://1"))
    found = details(
        wanted(picture=PICTURE), coming, observed(picture_uri="mxc://1"), Policy()
    )  # fmt: skip
    assert found.actions == ()
    assert (found.record.picture_digest, found.record.picture_uri) == ("d1", "mxc://1")


def test_an_uploaded_picture_is_not_uploaded_again() -> None:
    same = Picture("d0", "image/png", lambda: b"")
    by_hand = observed(picture_uri="mxc://h")
    found = details(wanted(picture=same), LAST, by_hand, Policy(respect_hand_changes=False))
    assert found.actions == (SetPicture(same, "mxc://0"),)
    assert found.record.intended == Intended(picture_digest="d0", picture_uri="mxc://0")
    coming = replace(LAST, intended=Intended(picture_digest="d1", picture_uri="mxc://1"))
    found = details(wanted(picture=PICTURE), coming, SHOWN, Policy())
    assert found.actions == (SetPicture(PICTURE, "mxc://1"),)
    assert (found.record.picture_digest, found.record.picture_uri) == ("d0", "mxc://0")


def test_a_picture_being_cleared_is_ours_when_it_is_gone() -> None:
    clearing = replace(LAST, intended=Intended(picture_digest="", picture_uri=""))
    found = details(wanted(picture=PICTURE), clearing, observed(), Policy())
    assert found.actions == (SetPicture(PICTURE),)
    assert (found.record.picture_digest, found.record.picture_uri) == (None, None)


def test_a_picture_whose_address_is_not_known_is_set_again() -> None:
    found = details(wanted(picture=PICTURE), Applied("Algebra", "Numbers", "d1"), SHOWN, Policy())
    assert found.kept == ("The picture was set by hand.",)
    found = details(
        wanted(picture=PICTURE), Applied("Algebra", "Numbers", "d1"), observed(), Policy()
    )
    assert found.actions == (SetPicture(PICTURE),)


def test_a_room_about_to_be_made_may_have_been_made_with_what_was_intended_before() -> None:
    coming = replace(LAST, intended=Intended("Old", "Old topic"))
    found = details(wanted(read_only=True, picture=PICTURE), coming, None, Policy())
    assert found.record == Applied(
        "Old", "Old topic", read_only=False, intended=Intended("Algebra", "Numbers", read_only=True)
    )
    assert (found.actions, found.read_only) == ((SetPicture(PICTURE),), True)
    again = details(wanted(), replace(LAST, read_only=True), None, Policy())
    assert again.record.read_only is False
    assert (again.record.name, again.record.topic) == ("Algebra", "Numbers")
    assert again.record.intended == Intended("Algebra", "Numbers", read_only=False)
    assert (again.actions, again.read_only) == ((), None)


# Actions in full.


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
        EnsureAccount("ada", "@ada:sim", "Ada", "sso-1", known=False, make=False, rename=False),
        Join("ada", "@ada:sim", "Ada", moderator=True, room_name="Algebra"),
        EnsureAccount("bob", "@bob:sim", "Bob", known=True),
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
