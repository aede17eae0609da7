"""What every `Backend` does, simulated or real: the engine and its tests rely on this."""

from __future__ import annotations

import secrets
import threading
import time
from dataclasses import replace
from typing import Any

import pytest

from commweb.errors import ProviderError, Refused, RoomGone, RoomUnsettled, UserLimitReached
from commweb.providers.rooms import (
    CloseDoor,
    CreateRoom,
    DeleteRoom,
    EnsureAccount,
    Join,
    ObservedRoom,
    Picture,
    Remove,
    RepairPower,
    RoomRef,
    SetLevels,
    SetName,
    SetPicture,
    SetTopic,
)
from commweb.sync.plan import follows
from tests.contract.worlds import World

PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c489"
    "0000000d49444154789c6360606060000000050001a5f645400000000049454e44ae426082"
)
PICTURE = Picture("digest", "image/png", lambda: PNG)


def creation(**changes: Any) -> CreateRoom:
    values: dict[str, Any] = {
        "name": "Algebra",
        "topic": "Numbers",
        "slug": "algebra",
        "creation_key": secrets.token_hex(16),
        "creation_started_at_seconds": None,
        "levels": {},
        "picture": None,
        "origin": {"instance": "default", "course": "1", "group": ""},
    }
    return CreateRoom(**{**values, **changes})


def ref_to(action: CreateRoom, remote_id: str | None = None) -> RoomRef:
    return RoomRef("1", "", action.creation_key, remote_id)


def make_room(world: World, **changes: Any) -> RoomRef:
    action = creation(**changes)
    return ref_to(action, world.backend.create(ref_to(action), action))


def id_of(room: RoomRef) -> str:
    assert room.remote_id is not None
    return room.remote_id


def make_person(world: World, name: str) -> str:
    """Somebody with an account that no other test has."""
    remote = world.backend.identify(f"{name}-{secrets.token_hex(4)}", frozenset())
    facts = world.backend.ensure_account(EnsureAccount(name, remote, name.title()))
    assert facts.usable, facts.reason
    return remote


def join(world: World, room: RoomRef, remote: str, **more: Any) -> None:
    world.backend.join(room, Join("1", remote, "Somebody", **more))


def member_of(world: World, name: str, room: RoomRef) -> str:
    remote = make_person(world, name)
    join(world, room, remote)
    return remote


def look(world: World, room: RoomRef) -> ObservedRoom:
    seen = world.backend.observe(room)
    assert seen is not None
    return seen


def membership(world: World, room: RoomRef, remote: str) -> tuple[str, bool]:
    seen = look(world, room).members[remote]
    return seen.membership, seen.by_self


def delete_until_gone(world: World, room: RoomRef) -> None:
    pause = threading.Event()
    delete_id = world.backend.delete(room, DeleteRoom())
    while delete_id is not None:
        pause.wait(0.1)
        delete_id = world.backend.delete(room, DeleteRoom(delete_id))


def course_levels(world: World, room: RoomRef) -> dict[str, int]:
    """The listed levels, but for the acting account's own in older rooms."""
    levels = dict(look(world, room).levels)
    levels.pop(world.own_id, None)
    return levels


def test_a_room_is_made_as_asked_for(world: World) -> None:
    ada = make_person(world, "ada")
    room = make_room(world, levels={ada: 50})
    seen = look(world, room)
    assert (seen.remote_id, seen.name, seen.topic) == (room.remote_id, "Algebra", "Numbers")
    assert (seen.picture_uri, seen.read_only, seen.replaced_by) == (None, False, None)
    assert (seen.own_id, seen.own_in_room, seen.own_can_manage) == (world.own_id, True, True)
    assert {key for key, one in seen.members.items() if one.membership == "join"} == {world.own_id}
    assert (course_levels(world, room), seen.default_level) == ({ada: 50}, 0)


def test_a_room_made_with_its_door_open_is_filled_and_closed(world: World) -> None:
    room = make_room(world, open_door=True)
    ada = member_of(world, "ada", room)
    assert look(world, room).open_door
    for _time in range(2):
        world.backend.close_door(room, CloseDoor())
    assert not look(world, room).open_door
    bob = member_of(world, "bob", room)
    assert {membership(world, room, one)[0] for one in (ada, bob)} == {"join"}


def test_who_is_invited_with_the_room_is_put_in_by_a_join(world: World) -> None:
    people = [make_person(world, name) for name in ("ada", "bob")]
    room = make_room(
        world, invited=tuple(Join(one, one, "Somebody") for one in (*people, world.own_id))
    )
    assert [membership(world, room, one)[0] for one in people] == ["invite", "invite"]
    for one in people:
        join(world, room, one)
    seen = look(world, room)
    assert {key: one.membership for key, one in seen.members.items()} == dict.fromkeys(
        (*people, world.own_id), "join"
    )
    assert (seen.own_in_room, seen.own_can_manage) == (True, True)


def test_an_invitation_that_came_with_the_room_is_taken_back(world: World) -> None:
    ada = make_person(world, "ada")
    room = make_room(world, invited=(Join("1", ada, "Ada"),))
    world.backend.remove(room, Remove("1", ada, "Ada"))
    assert membership(world, room, ada) == ("leave", False)


def test_the_acting_account_has_power_by_creation_or_by_its_level(world: World) -> None:
    seen = look(world, make_room(world, levels={world.own_id: 50}))
    if world.own_id in seen.creators:
        assert world.own_id not in seen.levels
    else:
        assert seen.levels[world.own_id] == 100


def test_the_same_key_gives_the_same_room(world: World) -> None:
    action = creation()
    first = world.backend.create(ref_to(action), action)
    assert world.backend.create(ref_to(action), action) == first
    assert make_room(world).remote_id != first


def test_a_room_whose_creation_got_no_reply_is_found(world: World) -> None:
    action = creation()
    assert world.backend.find(ref_to(action), action.slug, 1.0) is None
    made = world.backend.create(ref_to(action), action)
    found = world.backend.find(ref_to(action), action.slug, 1.0)
    assert found is not None
    assert (found.remote_id, found.complete) == (made, True)


def test_a_room_that_never_was_is_gone(world: World) -> None:
    assert world.backend.observe(RoomRef("1", "", "key", "!never-was")) is None


def test_names_become_accounts_that_nobody_has(world: World) -> None:
    first = world.backend.identify("Ada", frozenset())
    assert world.backend.identify("Ada", frozenset()) == first
    assert world.backend.identify("Ada", frozenset({first})) != first


def test_an_account_is_made_once(world: World) -> None:
    remote = make_person(world, "ada")
    for known in (False, True):
        action = EnsureAccount("1", remote, "Ada", known=known, theirs=True)
        facts = world.backend.ensure_account(action)
        assert (facts.remote_user_id, facts.usable, facts.reason) == (remote, True, None)
        assert (facts.existed, facts.made) == (True, False)


def test_an_account_that_is_there_is_theirs_for_a_reason_only(world: World) -> None:
    remote = make_person(world, "ada")
    facts = world.backend.ensure_account(EnsureAccount("2", remote, "Eve"))
    assert (facts.usable, facts.origin, facts.existed) == (False, "named", True)
    facts = world.backend.ensure_account(EnsureAccount("2", remote, "Eve", trust_names=True))
    assert (facts.usable, facts.origin) == (True, "trusted_name")


def test_an_account_whose_answer_was_lost_is_found_to_be_ours(world: World) -> None:
    wished = time.time()
    remote = make_person(world, "ada")
    action = EnsureAccount("1", remote, "Ada", intended_at_seconds=wished)
    facts = world.backend.ensure_account(action)
    assert (facts.usable, facts.origin) == (True, "created")


def test_people_come_and_go_and_repeating_it_changes_nothing(world: World) -> None:
    room, ada = make_room(world), make_person(world, "ada")
    for _time in range(2):
        join(world, room, ada)
        assert membership(world, room, ada)[0] == "join"
    for _time in range(2):
        world.backend.remove(room, Remove("1", ada, "Ada"))
        assert membership(world, room, ada) == ("leave", False)
    join(world, room, ada)
    assert membership(world, room, ada)[0] == "join"


def test_somebody_who_was_never_in_can_be_removed(world: World) -> None:
    room, ada = make_room(world), make_person(world, "ada")
    world.backend.remove(room, Remove("1", ada, "Ada"))
    assert ada not in look(world, room).members or membership(world, room, ada)[0] == "leave"


def test_somebody_who_left_by_himself_is_told_apart_and_can_be_put_in_again(world: World) -> None:
    room = make_room(world)
    ada = member_of(world, "ada", room)
    world.leave(id_of(room), ada)
    assert membership(world, room, ada) == ("leave", True)
    join(world, room, ada)
    assert membership(world, room, ada)[0] == "join"


def test_somebody_banned_stays_banned(world: World) -> None:
    room = make_room(world)
    ada = member_of(world, "ada", room)
    world.set_membership(id_of(room), ada, "ban")
    with pytest.raises(Refused):
        join(world, room, ada)
    world.backend.remove(room, Remove("1", ada, "Ada"))
    assert membership(world, room, ada)[0] == "ban"
    world.set_membership(id_of(room), ada, "leave")
    assert membership(world, room, ada) == ("leave", False)
    join(world, room, ada)
    assert membership(world, room, ada)[0] == "join"


def test_somebody_without_an_account_cannot_join(world: World) -> None:
    room = make_room(world)
    nobody = world.backend.identify(f"nobody-{secrets.token_hex(4)}", frozenset())
    with pytest.raises(Refused) as caught:
        join(world, room, nobody)
    assert (caught.value.status, caught.value.errcode) == (404, "M_NOT_FOUND")


def test_a_suspended_account_keeps_its_own_person_out(world: World) -> None:
    room, ada, bob = make_room(world), make_person(world, "ada"), make_person(world, "bob")
    world.suspend(ada)
    with pytest.raises(Refused) as caught:
        join(world, room, ada)
    assert not isinstance(caught.value, UserLimitReached)
    assert membership(world, room, ada)[0] != "join"
    join(world, room, bob)


def test_a_deactivated_account_that_left_is_told_from_a_person_who_did(world: World) -> None:
    room = make_room(world)
    ada, bob = member_of(world, "ada", room), member_of(world, "bob", room)
    world.deactivate(ada)
    world.leave(id_of(room), bob)
    pause = threading.Event()
    while membership(world, room, ada)[0] == "join":  # the server lets it leave in its own time
        pause.wait(0.1)
    assert membership(world, room, ada) == membership(world, room, bob) == ("leave", True)
    asked = EnsureAccount("1", ada, "Ada", known=True, make=False, theirs=True)
    gone, here = (
        world.backend.ensure_account(replace(asked, remote_user_id=one)) for one in (ada, bob)
    )
    assert (gone.usable, gone.deactivated) == (False, True)
    assert (here.usable, here.deactivated) == (True, False)


def test_somebody_is_invited_once_and_not_put_in(world: World) -> None:
    room, ada = make_room(world), make_person(world, "ada")
    for _time in range(2):
        join(world, room, ada, by_invitation=True)
        assert membership(world, room, ada)[0] == "invite"
    world.backend.remove(room, Remove("1", ada, "Ada"))
    assert membership(world, room, ada) == ("leave", False)


def test_name_and_topic_change_and_the_topic_clears(world: World) -> None:
    room = make_room(world)
    for _time in range(2):
        world.backend.set_name(room, SetName("Geometry"))
        world.backend.set_topic(room, SetTopic("Shapes"))
    seen = look(world, room)
    assert (seen.name, seen.topic) == ("Geometry", "Shapes")
    world.backend.set_topic(room, SetTopic(""))
    assert look(world, room).topic == ""


def test_a_picture_is_uploaded_shown_and_cleared(world: World) -> None:
    room = make_room(world)
    uri = world.backend.upload(PICTURE)
    for _time in range(2):
        assert world.backend.set_picture(room, SetPicture(PICTURE, uri)) == uri
    assert look(world, room).picture_uri == uri
    assert world.backend.set_picture(room, SetPicture(None)) is None
    assert look(world, room).picture_uri is None


def test_levels_change_in_one_write_and_leave_the_others_alone(world: World) -> None:
    room = make_room(world)
    ada, bob, cyd = (member_of(world, name, room) for name in ("ada", "bob", "cyd"))
    world.set_level(id_of(room), cyd, 70)
    for _time in range(2):
        world.backend.set_levels(room, SetLevels({ada: 50, bob: 50}))
        assert course_levels(world, room) == {ada: 50, bob: 50, cyd: 70}
    for _time in range(2):
        world.backend.set_levels(room, SetLevels({ada: None, bob: 25}))
        assert course_levels(world, room) == {bob: 25, cyd: 70}
    assert look(world, room).own_can_manage


def test_a_room_is_read_only_and_open_again(world: World) -> None:
    room = make_room(world)
    for wanted in (True, True, False, False):
        world.backend.set_levels(room, SetLevels({}, read_only=wanted))
        assert look(world, room).read_only is wanted


def test_a_room_says_for_what_and_by_whom_it_was_made(world: World) -> None:
    action = creation()
    seen = look(world, ref_to(action, world.backend.create(ref_to(action), action)))
    assert (seen.creator, seen.creation_key) == (world.own_id, action.creation_key)
    assert dict(seen.origin) == dict(action.origin)
    assert (seen.predecessor, seen.replaced_by_sender) == (None, None)
    assert (seen.own_membership, seen.message_level, seen.invite_level) == ("join", 0, 50)
    assert (seen.join_rule, seen.history_visibility) == ("invite", "shared")


def test_the_level_for_messages_goes_back_to_what_it_was(world: World) -> None:
    room = make_room(world)
    world.change_levels(id_of(room), events_default=30)
    was = look(world, room).message_level
    assert was == 30
    world.backend.set_levels(room, SetLevels({}, read_only=True, open_level=was))
    assert look(world, room).message_level == 50
    world.backend.set_levels(room, SetLevels({}, read_only=False, open_level=was))
    assert (look(world, room).message_level, look(world, room).read_only) == (30, True)


def test_everybodys_level_is_set_with_the_room_or_later(world: World) -> None:
    ada, bob, cyd = (make_person(world, name) for name in ("ada", "bob", "cyd"))
    room = make_room(world, levels={ada: 10, bob: 50, cyd: 0}, default_level=10)
    assert look(world, room).default_level == 10
    assert course_levels(world, room) == {bob: 50, cyd: 0}
    for _time in range(2):
        world.backend.set_levels(room, SetLevels({cyd: None}, default_level=20))
        assert look(world, room).default_level == 20
        assert course_levels(world, room) == {bob: 50}
    assert look(world, room).own_can_manage


def test_who_may_invite_is_a_level(world: World) -> None:
    room = make_room(world)
    for wanted in (40, 40, 0):
        world.backend.set_levels(room, SetLevels({}, invite_level=wanted))
        assert look(world, room).invite_level == wanted


def many(world: World, count: int, level: int) -> dict[str, int]:
    names = (f"student-with-a-long-name-{number}" for number in range(count))
    return {world.backend.identify(name, frozenset()): level for name in names}


def test_a_room_for_thousands_of_people_has_their_level_as_everybodys(world: World) -> None:
    people, bob = many(world, 2600, 10), make_person(world, "bob")
    room = make_room(world, levels={**people, bob: 50})
    assert look(world, room).default_level == 10
    assert course_levels(world, room) == {bob: 50}
    other = make_room(world, levels={bob: 50})
    world.backend.set_levels(other, SetLevels(people))
    assert look(world, other).default_level == 10
    assert course_levels(world, other) == {bob: 50}


def test_moderators_by_the_thousand_are_refused_and_the_room_is_made(world: World) -> None:
    people = many(world, 2600, 50)
    room = make_room(world, levels=people)
    seen = look(world, room)
    assert seen.default_level == 0
    assert 1000 < len(seen.levels) < 2600
    assert seen.own_can_manage
    with pytest.raises(Refused) as caught:
        world.backend.set_levels(room, SetLevels(people))
    assert (caught.value.status, caught.value.errcode) == (413, "M_TOO_LARGE")
    assert look(world, room).levels == seen.levels


def test_a_level_above_our_own_or_a_listed_creator_is_refused(world: World) -> None:
    room, ada = make_room(world), make_person(world, "ada")
    unwise = world.own_id if world.own_id in look(world, room).creators else ada
    with pytest.raises(Refused):
        world.backend.set_levels(room, SetLevels({unwise: 101}))
    assert course_levels(world, room) == {}


def test_an_acting_account_out_of_its_room_comes_back_on_an_invitation(world: World) -> None:
    room = make_room(world)
    ada = member_of(world, "ada", room)
    world.set_level(id_of(room), ada, 50)
    world.leave_ourselves(id_of(room))
    seen = look(world, room)
    assert not seen.own_in_room
    assert (seen.own_membership, seen.own_membership_by) == ("leave", world.own_id)
    bob = make_person(world, "bob")
    with pytest.raises(RoomUnsettled):
        join(world, room, bob)
    with pytest.raises(RoomUnsettled):
        world.backend.set_name(room, SetName("Geometry"))
    with pytest.raises(Refused):
        world.backend.repair_power(room, RepairPower())
    world.invite_us(id_of(room), ada)
    seen = look(world, room)
    assert (seen.own_membership, seen.own_membership_by) == ("invite", ada)
    world.backend.repair_power(room, RepairPower())
    seen = look(world, room)
    assert (seen.own_in_room, seen.own_can_manage) == (True, True)
    world.backend.set_name(room, SetName("Geometry"))


def test_who_banned_the_acting_account_is_told_and_nothing_changes(world: World) -> None:
    room = make_room(world)
    prof = member_of(world, "prof", room)
    if world.own_id in look(world, room).creators:
        return  # nobody can ban a creator
    world.set_level(id_of(room), prof, 100)
    world.set_level(id_of(room), world.own_id, 50)
    world.ban_us(id_of(room), prof)
    before = look(world, room)
    assert (before.own_membership, before.own_membership_by) == ("ban", prof)
    assert not before.own_in_room
    for _time in range(2):
        with pytest.raises(Refused, match=prof) as caught:
            world.backend.repair_power(room, RepairPower())
        assert caught.value.errcode == "COMMWEB_BANNED"
        with pytest.raises(Refused):
            world.backend.accept_invitation(room)
        world.backend.leave(room)
        with pytest.raises(RoomUnsettled):
            world.backend.set_topic(room, SetTopic("Shapes"))
    assert look(world, room) == before
    world.unban_us(id_of(room), prof)
    world.backend.repair_power(room, RepairPower())
    seen = look(world, room)
    assert (seen.own_in_room, seen.own_can_manage, seen.levels[world.own_id]) == (True, True, 100)


def test_power_taken_in_the_chat_comes_back_from_who_has_it(world: World) -> None:
    room = make_room(world)
    prof = member_of(world, "prof", room)
    world.set_level(id_of(room), prof, 100)
    if world.own_id in look(world, room).creators:
        return  # its power cannot be taken
    world.set_level(id_of(room), world.own_id, 0)
    assert not look(world, room).own_can_manage
    world.backend.repair_power(room, RepairPower())
    assert look(world, room).own_can_manage


def test_an_invitation_is_accepted_where_there_is_one(world: World) -> None:
    ada = make_person(world, "ada")
    room = RoomRef("1", "", "", world.room_of(ada))
    with pytest.raises(Refused):
        world.backend.accept_invitation(room)
    world.backend.leave(room)
    assert world.own_id not in look(world, room).members
    world.invite_us(id_of(room), ada)
    for _time in range(2):
        world.backend.accept_invitation(room)
        seen = look(world, room)
        assert (seen.own_membership, seen.own_can_manage, seen.creator) == ("join", False, ada)
    for _time in range(2):
        world.backend.leave(room)
        assert look(world, room).own_membership == "leave"
    with pytest.raises(Refused):
        world.backend.accept_invitation(room)
    with pytest.raises(RoomGone):
        world.backend.accept_invitation(RoomRef("1", "", "", "!never-was"))
    world.backend.leave(RoomRef("1", "", "", "!never-was"))


def test_a_room_of_somebody_else_is_neither_taken_nor_deleted(world: World) -> None:
    ada = make_person(world, "ada")
    room = RoomRef("1", "", "", world.room_of(ada))
    before = look(world, room)
    for _time in range(2):
        with pytest.raises(Refused):
            world.backend.repair_power(room, RepairPower())
        for action in (DeleteRoom(), DeleteRoom(slug="theirs")):
            with pytest.raises(Refused) as caught:
                world.backend.delete(room, action)
            assert caught.value.errcode == "COMMWEB_NOT_OURS"
    assert look(world, room) == before
    world.invite_us(id_of(room), ada)
    world.backend.repair_power(room, RepairPower())
    seen = look(world, room)
    assert (seen.own_in_room, seen.own_can_manage) == (True, False)
    with pytest.raises(Refused):
        world.backend.repair_power(room, RepairPower())
    assert look(world, room).levels == before.levels


def test_only_a_room_made_for_this_course_is_deleted(world: World) -> None:
    room = make_room(world)
    newer = world.upgrade(id_of(room))
    strange = (RoomRef("2", "", "other", room.remote_id), replace(room, remote_id=newer))
    for ref in strange:
        with pytest.raises(Refused) as caught:
            world.backend.delete(ref, DeleteRoom())
        assert caught.value.errcode == "COMMWEB_NOT_OURS"
        assert world.backend.observe(ref) is not None
    delete_until_gone(world, replace(room, creation_key="a later one"))
    assert world.backend.observe(room) is None


def test_the_rooms_it_created_are_listed_with_what_they_were_made_for(world: World) -> None:
    actions = [creation(name=f"Own {secrets.token_hex(4)}") for _room in range(3)]
    made = {world.backend.create(ref_to(one), one): one for one in actions}
    first, left, known = made
    ada = member_of(world, "ada", ref_to(made[first], first))
    theirs = world.room_of(ada)
    member_of(world, "bob", ref_to(made[left], left))
    world.leave_ourselves(left)
    found = {one.remote_id: one for one in world.backend.own_rooms(frozenset({known}))}
    assert theirs not in found
    assert known not in found
    for remote in (first, left):
        seen, asked = found[remote], made[remote]
        assert (seen.name, seen.creation_key, seen.member_count) == (
            asked.name,
            asked.creation_key,
            1,
        )
        assert dict(seen.origin) == dict(asked.origin)
    assert known in {one.remote_id for one in world.backend.own_rooms()}


def test_a_room_found_by_its_alias_is_complete_though_the_acting_account_is_out(
    world: World,
) -> None:
    action = creation()
    room = ref_to(action, world.backend.create(ref_to(action), action))
    member_of(world, "ada", room)
    world.leave_ourselves(id_of(room))
    found = world.backend.find(room, action.slug, 1.0)
    assert found is not None
    assert (found.remote_id, found.complete) == (room.remote_id, True)


def test_an_upgraded_room_names_the_one_that_replaces_it(world: World) -> None:
    room = make_room(world)
    newer = world.upgrade(id_of(room))
    assert look(world, room).replaced_by == newer
    seen = look(world, RoomRef("1", "", room.creation_key, newer))
    assert (seen.name, seen.replaced_by) == ("Algebra", None)
    assert (seen.predecessor, seen.creator) == (room.remote_id, world.own_id)
    assert (seen.creation_key, dict(seen.origin)) == ("", {}), "an upgrade does not copy it"
    older = look(world, room)
    assert older.replaced_by_sender == world.own_id
    assert follows(seen, older, world.backend.home_of)


def test_a_deleted_room_is_gone(world: World) -> None:
    room = make_room(world)
    ada = member_of(world, "ada", room)
    for _time in range(2):
        delete_until_gone(world, room)
        assert world.backend.observe(room) is None
    with pytest.raises((RoomGone, RoomUnsettled)):  # one of them has the room observed again
        join(world, room, ada)
    with pytest.raises(ProviderError):
        world.backend.set_name(room, SetName("Geometry"))


def test_a_room_everybody_left_is_gone(world: World) -> None:
    room = make_room(world)
    world.leave_ourselves(id_of(room))
    assert world.backend.observe(room) is None
