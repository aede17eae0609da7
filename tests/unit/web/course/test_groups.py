"""Rooms for the groups of a course."""

from __future__ import annotations

import pytest

from commweb import Group
from commweb.sync.confirming import confirm_courses
from tests.sites import student, teacher
from tests.unit.web.conftest import beside
from tests.unit.web.course.conftest import CHAT, EDIT, Classroom

RED, BLUE = Group("10", "Red"), Group("11", "Blue")
TEMPLATE = "{room} - {group}"


@pytest.fixture
def grouped(classroom: Classroom) -> Classroom:
    classroom.school.campus.group_table["1"] = [RED, BLUE]
    classroom.school.campus.member_table["1"] = [
        teacher("ada"),
        student("bob", group_ids=frozenset({"10"})),
        student("cyd", group_ids=frozenset({"10", "11"})),
        student("dan"),
    ]
    return classroom


def choose(classroom: Classroom, mode: str, template: str = TEMPLATE) -> None:
    classroom.choose("simulated", room_mode=mode, group_template=template)


def names(classroom: Classroom) -> set[str]:
    return {room.name for room in classroom.server.rooms.values()}


def test_a_course_without_groups_is_not_asked_about_them(classroom: Classroom) -> None:
    classroom.choose("simulated")
    assert "room_mode" not in classroom.fields()


def test_a_course_with_groups_is_asked_once_its_provider_has_rooms(grouped: Classroom) -> None:
    assert "room_mode" not in grouped.fields()
    grouped.choose("customlink", customlink__url="https://chat.example")
    assert "room_mode" not in grouped.fields()
    choose(grouped, "course")
    assert grouped.fields()["room_mode"] == "course"


def test_each_group_gets_a_room_with_its_members_and_the_teachers(grouped: Classroom) -> None:
    choose(grouped, "groups")
    assert names(grouped) == {"Algebra - Red", "Algebra - Blue"}
    assert grouped.inside("Algebra - Red") == {"ada", "bob", "cyd"}
    assert grouped.inside("Algebra - Blue") == {"ada", "cyd"}
    assert grouped.room("Algebra - Blue").levels["@ada:sim"] == 50


def test_both_means_the_courses_room_too(grouped: Classroom) -> None:
    choose(grouped, "both", "{course}: {group}")
    assert names(grouped) == {"Algebra", "Algebra: Red", "Algebra: Blue"}
    assert grouped.inside("Algebra") == {"ada", "bob", "cyd", "dan"}


def test_members_follow_their_group(grouped: Classroom) -> None:
    choose(grouped, "groups")
    grouped.changed(
        teacher("ada"), student("bob", group_ids=frozenset({"11"})), student("cyd"), teacher("eve")
    )
    assert grouped.inside("Algebra - Red") == {"ada", "eve"}
    assert grouped.inside("Algebra - Blue") == {"ada", "bob", "eve"}


def delete_blue(classroom: Classroom) -> None:
    with classroom.school.app.app_context():
        classroom.school.comm.group_deleted("1", BLUE.id)
        classroom.school.db.session.commit()
    classroom.work()


def test_a_group_that_was_reported_as_deleted_leaves_its_room_unasked(grouped: Classroom) -> None:
    choose(grouped, "groups")
    with grouped.school.app.app_context():
        told = grouped.school.comm.consequences("1", group_id=BLUE.id)
    assert told is not None
    assert (told.people, told.rooms, told.deletes_messages) == (2, ("Algebra - Blue",), False)
    assert told.sentences == ("2 people will be removed from “Algebra - Blue”.",)
    grouped.school.campus.group_table["1"] = [RED]
    delete_blue(grouped)
    assert grouped.inside("Algebra - Blue") == set()
    assert grouped.inside("Algebra - Red") == {"ada", "bob", "cyd"}


def test_a_group_that_is_still_there_was_not_deleted(grouped: Classroom) -> None:
    choose(grouped, "groups")
    delete_blue(grouped)
    assert grouped.inside("Algebra - Blue") == {"ada", "cyd"}
    grouped.school.campus.group_table["1"] = [RED]
    grouped.changed()
    assert grouped.inside("Algebra - Blue") == {"ada", "cyd"}, "that report is spent"


def test_a_group_that_is_gone_is_asked_about_and_then_leaves_its_room(grouped: Classroom) -> None:
    choose(grouped, "groups")
    grouped.school.campus.group_table["1"] = [RED]
    grouped.changed()
    assert grouped.inside("Algebra - Blue") == {"ada", "cyd"}, "nobody said that it was deleted"
    with grouped.school.state.database.write() as connection:
        assert len(confirm_courses(connection, ["1"])) == 1
    grouped.work()
    assert grouped.inside("Algebra - Blue") == set()
    assert grouped.inside("Algebra - Red") == {"ada", "bob", "cyd"}
    assert "Algebra - Blue" not in grouped.page("ada")


def test_the_template_has_to_tell_the_groups_apart(grouped: Classroom) -> None:
    grouped.choose("simulated")
    reply = grouped.save("simulated", room_mode="groups", group_template="{course}")
    assert reply.status_code == 422
    assert "Use {group}" in beside(reply, "group_template")
    reply = grouped.save("simulated", room_mode="groups", group_template="{team} {group}")
    assert "{team}" in beside(reply, "group_template")
    assert grouped.fields()["group_template"] == TEMPLATE


def test_leaving_for_another_provider_keeps_what_was_chosen_for_groups(
    grouped: Classroom,
) -> None:
    choose(grouped, "both", "{group} of {course}")
    grouped.choose(
        "customlink", customlink__url="https://chat.example", room_mode="course", group_template=""
    )
    grouped.choose("simulated", room_mode="both")
    assert grouped.fields()["group_template"] == "{group} of {course}"


def test_a_person_in_several_rooms_chooses_one(grouped: Classroom) -> None:
    choose(grouped, "groups")
    reply = grouped.visit("cyd").get(CHAT)
    assert reply.status_code == 200
    assert "Algebra - Red" in reply.text
    assert "Algebra - Blue" in reply.text
    reply = grouped.visit("bob").get(CHAT)
    assert reply.status_code == 303
    assert reply.headers["Location"].endswith(grouped.room("Algebra - Red").id)


def test_somebody_without_a_group_is_told_so(grouped: Classroom) -> None:
    choose(grouped, "groups")
    assert "You are not in the room of this course" in grouped.page("dan", CHAT)


def test_the_page_lists_every_room_with_its_people(grouped: Classroom) -> None:
    choose(grouped, "groups")
    page = grouped.page("ada", EDIT)
    assert "Algebra - Red: 3 of 3 people are in the room." in page
    assert "Algebra - Blue: 2 of 2 people are in the room." in page
