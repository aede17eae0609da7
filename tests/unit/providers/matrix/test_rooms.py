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
    changed_levels,
    creation_content,
    creators_are_unlisted,
    observed,
)
from commweb.providers.rooms import CreateRoom, Join, ObservedMember

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
        BOT: ObservedMember("join"),
        "@student1:localhost": ObservedMember("leave"),
        "@never:localhost": ObservedMember("leave"),
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
    assert room.members["@a:hs"] == ObservedMember("leave", by_self=True)
    assert room.members["@b:hs"] == ObservedMember("leave", by_self=False)
    assert room.members["@c:hs"] == ObservedMember("ban", by_self=False)


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
    [("1", False), ("11", False), ("12", True), ("13", True), ("org.matrix.hydra.11", True)],
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
    ]
)


@given(
    st.lists(
        st.fixed_dictionaries(
            {"type": KINDS, "state_key": st.text(max_size=3), "content": JSON, "sender": JSON}
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
    mine = {key: values.pop(key) for key in ("open_door", "invited") if key in values}
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
    assert new == {"users": {"@teacher1:hs": 50}}
    assert old == {"users": {"@teacher1:hs": 50, BOT: 100}}


def test_only_the_users_of_the_power_levels_change() -> None:
    before = {"users": {BOT: 100, "@a:hs": 50, "@hand:hs": 75}, "events": {"m.x": 100}, "ban": 50}
    after = changed_levels(before, {"@a:hs": None, "@b:hs": 50}, None)
    assert after == {**before, "users": {BOT: 100, "@hand:hs": 75, "@b:hs": 50}}
    assert before["users"] == {BOT: 100, "@a:hs": 50, "@hand:hs": 75}


@pytest.mark.parametrize(
    ("read_only", "default", "expected"), [(True, 0, 50), (True, 50, 51), (False, 0, 0)]
)
def test_read_only_changes_the_level_for_messages(
    read_only: bool, default: int, expected: int
) -> None:
    after = changed_levels({"users_default": default, "events_default": 7}, {}, read_only)
    assert after["events_default"] == expected
