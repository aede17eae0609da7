"""Members of a room, for the teachers of its course."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from sqlalchemy import select, update

from commweb import Group, Member
from commweb.models import Account, Event, now
from tests.sites import person, student, teacher
from tests.unit.web.conftest import Visitor, shown
from tests.unit.web.course.conftest import CHAT, MEMBERS, Classroom

MakeRoom = Callable[[], None]


def rows(page: str) -> dict[str, list[str]]:
    """The cells of each person's row, by name."""
    found = {}
    for row in re.findall(r"<tr>(.*?)</tr>", page, re.DOTALL)[1:]:
        cells = re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL)
        texts = [re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", cell)).strip() for cell in cells]
        found[texts[0]] = texts[1:]
    return found


def table(classroom: Classroom, query: str = "") -> dict[str, list[str]]:
    return rows(classroom.visit("ada").get(MEMBERS + query).text)


def press(classroom: Classroom, button: str, person: str) -> str:
    ada = classroom.visit("ada")
    page = ada.get(MEMBERS).text
    room = re.search(r'name="room" value="(\d+)"', page)
    assert room, f"there is no button {button!r}"
    token = ada.token(MEMBERS)
    reply = ada.post(f"{MEMBERS}/{button}", csrf_token=token, room=room[1], person=person)
    return ada.follow(reply)


def test_it_says_role_account_and_state_of_everybody(
    classroom: Classroom, make_room: MakeRoom
) -> None:
    make_room()
    assert table(classroom) == {
        "Ada": ["Teacher (level 50)", "@ada:sim", "in the room", ""],
        "Bob": ["Student", "@bob:sim", "in the room", ""],
        "Cyd": ["Student", "@cyd:sim", "in the room", ""],
    }


def test_before_the_worker_saw_the_course_everybody_waits(classroom: Classroom) -> None:
    classroom.server.faults = []
    classroom.choose("simulated")
    classroom.school.campus.member_table["1"].append(student("dan"))
    assert table(classroom)["Dan"] == ["Student", "", "waiting", "Try again Dan"]


def test_who_left_is_added_again_only_when_a_teacher_says_so(
    classroom: Classroom, make_room: MakeRoom
) -> None:
    make_room()
    classroom.leave("Algebra", "bob")
    classroom.changed()
    assert "bob" not in classroom.inside("Algebra")
    assert table(classroom)["Bob"][2:] == [
        "left the room", "Add back Bob",
    ]  # fmt: skip
    assert "The person is added again." in press(classroom, "add", "bob")
    classroom.work()
    assert "bob" in classroom.inside("Algebra")
    assert table(classroom)["Bob"][2:] == ["in the room", ""]
    with classroom.school.state.database.read() as connection:
        event = connection.execute(select(Event).where(Event.action == "member.added_again")).one()
    assert (event.actor, event.detail) == ("ada", {"person": "bob"})


def test_who_cannot_be_added_is_tried_again(classroom: Classroom, make_room: MakeRoom) -> None:
    classroom.server.unusable["@bob:sim"] = "The account is deactivated."
    make_room()
    assert table(classroom)["Bob"][2:] == [
        "cannot be added The account is deactivated.", "Try again Bob",
    ]  # fmt: skip
    classroom.server.unusable.clear()
    assert "The room is being synchronised." in press(classroom, "again", "bob")
    classroom.work()
    assert table(classroom)["Bob"][2] == "in the room"


def test_who_is_suspended_needs_no_button(classroom: Classroom, make_room: MakeRoom) -> None:
    make_room()
    classroom.changed(teacher("ada"), student("bob", active=False))
    assert table(classroom)["Bob"][2:] == ["suspended", ""]
    assert "Cyd" not in table(classroom), "who is not enrolled any more is not listed"


def suspended(classroom: Classroom, name: str) -> None:
    """The whole site suspends the person, not this course alone."""
    campus = classroom.school.campus
    campus.suspended.add(name)
    old = campus.member_table["1"]
    campus.member_table["1"] = [
        Member(person(one.person.id, active=one.person.id != name), one.role) for one in old
    ]
    classroom.changed()


def test_what_a_suspended_persons_account_can_still_do_is_said(
    classroom: Classroom, make_room: MakeRoom
) -> None:
    make_room()
    suspended(classroom, "bob")
    said = "suspended Their account on the homeserver goes on working."
    assert table(classroom)["Bob"][2:] == [said, ""]
    with classroom.school.state.database.write() as connection:
        connection.execute(
            update(Account)
            .where(Account.person_id == "bob")
            .values(locked_at=now(), server_name="")
        )
    said = "suspended Their account is locked until they are active again."
    assert table(classroom)["Bob"][2:] == [said, ""]


def test_who_never_had_an_account_has_none_that_goes_on_working(
    classroom: Classroom, make_room: MakeRoom
) -> None:
    make_room()
    classroom.school.campus.member_table["1"].append(student("dan"))
    suspended(classroom, "dan")
    assert table(classroom)["Dan"][2:] == ["suspended", ""]


def test_people_are_found_by_name_account_or_state(
    classroom: Classroom, make_room: MakeRoom
) -> None:
    make_room()
    classroom.leave("Algebra", "cyd")
    assert list(table(classroom, "?q=BO")) == ["Bob"]
    assert list(table(classroom, "?q=%40cyd")) == ["Cyd"]
    assert list(table(classroom, "?q=left")) == ["Cyd"]
    assert "1 person of 3" in classroom.page("ada", MEMBERS + "?q=left")
    assert "No matches." in classroom.page("ada", MEMBERS + "?q=nobody")


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("", ["Ada", "Bob", "Cyd"]),
        ("?sort=name&order=down", ["Cyd", "Bob", "Ada"]),
        ("?sort=role", ["Bob", "Cyd", "Ada"]),
        ("?sort=state&order=down", ["Bob", "Cyd", "Ada"]),
        ("?sort=password", ["Ada", "Bob", "Cyd"]),
    ],
)
def test_people_are_sorted_as_asked(
    classroom: Classroom, make_room: MakeRoom, query: str, names: list[str]
) -> None:
    make_room()
    if "state" in query:
        classroom.leave("Algebra", "bob")
    assert list(table(classroom, query)) == names


def test_a_long_list_comes_in_pages(classroom: Classroom) -> None:
    many = [student(f"s{number:03}") for number in range(120)]
    classroom.school.campus.member_table["1"] += many
    classroom.choose("simulated")
    first = classroom.visit("ada").get(MEMBERS).text
    assert len(rows(first)) == 50
    assert 'rel="next"' in first
    assert 'rel="prev"' not in first
    assert len(table(classroom, "?page=3")) == 23
    assert len(table(classroom, "?page=99")) == 23
    assert "Page 1 of 3" in shown(classroom.visit("ada").get(MEMBERS))


def test_each_room_has_its_own_list(classroom: Classroom) -> None:
    classroom.school.campus.group_table["1"] = [Group("10", "Red"), Group("11", "Blue")]
    classroom.school.campus.member_table["1"] = [
        teacher("ada"),
        student("bob", group_ids=frozenset({"10"})),
    ]
    classroom.choose("simulated")
    classroom.choose("simulated", room_mode="groups")
    page = classroom.visit("ada").get(MEMBERS).text
    ids = dict(re.findall(r'<option value="(\d+)"[^>]*>([^<]+)', page))
    by_name = {name: key for key, name in ids.items()}
    assert list(table(classroom, f"?room={by_name['Algebra - Red']}")) == ["Ada", "Bob"]
    assert list(table(classroom, f"?room={by_name['Algebra - Blue']}")) == ["Ada"]


def test_a_room_of_another_course_cannot_be_reached(
    classroom: Classroom, make_room: MakeRoom
) -> None:
    make_room()
    classroom.school.campus.add("2", teacher("eve"), name="Botany")
    eve = Visitor(classroom.school, "eve")
    other = "/communication/courses/2/communication/members"
    token = eve.token("/communication/courses/2/communication")
    reply = eve.post(f"{other}/again", csrf_token=token, room="1")
    assert reply.status_code == 404


def test_a_button_without_its_token_does_nothing(classroom: Classroom, make_room: MakeRoom) -> None:
    make_room()
    assert classroom.visit("ada").post(f"{MEMBERS}/again", room="1").status_code == 400


def test_students_may_not_see_it(classroom: Classroom, make_room: MakeRoom) -> None:
    make_room()
    assert classroom.visit("bob").get(MEMBERS).status_code == 403


def test_who_was_removed_in_the_chat_is_added_again_only_when_a_teacher_says_so(
    classroom: Classroom, make_room: MakeRoom
) -> None:
    make_room()
    classroom.kick("Algebra", "bob", by="@ada:sim")
    assert "bob" not in classroom.inside("Algebra")
    assert table(classroom)["Bob"][2:] == ["removed in the chat", "Add back Bob"]
    assert "A moderator of the chat removed you" in classroom.page("bob", CHAT)
    assert "The person is added again." in press(classroom, "add", "bob")
    classroom.work()
    assert "bob" in classroom.inside("Algebra")


def test_guests_are_listed_with_who_let_them_in_and_only_administrators_remove_them(
    classroom: Classroom, make_room: MakeRoom
) -> None:
    make_room()
    classroom.let_in("Algebra", "@eve:sim", by="@bob:sim")
    page = classroom.page("ada", MEMBERS)
    assert "1 guest." in page
    assert "@eve:sim @bob:sim" in " ".join(page.split())
    assert "remove-guest" not in classroom.visit("ada").get(MEMBERS).text
    admin = classroom.visit("admin")
    address = re.search(r'action="([^"]+remove-guest)"', admin.get(MEMBERS).text)
    assert address
    token = admin.token(MEMBERS)
    assert admin.post(address[1], csrf_token=token, account="@eve:sim").status_code == 303
    classroom.work()
    assert "eve" not in classroom.inside("Algebra")
    assert "1 guest." not in classroom.page("ada", MEMBERS)
