"""Which rooms a course should have, and what each looks like."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commweb.host import Course, CourseImage, Group, Member, Person, Role
from commweb.sync.desired import Choice, DesiredRoom, closed, rooms, slug

AT = datetime(2026, 9, 1, 12, tzinfo=UTC)
ALGEBRA = Course("1", "Algebra for all", "ALG 1", "http://lms.example/1", summary="Numbers")
MATRIX = Choice("matrix")
RED, BLUE = Group("r", "Red"), Group("b", "Blue")


def member(name: str, role: Role = Role.PARTICIPANT, *groups: str, **more: Any) -> Member:
    person = Person(name, name, name.title(), active=more.pop("person_active", True))
    return Member(person, role, frozenset(groups), **more)


def the_room(course: Course = ALGEBRA, *members: Member, **choice: Any) -> DesiredRoom:
    (room,) = rooms(course, (), members, Choice("matrix", **choice), at=AT)
    return room


def ids(room: DesiredRoom) -> list[str]:
    return [member.person.id for member in room.members]


def levels(room: DesiredRoom) -> dict[str, int]:
    return {member.person.id: member.level for member in room.members}


def test_a_course_has_one_room_named_after_it() -> None:
    assert the_room() == DesiredRoom("", "matrix", "Algebra for all", "Numbers", "alg-1")


@pytest.mark.parametrize(
    ("course", "choice"), [(None, MATRIX), (ALGEBRA, None), (ALGEBRA, Choice(""))]
)
def test_no_room_without_a_course_and_a_provider(
    course: Course | None, choice: Choice | None
) -> None:
    assert rooms(course, [RED], [member("ada")], choice, at=AT) == ()


def test_a_name_and_a_topic_of_its_own_win_over_the_courses() -> None:
    room = the_room(name="Chat", topic="Be kind")
    assert (room.name, room.topic) == ("Chat", "Be kind")


def test_an_empty_topic_of_its_own_is_no_topic() -> None:
    assert the_room(topic="").topic == ""


def test_a_topic_is_one_line_of_at_most_255_characters() -> None:
    assert the_room(topic="  one\n\ttwo  three ").topic == "one two three"
    assert the_room(topic="x" * 255).topic == "x" * 255
    assert the_room(topic="x" * 256).topic == "x" * 255
    assert the_room(topic="x" * 254 + " yes").topic == "x" * 254


def test_the_course_image_is_the_picture() -> None:
    course = replace(ALGEBRA, image=CourseImage("d1", "image/png", lambda: b"bytes"))
    picture = the_room(course).picture
    assert picture is not None
    assert (picture.digest, picture.media_type, picture.read()) == ("d1", "image/png", b"bytes")
    assert the_room().picture is None
    assert the_room(course, picture=False).picture is None


def test_teachers_and_administrators_moderate() -> None:
    room = the_room(
        ALGEBRA, member("c"), member("b", Role.MODERATOR), member("a", Role.ADMIN)
    )  # fmt: skip
    assert levels(room) == {"a": 50, "b": 50, "c": 0}


def test_other_levels_can_be_asked_for() -> None:
    wanted = {Role.PARTICIPANT: 1, Role.ADMIN: 100}
    people = [member("a", Role.ADMIN), member("b"), member("c", Role.MODERATOR)]
    (room,) = rooms(ALGEBRA, (), people, MATRIX, at=AT, levels=wanted)
    assert levels(room) == {"a": 100, "b": 1, "c": 0}


def test_members_are_in_the_order_of_their_ids() -> None:
    assert ids(the_room(ALGEBRA, member("b"), member("c"), member("a"))) == ["a", "b", "c"]


def test_suspended_people_and_suspended_enrolments_are_not_wanted() -> None:
    room = the_room(
        ALGEBRA, member("a", active=False), member("b", person_active=False), member("c")
    )
    assert ids(room) == ["c"]


def test_who_is_suspended_is_named_as_away() -> None:
    people = [
        member("d", active=False),
        member("b", person_active=False),
        member("a"),
        member("a", active=False),
        member("c", Role.PARTICIPANT, "r", active=False),
    ]
    found = rooms(ALGEBRA, [RED], people, Choice("matrix", "both"), at=AT)
    assert [room.away for room in found] == [("b", "c", "d"), ("c",)]


@pytest.mark.parametrize("turned", [False, True])
def test_somebody_enrolled_twice_has_the_higher_level(turned: bool) -> None:
    twice = [member("a"), member("a", Role.MODERATOR), member("a")]
    room = the_room(ALGEBRA, *(reversed(twice) if turned else twice))
    assert levels(room) == {"a": 50}


def test_a_suspended_enrolment_gives_no_level() -> None:
    room = the_room(ALGEBRA, member("a"), member("a", Role.MODERATOR, active=False))
    assert levels(room) == {"a": 0}


def test_of_two_equal_enrolments_the_first_one_counts() -> None:
    first, second = member("a"), member("a")
    second = replace(second, person=replace(second.person, display_name="Other"))
    assert the_room(ALGEBRA, first, second).members[0].person.display_name == "A"


HOUR = timedelta(hours=1)
OPENING = [
    ({}, False),
    ({"visible": False}, True),
    ({"opens_at": AT + HOUR}, True),
    ({"opens_at": AT}, False),
    ({"opens_at": AT - HOUR}, False),
    ({"closes_at": AT + HOUR}, False),
    ({"closes_at": AT}, True),
    ({"closes_at": AT - HOUR}, True),
    ({"opens_at": AT - HOUR, "closes_at": AT + HOUR}, False),
    ({"opens_at": AT - HOUR, "closes_at": AT + HOUR, "visible": False}, True),
]


@pytest.mark.parametrize(("times", "shut"), OPENING)
def test_a_hidden_or_closed_course_is_read_only(times: dict[str, Any], shut: bool) -> None:
    course = replace(ALGEBRA, **times)
    assert closed(course, AT) is shut
    assert the_room(course).read_only is shut


PEOPLE = [
    member("ada", Role.MODERATOR),
    member("bob", Role.PARTICIPANT, "r"),
    member("cyd", Role.PARTICIPANT, "b"),
    member("dan"),
    member("eve", Role.ADMIN, "b"),
]


def by_group(**choice: Any) -> dict[str, DesiredRoom]:
    found = rooms(ALGEBRA, [RED, BLUE], PEOPLE, Choice("matrix", **choice), at=AT)
    return {room.group_id: room for room in found}


def test_a_course_with_groups_has_one_room_unless_groups_are_chosen() -> None:
    found = by_group()
    assert list(found) == [""]
    assert ids(found[""]) == ["ada", "bob", "cyd", "dan", "eve"]


def test_each_group_has_a_room_with_its_people_and_all_who_teach() -> None:
    found = by_group(room_mode="groups")
    assert list(found) == ["b", "r"]
    assert levels(found["r"]) == {"ada": 50, "bob": 0, "eve": 50}
    assert levels(found["b"]) == {"ada": 50, "cyd": 0, "eve": 50}


def test_a_course_may_have_both() -> None:
    found = by_group(room_mode="both")
    assert list(found) == ["", "b", "r"]
    assert ids(found[""]) == ["ada", "bob", "cyd", "dan", "eve"]


def test_a_course_without_groups_has_its_own_room_though_groups_are_chosen() -> None:
    assert the_room(ALGEBRA, member("ada"), room_mode="groups").group_id == ""


def test_a_group_room_is_like_the_course_room_but_for_name_and_people() -> None:
    both = by_group(room_mode="both")
    as_course = replace(both["r"], group_id="", name=both[""].name, members=both[""].members)
    assert as_course == both[""]


@pytest.mark.parametrize(
    ("template", "name"),
    [
        ("{room} - {group}", "Chat - Red"),
        ("{course}: {group}", "Algebra for all: Red"),
        ("{group} {group}", "Red Red"),
        ("{other}", "{other}"),
        ("  {group}  ", "Red"),
        ("  ", "Red"),
    ],
)
def test_a_group_room_is_named_by_the_template(template: str, name: str) -> None:
    found = by_group(room_mode="groups", group_template=template, name="Chat")
    assert found["r"].name == name


def test_names_that_look_like_placeholders_stay_what_they_are() -> None:
    groups = [Group("g", "{room}")]
    course = replace(ALGEBRA, full_name="{group}")
    (room,) = rooms(course, groups, (), Choice("matrix", "groups", "{course}/{group}"), at=AT)
    assert room.name == "{group}/{room}"


def test_a_group_without_a_name_has_the_rooms() -> None:
    choice = Choice("matrix", "groups", "{group}")
    (room,) = rooms(ALGEBRA, [Group("g", "")], (), choice, at=AT)
    assert room.name == "Algebra for all"


@pytest.mark.parametrize(
    ("text", "short"),
    [
        ("ALG 1", "alg-1"),
        ("Äpfel & Birnen", "apfel-birnen"),
        ("--x--", "x"),
        ("数学", "course"),
        ("", "course"),
        ("a" * 41, "a" * 40),
        ("-" + "a" * 41, "a" * 40),
        ("a" * 39 + " b", "a" * 39),
    ],
)
def test_a_slug_is_a_plain_word(text: str, short: str) -> None:
    assert slug(text) == short


@given(st.text(max_size=60))
def test_every_text_has_a_slug_that_fits_an_alias(text: str) -> None:
    short = slug(text)
    assert 0 < len(short) <= 40
    assert set(short) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")
    assert short == short.strip("-")
    assert slug(short) == short
