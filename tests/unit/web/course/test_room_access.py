"""Who can come into a room and read it, as a moderator of the chat made it, is said."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import select

from commweb.models import RoomRow
from commweb.room_access import access_facts, access_notes
from tests.unit.web.course.conftest import EDIT, MEMBERS, Classroom

MakeRoom = Callable[[], None]
ROOM = "/communication/admin/communication/rooms/1"
OURS = {"join_rule": "invite", "join_rule_by": "", "history": "shared", "history_by": ""}


def recorded(classroom: Classroom) -> Any:
    with classroom.school.state.database.read() as connection:
        return connection.execute(select(RoomRow.access)).scalar_one()


def test_a_room_as_commweb_makes_it_says_so_to_administrators_and_nothing_to_teachers(
    classroom: Classroom, make_room: MakeRoom
) -> None:
    make_room()
    classroom.changed()
    assert recorded(classroom) == OURS
    page = classroom.page("admin", ROOM)
    assert "Who can join whoever is invited" in page
    assert "Who can read the history members, everything" in page
    assert "in the chat" not in page
    assert "in the chat" not in classroom.page("ada", EDIT)


def test_a_room_that_a_moderator_opened_is_said_to_administrators_and_teachers(
    classroom: Classroom, make_room: MakeRoom
) -> None:
    make_room()
    room = classroom.room("Algebra")
    room.join_rule, room.join_rule_by = "public", "@ada:sim"
    room.history, room.history_by = "world_readable", "@ada:sim"
    classroom.changed()
    page = classroom.page("admin", ROOM)
    assert "Who can join anybody who knows the room changed in the chat by @ada:sim" in page
    for text in (page, classroom.page("ada", EDIT), classroom.page("ada", MEMBERS)):
        assert "Others can come into the room: anybody who knows the room." in text
        assert "Anybody can read the room without being in it." in text
        assert "@ada:sim changed in the chat who can join or read." in text


def test_a_student_is_not_told_what_moderators_did(
    classroom: Classroom, make_room: MakeRoom
) -> None:
    make_room()
    room = classroom.room("Algebra")
    room.join_rule, room.join_rule_by = "public", "@ada:sim"
    classroom.changed()
    with classroom.school.app.test_request_context():
        state = classroom.school.state
        person = state.host.person("bob")
        told = classroom.school.comm.course_status("1", person)
    assert [one.access for one in told.rooms] == [()]


def test_a_door_that_commweb_holds_open_while_it_fills_a_room_is_nobodys_change(
    classroom: Classroom, make_room: MakeRoom
) -> None:
    make_room()
    classroom.room("Algebra").open_door = True
    classroom.changed()
    assert recorded(classroom) == OURS


def test_before_a_sync_has_looked_nothing_is_said() -> None:
    assert access_facts({}) == []
    assert access_notes({}) == []


@pytest.mark.parametrize(
    ("access", "notes"),
    [
        ({}, []),
        ({"join_rule": "private"}, []),
        ({"join_rule": "knock"}, ["whoever is invited, or asks and is let in"]),
        ({"join_rule": "restricted"}, ["members of certain other rooms"]),
        ({"join_rule": "knock_restricted"}, ["invited or asks, and members"]),
        ({"history": "joined"}, []),
        ({"history_by": "@x:sim"}, ["@x:sim changed in the chat who can join or read."]),
        ({"history": "world_readable"}, ["without being in it"]),
    ],
)
def test_only_what_is_more_open_or_was_changed_is_noted(
    access: dict[str, str], notes: list[str]
) -> None:
    found = access_notes({**OURS, **access})
    assert len(found) == len(notes)
    for said, expected in zip(found, notes, strict=True):
        assert expected in said
