"""Room state as a homeserver sends it becomes an observed room; and back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commweb.providers.matrix.rooms import (
    NewRoomRules,
    birthmark,
    creation_content,
    creators_are_unlisted,
    observed,
)
from commweb.providers.rooms import CreateRoom, Join, ObservedMember, ObservedRoom

RECORDED = Path(__file__).parent / "recorded"
BOT = "@admin:localhost"
KEY = "00112233445566778899aabbccddeeff"


def recorded() -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = json.loads((RECORDED / "room_version_12.json").read_text())[
        "state"
    ]
    return events


def event(kind: str, content: Any, key: str = "", sender: str = BOT) -> dict[str, Any]:
    return {"type": kind, "state_key": key, "sender": sender, "content": content}


def old_room(levels: dict[str, Any] | None = None, version: str = "11") -> list[dict[str, Any]]:
    events = [
        event("m.room.create", {"room_version": version}),
        event("m.room.member", {"membership": "join"}, BOT),
    ]
    return events + ([event("m.room.power_levels", levels)] if levels is not None else [])


def changed(events: list[dict[str, Any]], *more: dict[str, Any]) -> list[dict[str, Any]]:
    names = {(one["type"], one["state_key"]) for one in more}
    return [one for one in events if (one["type"], one["state_key"]) not in names] + list(more)


def test_a_recorded_room_is_read() -> None:
    room = observed("!room", recorded(), BOT)
    assert room is not None
    assert (room.remote_id, room.name, room.topic, room.picture_uri) == ("!room", "N", "T", None)
    assert room.members == {
        BOT: ObservedMember("join", by=BOT),
        "@student1:localhost": ObservedMember("leave", by=BOT),
        "@never:localhost": ObservedMember("leave", by=BOT),
    }
    assert room.levels == {"@teacher1:localhost": 50}
    assert (room.default_level, room.creators) == (0, frozenset({BOT}))
    assert (room.own_id, room.own_in_room, room.own_can_manage) == (BOT, True, True)
    assert (room.read_only, room.replaced_by) == (False, None)


def test_no_state_is_no_room() -> None:
    assert observed("!room", [], BOT) is None


def test_somebody_who_left_by_himself_is_told_from_somebody_who_was_removed() -> None:
    left = event("m.room.member", {"membership": "leave"}, "@a:hs", sender="@a:hs")
    removed = event("m.room.member", {"membership": "leave"}, "@b:hs", sender=BOT)
    banned = event("m.room.member", {"membership": "ban"}, "@c:hs", sender="@c:hs")
    room = observed("!room", changed(recorded(), left, removed, banned), BOT)
    assert room is not None
    assert room.members["@a:hs"] == ObservedMember("leave", by_self=True, by="@a:hs")
    assert room.members["@b:hs"] == ObservedMember("leave", by_self=False, by=BOT)
    assert room.members["@c:hs"] == ObservedMember("ban", by_self=False, by="@c:hs")


@pytest.mark.parametrize(
    ("levels", "can_manage"),
    [
        ({"users": {BOT: 100}}, True),
        ({"users": {BOT: 50}}, True),
        ({"users": {BOT: 49}}, False),
        ({"users": {}}, False),
        ({"users": {}, "users_default": 100}, True),
        ({"users": {BOT: 50}, "events": {"m.room.power_levels": 100}}, False),
        ({"users": {BOT: 50}, "events": {"m.room.name": 60}}, False),
        ({"users": {BOT: 50}, "kick": 60}, False),
        ({"users": {BOT: "100"}}, True),
        (None, True),
    ],
)
def test_below_version_12_the_own_level_decides_what_may_be_done(
    levels: dict[str, Any] | None, can_manage: bool
) -> None:
    room = observed("!room", old_room(levels), BOT)
    assert room is not None
    assert room.own_can_manage is can_manage
    assert room.creators == frozenset()


def test_from_version_12_creators_have_power_without_being_listed() -> None:
    create = {"room_version": "12", "additional_creators": ["@b:hs", 5]}
    events = changed(recorded(), event("m.room.create", create, sender="@a:hs"))
    room = observed("!room", events, "@b:hs")
    assert room is not None
    assert room.creators == frozenset({"@a:hs", "@b:hs"})
    assert (room.own_can_manage, room.own_in_room) == (True, False)


@pytest.mark.parametrize(
    ("version", "unlisted"),
    [
        ("1", False),
        ("11", False),
        ("12", True),
        ("13", True),
        ("org.matrix.hydra.11", True),
        ("\u00b2", False),
        ("9" * 5000, False),
    ],
)
def test_the_version_tells_whether_creators_are_listed(version: str, unlisted: bool) -> None:
    assert creators_are_unlisted(version) is unlisted


@pytest.mark.parametrize(
    ("levels", "read_only"),
    [
        ({"events_default": 0}, False),
        ({"events_default": 50}, True),
        ({"events_default": 50, "users_default": 50}, False),
        ({}, False),
    ],
)
def test_a_room_is_read_only_when_messages_need_more_than_everybody_has(
    levels: dict[str, Any], read_only: bool
) -> None:
    room = observed("!room", old_room(levels), BOT)
    assert room is not None
    assert room.read_only is read_only


@pytest.mark.parametrize(
    ("rule", "sender", "is_ours"),
    [("public", BOT, True), ("invite", BOT, False), ("public", "@ada:localhost", False)],
)
def test_a_door_is_ours_to_close_only_if_we_opened_it(
    rule: str, sender: str, is_ours: bool
) -> None:
    rules = event("m.room.join_rules", {"join_rule": rule}, sender=sender)
    room = observed("!room", changed(recorded(), rules), BOT)
    assert room is not None
    assert room.open_door is is_ours


def test_who_may_join_and_read_is_told_with_who_set_it() -> None:
    ada = "@ada:localhost"
    rules = event("m.room.join_rules", {"join_rule": "knock"}, sender=ada)
    history = event("m.room.history_visibility", {"history_visibility": "joined"}, sender=BOT)
    room = observed("!room", changed(recorded(), rules, history), BOT)
    assert room is not None
    assert (room.join_rule, room.join_rule_by) == ("knock", ada)
    assert (room.history_visibility, room.history_by) == ("joined", BOT)


def seen_of(*more: dict[str, Any]) -> ObservedRoom:
    room = observed("!room", changed(recorded(), *more), BOT)
    assert room is not None
    return room


def test_what_the_first_event_says_is_read() -> None:
    create = {
        "room_version": "12",
        "org.commweb.creation_key": KEY,
        "org.commweb.origin": {"instance": "i", "course": "42", "group": "", "odd": 5},
        "predecessor": {"room_id": "!old"},
    }
    room = seen_of(event("m.room.create", create, sender="@a:hs"))
    assert (room.creator, room.creation_key, room.predecessor) == ("@a:hs", KEY, "!old")
    assert room.origin == {"instance": "i", "course": "42", "group": ""}


def test_who_set_the_own_membership_and_who_named_the_replacement_are_read() -> None:
    room = seen_of(
        event("m.room.member", {"membership": "ban"}, BOT, sender="@prof:hs"),
        event("m.room.tombstone", {"replacement_room": "!new"}, sender="@prof:hs"),
    )
    assert (room.own_membership, room.own_membership_by) == ("ban", "@prof:hs")
    assert (room.own_in_room, room.replaced_by, room.replaced_by_sender) == (
        False,
        "!new",
        "@prof:hs",
    )


def test_an_account_that_never_was_in_the_room_has_no_membership() -> None:
    room = observed("!room", recorded(), "@somebody:hs")
    assert room is not None
    assert (room.own_membership, room.own_membership_by, room.own_in_room) == ("", "", False)


def test_levels_rule_and_history_are_read() -> None:
    room = seen_of(
        event("m.room.power_levels", {"events_default": 25, "users_default": 10, "invite": 40}),
        event("m.room.join_rules", {"join_rule": "knock"}),
        event("m.room.history_visibility", {"history_visibility": "world_readable"}),
    )
    assert (room.message_level, room.default_level, room.invite_level) == (25, 10, 40)
    assert room.read_only
    assert (room.join_rule, room.history_visibility) == ("knock", "world_readable")


def test_a_room_that_says_nothing_has_what_the_specification_says() -> None:
    room = observed("!room", old_room({}), BOT)
    assert room is not None
    assert (room.message_level, room.default_level, room.invite_level) == (0, 0, 0)
    assert (room.join_rule, room.history_visibility) == ("invite", "shared")
    assert (room.creation_key, dict(room.origin), room.predecessor) == ("", {}, None)
    assert (room.replaced_by, room.replaced_by_sender) == (None, None)


@pytest.mark.parametrize("odd", [5, True, None, [], {"room_id": 5}, "", "new", "!" + "x" * 300])
def test_odd_values_in_a_room_are_read_as_missing(odd: Any) -> None:
    create = {
        "room_version": "12",
        "predecessor": {"room_id": odd},
        "org.commweb.origin": odd,
        "org.commweb.creation_key": odd if not isinstance(odd, str) else 5,
    }
    room = seen_of(
        event("m.room.create", create),
        event("m.room.tombstone", {"replacement_room": odd}),
        event("m.room.join_rules", {"join_rule": odd}),
        event("m.room.history_visibility", {"history_visibility": odd}),
        event("m.room.member", {"membership": odd}, "@ada:hs"),
    )
    assert (room.predecessor, room.creation_key, room.replaced_by) == (None, "", None)
    assert all(isinstance(value, str) for value in room.origin.values())
    assert (room.join_rule, room.history_visibility) == ("invite", "shared")
    assert room.members["@ada:hs"].membership == ""


def test_picture_and_replacement_are_read() -> None:
    events = changed(
        recorded(),
        event("m.room.avatar", {"url": "mxc://hs/1"}),
        event("m.room.tombstone", {"replacement_room": "!new"}),
    )
    room = observed("!room", events, BOT)
    assert room is not None
    assert (room.picture_uri, room.replaced_by) == ("mxc://hs/1", "!new")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)
KINDS = st.sampled_from(
    [
        "m.room.create",
        "m.room.member",
        "m.room.power_levels",
        "m.room.name",
        "m.room.avatar",
        "m.room.tombstone",
        "m.room.join_rules",
        "m.room.history_visibility",
    ]
)
KEYS = (
    "users users_default events_default invite kick events predecessor replacement_room "
    "membership org.commweb.origin"
)
CONTENTS = JSON | st.fixed_dictionaries(dict.fromkeys(KEYS.split(), JSON))


@given(
    st.lists(
        st.fixed_dictionaries(
            {"type": KINDS, "state_key": st.text(max_size=3), "content": CONTENTS, "sender": JSON}
        ),
        max_size=6,
    )
)
def test_no_state_whatever_breaks_the_reader(events: list[dict[str, Any]]) -> None:
    room = observed("!room", events, BOT)
    assert (room is None) == (not events)
    birthmark(events, BOT)


def test_a_finished_room_of_ours_is_known_by_its_key() -> None:
    mark = birthmark(recorded(), BOT)
    assert (mark.sender, mark.creation_key, mark.complete) == (BOT, KEY, True)
    assert mark.age_seconds is not None


@pytest.mark.parametrize(
    "kinds", [(), ("m.room.create",), ("m.room.create", "m.room.member")], ids=len
)
def test_a_half_made_room_is_not_complete(kinds: tuple[str, ...]) -> None:
    events = [one for one in recorded() if one["type"] in kinds]
    mark = birthmark(events, BOT)
    assert not mark.complete
    assert (mark.creation_key == KEY) is bool(kinds)


def create(**changes: Any) -> CreateRoom:
    values: dict[str, Any] = {
        "name": "Algebra",
        "topic": "Rings",
        "slug": "algebra",
        "creation_key": KEY,
        "creation_started_at_seconds": None,
        "levels": {"@teacher1:hs": 50, BOT: 50},
        "picture": None,
        "origin": {"instance": "i", "course": "42", "group": ""},
    }
    return CreateRoom(**{**values, **changes})


def content_for(version: str, **changes: Any) -> dict[str, Any]:
    values: dict[str, Any] = {"rules": NewRoomRules(), "picture_uri": None, **changes}
    asked = ("open_door", "invited", "levels", "default_level")
    mine = {key: values.pop(key) for key in asked if key in values}
    action = create(**mine)
    return creation_content(
        action, alias_name="algebra-aaisem2e", own_id=BOT, room_version=version, **values
    )


def state_of(content: dict[str, Any]) -> dict[str, Any]:
    return {one["type"]: one["content"] for one in content["initial_state"]}


def test_a_room_is_made_private_local_unencrypted_with_shared_history() -> None:
    content = content_for("12", picture_uri="mxc://hs/1")
    assert content["preset"] == "private_chat"
    assert content["visibility"] == "private"
    assert content["creation_content"] == {
        "m.federate": False,
        "org.commweb.creation_key": KEY,
        "org.commweb.origin": {"instance": "i", "course": "42", "group": ""},
    }
    state = state_of(content)
    assert state["m.room.history_visibility"] == {"history_visibility": "shared"}
    assert state["m.room.canonical_alias"] == {}
    assert state["m.room.avatar"] == {"url": "mxc://hs/1"}
    assert "m.room.encryption" not in state
    assert "m.room.join_rules" not in state


def test_a_room_with_an_open_door_is_in_no_list() -> None:
    content = content_for("12", open_door=True)
    assert content["visibility"] == "private"
    assert state_of(content)["m.room.join_rules"] == {"join_rule": "public"}


def test_people_are_invited_with_the_room_but_not_the_acting_account() -> None:
    people = (Join("1", "@ada:hs", "Ada"), Join("2", BOT, "Bot"))
    content = content_for("12", invited=people)
    assert [one for one in content["initial_state"] if one["type"] == "m.room.member"] == [
        {
            "type": "m.room.member",
            "state_key": "@ada:hs",
            "content": {"membership": "invite", "displayname": "Ada"},
        }
    ]


def test_the_settings_decide_what_cannot_be_changed_later() -> None:
    rules = NewRoomRules(federate=True, encrypt=True, history_visibility="joined")
    content = content_for("12", rules=rules)
    state = state_of(content)
    assert content["creation_content"]["m.federate"] is True
    assert state["m.room.encryption"] == {"algorithm": "m.megolm.v1.aes-sha2"}
    assert state["m.room.history_visibility"] == {"history_visibility": "joined"}


def test_the_acting_account_is_listed_only_where_creators_are() -> None:
    new = content_for("12")["power_level_content_override"]
    old = content_for("11")["power_level_content_override"]
    assert new["users"] == {"@teacher1:hs": 50}
    assert old["users"] == {"@teacher1:hs": 50, BOT: 100}


@pytest.mark.parametrize(("asked", "expected"), [(50, 50), (0, 0), (1000, 100)])
def test_the_preset_lets_any_member_invite_and_the_rules_do_not(asked: int, expected: int) -> None:
    content = content_for("11", rules=NewRoomRules(invite_level=asked))
    levels = content["power_level_content_override"]
    assert levels == {"users": {"@teacher1:hs": 50, BOT: 100}, "invite": expected}


def test_who_has_everybodys_level_is_not_listed() -> None:
    people = {"@ada:hs": 10, "@bob:hs": 0, "@teacher1:hs": 50}
    levels = content_for("12", levels=people, default_level=10)["power_level_content_override"]
    assert levels["users_default"] == 10
    assert levels["users"] == {"@bob:hs": 0, "@teacher1:hs": 50}


@pytest.mark.parametrize("level", [10, 50])
def test_a_room_for_thousands_is_asked_for_in_what_one_event_holds(level: int) -> None:
    people = {f"@student-{number:05}:school.example": level for number in range(3000)}
    teachers = {"@teacher1:hs": 60}
    content = content_for("11", levels=people | teachers)["power_level_content_override"]
    assert len(json.dumps(content)) < 65_536
    assert (content["users"]["@teacher1:hs"], content["users"][BOT]) == (60, 100)
    if level == 10:
        assert content["users_default"] == 10
        assert len(content["users"]) == 2
    else:
        assert "users_default" not in content, "nobody who joins becomes a moderator by that"
        assert len(content["users"]) > 1000
