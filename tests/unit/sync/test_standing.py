"""What is recorded of people before anything is done, and after.

The plan's sentences are in the case files; here is what an interrupted run can rely on.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from commweb.providers.rooms import ObservedMember
from commweb.sync.known import Applied, Policy, Target
from commweb.sync.standing import Stray, is_inside, standings, strays
from tests.unit.sync.given import OWN, ROOM, observed, one, record, seat


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


def test_a_moving_person_comes_in_with_the_new_account_before_the_old_one_goes() -> None:
    wanted = seat(level=50, account_id="@new:sim")
    room = observed(inside=["ada"], levels={"@ada:sim": 0})
    standing = one(wanted, record("in", 0, reason="why"), room)
    assert standing.before == record("adding", None, remote_user_id="@new:sim", intended_level=50)
    assert (standing.after, standing.remove, standing.join) == (None, None, True)
    applied = Applied(members={"ada": record("in", 0)})
    assert strays(Target(ROOM, (wanted,)), applied, room) == (Stray("ada", "@ada:sim", after=True),)


def test_an_account_that_is_somebody_elses_goes_whatever_becomes_of_the_new_one() -> None:
    target = Target(ROOM, (seat(account_id="@new:sim"),), foreign=frozenset({"@ada:sim"}))
    applied = Applied(members={"ada": record("in", 0)})
    found = strays(target, applied, observed(inside=["ada"]))
    assert found == (Stray("ada", "@ada:sim", after=False),)


def test_every_account_that_was_ever_put_in_goes_when_nobody_uses_it() -> None:
    applied = Applied(past={"@first:sim": "ada", "@ada:sim": "ada", "@bob:sim": "bob"})
    room = observed(inside=["first", "ada", "bob", "guest"])
    found = strays(Target(ROOM, (seat(),)), applied, room)
    assert found == (
        Stray("bob", "@bob:sim", after=False),
        Stray("ada", "@first:sim", after=True),
    )


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
def test_the_acting_account_is_nobodys(own_level: int) -> None:
    room = observed(creators=frozenset(), levels={OWN: own_level})
    wanted = replace(seat(level=50), remote_user_id=OWN)
    standing = one(wanted, record("left", 50, remote_user_id=OWN), room)
    assert (standing.before.remote_user_id, standing.before.state) == (None, "waiting")
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
    assert (
        standing.before.reason
        == "Cannot be changed: their power level is as high as the site’s account."
    )


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


def test_somebody_removed_who_is_inside_again_is_removed_again() -> None:
    room = observed(inside=["ada"], levels={"@ada:sim": 70})
    back = one(None, record("removed", None), room)
    assert (dict(back.levels), back.remove) == ({}, "@ada:sim")
    over = one(None, record("removed", None), room, respect_hand_changes=False)
    assert (dict(over.levels), over.remove) == ({"@ada:sim": None}, "@ada:sim")


def test_somebody_taken_out_by_a_moderator_stays_out_until_a_person_adds_them_back() -> None:
    room = observed(members={"@ada:sim": ObservedMember("leave", by="@prof:sim")})
    kicked = one(seat(), record("in"), room)
    assert (kicked.before.state, kicked.join) == ("kicked", False)
    still = one(seat(), record("kicked"), room)
    assert (still.before.state, still.join) == ("kicked", False)
    ours = observed(members={"@ada:sim": ObservedMember("leave", by=OWN)})
    assert one(seat(), record("in"), ours).join


def test_what_was_decided_in_the_chat_outlasts_a_room_that_is_only_closed() -> None:
    room = observed(members={"@ada:sim": ObservedMember("leave", by_self=True)})
    applied = Applied(members={"ada": record("left")})
    (closed,) = standings(None, applied, room, Policy())
    assert closed.final.state == "left"
    assert one(None, record("left"), room).final.state == "removed", "unenrolled: added anew later"


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


def test_somebody_enrolled_again_starts_anew() -> None:
    # A level of a room that is gone may still be recorded.
    standing = one(seat(level=50), record("removed", 70), observed())
    assert dict(standing.levels) == {"@ada:sim": 50}


def test_a_level_of_the_old_account_is_not_recorded_for_the_new_one() -> None:
    room = observed(levels={"@new:sim": 70})
    standing = one(seat(account_id="@new:sim"), record("in", 50), room)
    assert (dict(standing.levels), standing.before.applied_level) == ({}, None)


@pytest.mark.parametrize("inside", [(), ("guest",)])
@pytest.mark.parametrize("state", ["in", "banned", "removed"])
def test_a_ban_of_one_account_keeps_its_person_out_with_any_other(
    state: str, inside: tuple[str, ...]
) -> None:
    banned = {"@ada:sim": ObservedMember("ban", by="@teacher:sim")}
    room = observed(inside=inside, members=banned)
    standing = one(seat(level=50, account_id="@new:sim"), record(state), room)
    assert (standing.before.state, standing.join) == ("banned", False)
    assert standing.before.reason == "Banned in the chat by a moderator."
    assert not standing.levels


def test_a_ban_of_an_account_from_long_ago_keeps_its_person_out() -> None:
    applied = Applied(
        members={"ada": record("in", remote_user_id="@second:sim")}, past={"@ada:sim": "ada"}
    )
    room = observed(members={"@ada:sim": ObservedMember("ban", by="@teacher:sim")})
    wanted = seat(account_id="@third:sim")
    (standing,) = standings(Target(ROOM, (wanted,)), applied, room, Policy())
    assert (standing.before.state, standing.join) == ("banned", False)


@pytest.mark.parametrize("state", ["in", "kicked"])
def test_who_was_removed_in_the_chat_is_not_put_in_with_another_account(state: str) -> None:
    room = observed(members={"@ada:sim": ObservedMember("leave", by="@teacher:sim")})
    standing = one(seat(account_id="@new:sim"), record(state), room)
    assert (standing.before.state, standing.join) == ("kicked", False)


def test_who_is_brought_back_by_a_teacher_comes_in_with_another_account() -> None:
    room = observed(members={"@ada:sim": ObservedMember("leave", by="@teacher:sim")})
    standing = one(seat(account_id="@new:sim"), record("adding"), room)
    assert (standing.before.state, standing.join) == ("adding", True)


def test_a_ban_of_somebody_elses_account_keeps_nobody_else_out() -> None:
    members = {"ada": record("in")}
    room = observed(members={"@ada:sim": ObservedMember("ban", by="@teacher:sim")})
    mine, theirs = seat(account_id="@new:sim"), seat("bob", account_id="@ada:sim")
    people = standings(Target(ROOM, (mine, theirs)), Applied(members=members), room, Policy())
    assert {one.person_id: one.before.state for one in people} == {"ada": "adding", "bob": "banned"}
    proven = Target(ROOM, (mine,), foreign=frozenset({"@ada:sim"}))
    (standing,) = standings(proven, Applied(members=members), room, Policy())
    assert (standing.before.state, standing.join) == ("adding", True)


def test_a_moderator_lets_somebody_in_with_another_account_than_the_banned_one() -> None:
    banned = {"@ada:sim": ObservedMember("ban", by="@teacher:sim")}
    room = observed(inside=["new"], members=banned)
    assert one(seat(account_id="@new:sim"), record("banned"), room).before.state == "in"
