"""What a host's own page tells about a course's rooms."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from flask import render_template_string
from werkzeug.test import TestResponse

from commweb import CourseStatus, Group, Person
from tests.sites import person, student, teacher
from tests.unit.web.conftest import shown
from tests.unit.web.course.conftest import API, PROVIDERS, Classroom

MakeRoom = Callable[[], None]
SOON = "Your Simulated room will be ready soon."
READY = "Your Simulated room is ready."
PAGE = '{% include "commweb/course_status.html" %}'


@pytest.fixture
def classroom(classroom: Classroom) -> Iterator[Classroom]:
    classroom.school.app.add_url_rule(
        "/host/<course_id>", "host", lambda course_id: render_template_string(PAGE, course_id="1")
    )
    return classroom


def told(classroom: Classroom, who: Person | None) -> CourseStatus:
    with classroom.school.app.test_request_context():
        return classroom.school.comm.course_status("1", who)


def page(classroom: Classroom, who: str) -> str:
    return shown(classroom.visit(who).get("/host/1"))


def test_a_student_is_told_nothing_until_there_is_a_room(
    classroom: Classroom, make_room: MakeRoom
) -> None:
    assert page(classroom, "bob").strip() == ""
    classroom.save("simulated")
    assert page(classroom, "bob").strip() == ""
    classroom.work()
    assert page(classroom, "bob").strip() == "Open chat"


def test_who_configures_is_told_soon_then_ready_once_then_only_the_way_in(
    classroom: Classroom,
) -> None:
    classroom.save("simulated")
    ada = classroom.visit("ada")
    assert SOON in shown(ada.get("/host/1"))
    assert "Open chat" not in shown(ada.get("/host/1"))
    classroom.work()
    assert READY in shown(ada.get("/host/1"))
    again = shown(ada.get("/host/1"))
    assert READY not in again
    assert "Open chat" in again


def test_it_is_said_once_to_each_person(classroom: Classroom, make_room: MakeRoom) -> None:
    classroom.school.campus.member_table["1"].append(teacher("eve"))
    make_room()
    ada = classroom.visit("ada")
    assert READY in shown(ada.get("/host/1"))
    ada.person = "eve"  # another person in the same browser
    assert READY in shown(ada.get("/host/1"))
    assert READY not in shown(ada.get("/host/1"))
    ada.person = "ada"
    assert READY not in shown(ada.get("/host/1"))


def test_a_page_that_turned_to_ready_by_itself_has_said_it(
    classroom: Classroom, make_room: MakeRoom
) -> None:
    make_room()
    ada = classroom.visit("ada")
    assert ada.get(API).get_json()["message"] == READY
    assert ada.get(f"{API}?shown=1").get_json()["message"] == READY
    assert READY not in shown(ada.get("/host/1"))


def test_the_status_as_data_always_has_its_sentence(
    classroom: Classroom, make_room: MakeRoom
) -> None:
    make_room()
    status = told(classroom, person("ada"))
    assert (status.status, status.message) == ("ready", READY)
    assert status.chat_url == "/communication/courses/1/chat"
    assert status.settings_url == "/communication/courses/1/communication"
    assert told(classroom, person("bob")).settings_url is None


def test_nobody_and_strangers_are_told_nothing(classroom: Classroom, make_room: MakeRoom) -> None:
    make_room()
    nothing = CourseStatus(None, None, (), None, None)
    assert told(classroom, None) == nothing
    assert told(classroom, person("eve")) == nothing


def test_somebody_with_several_rooms_sees_them_all(classroom: Classroom) -> None:
    classroom.school.campus.group_table["1"] = [Group("10", "Red"), Group("11", "Blue")]
    classroom.school.campus.member_table["1"] = [
        teacher("ada"),
        student("bob", group_ids=frozenset({"10"})),
    ]
    classroom.choose("simulated")
    classroom.choose("simulated", room_mode="both")
    rooms = [room.name for room in told(classroom, person("bob")).rooms]
    assert rooms == ["Algebra", "Algebra - Red"]
    text = page(classroom, "bob")
    assert "Algebra - Red" in text
    assert "Blue" not in text
    assert "Blue" in page(classroom, "ada")


def waits(reply: TestResponse) -> bool:
    return "data-commweb-poll" in reply.text and "status.js" in reply.text


def test_only_a_page_that_waits_asks_again_by_itself(classroom: Classroom) -> None:
    ada = classroom.visit("ada")
    assert not waits(ada.get("/host/1"))
    classroom.save("simulated")
    assert waits(ada.get("/host/1"))
    assert 'aria-live="polite"' in ada.get("/host/1").text
    classroom.work()
    assert not waits(ada.get("/host/1"))


def test_a_provider_that_is_turned_off_hides_its_rooms_and_brings_them_back(
    classroom: Classroom, make_room: MakeRoom
) -> None:
    make_room()
    admin = classroom.visit("admin")
    admin.press(f"{PROVIDERS}/simulated/disable", PROVIDERS)
    assert page(classroom, "bob").strip() == ""
    assert told(classroom, person("ada")).status is None
    classroom.changed(teacher("ada"), student("bob"), student("dan"))
    admin.press(f"{PROVIDERS}/simulated/enable", PROVIDERS)
    assert "Open chat" in page(classroom, "bob")
    classroom.work()
    assert classroom.inside("Algebra") == {"ada", "bob", "dan"}


def test_while_the_subsystem_is_off_nothing_is_told(
    classroom: Classroom, make_room: MakeRoom
) -> None:
    make_room()
    with classroom.school.app.app_context():
        classroom.school.comm.set_enabled(False)
    assert page(classroom, "ada").strip() == ""
    classroom.changed(teacher("ada"), student("dan"))
    assert classroom.inside("Algebra") == {"ada", "bob", "cyd"}, "no worker calls the server"
    with classroom.school.app.app_context():
        classroom.school.comm.set_enabled(True)
    classroom.work()
    assert classroom.inside("Algebra") == {"ada", "dan"}
