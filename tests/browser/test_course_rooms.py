"""A course's room from choosing it to closing it, by teacher, student and admin, and what each is
told on the way: with scripts, and with the keyboard alone on a small screen without them."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import FilePayload, Page, expect

from tests.browser.courses import enrol, follow, press, title
from tests.browser.matrix_page import wrong
from tests.browser.synapse import eyes_of, until
from tests.browser.visitors import Visitors, notice, save, turn_on
from tests.browser.walking import (
    ELEMENT,
    by_keyboard,
    choose,
    communication,
    everybody_is_in,
    fine,
    joined,
    open_chat,
    room_of,
    seen_after_reloads,
    talk_course,
    told,
    without_scripts,
    worker_paused,
)
from tests.synapse_eyes import SynapseEyes

pytestmark = pytest.mark.xdist_group("browser-school")

LINK = "https://chat.example/join?code=1#algebra"
SOON = "Your Matrix room will be ready soon."
READY = "Your Matrix room is ready."
READ_ONLY = "Your Matrix room is read-only while the course is not open."
PROVIDERS = "/admin/communication/providers"
SWITCH = "Enable communications subsystems"
PICTURE = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


@pytest.fixture
def eyes(school: Visitors) -> SynapseEyes:
    return eyes_of(school.site)


@pytest.fixture
def course(school: Visitors, unique: str) -> str:
    """The path of a new course without a room, with a teacher and two students."""
    return talk_course(school.page(), "Talk", unique, "Student One", "Student Two")


def test_without_scripts_and_mouse_a_teacher_switches_providers_and_loses_nothing(
    school: Visitors, course: str, eyes: SynapseEyes, unique: str
) -> None:
    page = without_scripts(school, "teacher1")
    page.goto(course)
    by_keyboard(page, page.get_by_role("link", name="Communication", exact=True), press="Enter")
    title(page, "Communication")
    provider = page.get_by_label("Provider", exact=True)
    update = page.get_by_role("button", name="Update", exact=True)
    name, link = (page.get_by_label(text, exact=True) for text in ("Room name", "Custom link URL"))
    keep = page.get_by_role("button", name="Save changes", exact=True)
    fine(page)

    by_keyboard(page, provider, "Mat")
    by_keyboard(page, update, press="Enter")
    expect(name).to_have_attribute("placeholder", f"Talk {unique}")
    by_keyboard(page, name, f"Ask {unique}")
    topic = page.get_by_label("Room topic", exact=True)
    topic.fill("t" * 256)
    by_keyboard(page, keep, press="Enter")
    wrong(page, "Room topic", "255")
    expect(name).to_have_value(f"Ask {unique}")
    by_keyboard(page, topic, press="Control+a")
    by_keyboard(page, topic, "What is heard")
    fine(page)
    by_keyboard(page, provider, "Cus")
    by_keyboard(page, update, press="Enter")
    expect(name).to_be_hidden()
    by_keyboard(page, link, "ftp://chat.example")
    by_keyboard(page, keep, press="Enter")
    wrong(page, "Custom link URL", "http")
    fine(page)

    by_keyboard(page, provider, "Mat")
    by_keyboard(page, update, press="Enter")
    expect(name).to_have_value(f"Ask {unique}")
    with worker_paused(school):
        by_keyboard(page, keep, press="Enter")
        notice(page, "Changes saved")
        expect(page.get_by_text(SOON)).to_be_visible()
        fine(page)
    everybody_is_in(page, 3)
    room = room_of(school.page(), course)
    assert joined(eyes, room, "teacher1", "student1", "student2").name == f"Ask {unique}"

    by_keyboard(page, provider, "Cus")
    by_keyboard(page, update, press="Enter")
    by_keyboard(page, link, press="Control+a")
    by_keyboard(page, link, LINK, "Enter")
    expect(page.get_by_text(f"3 people will be removed from “Ask {unique}”.")).to_be_visible()
    fine(page)
    sure = page.get_by_role("button", name="Remove 3 people", exact=True)
    by_keyboard(page, sure, press="Enter")
    notice(page, "Changes saved")
    joined(eyes, room)
    answer = school.page("student1").request.get(f"{course}/chat", max_redirects=0)
    assert (answer.status, answer.headers["location"]) == (303, LINK)
    by_keyboard(page, provider, "Mat")
    by_keyboard(page, update, press="Enter")
    expect(name).to_have_value(f"Ask {unique}")
    by_keyboard(page, keep, press="Enter")
    joined(eyes, room, "teacher1", "student1", "student2")
    assert room_of(school.page(), course) == room
    by_keyboard(page, provider, "Cus")
    by_keyboard(page, update, press="Enter")
    expect(link).to_have_value(LINK)


def test_the_open_communication_page_turns_to_ready_by_itself(
    school: Visitors, course: str, eyes: SynapseEyes
) -> None:
    page = school.page("teacher1")
    page.goto(f"{course}/edit")
    image: FilePayload = {"name": "one.png", "mimeType": "image/png", "buffer": PICTURE}
    page.get_by_label("Course image", exact=True).set_input_files(image)
    save(page)
    follow(page, "Communication")
    choose(page, "Matrix")
    box = page.get_by_role("checkbox", name="Use the course image as room picture", exact=True)
    expect(box).to_be_checked()
    with worker_paused(school):
        save(page)
        notice(page, "Changes saved")
        sentence = page.get_by_role("region", name="State").get_by_role("status")
        expect(sentence).to_have_text(SOON)
        expect(sentence).to_have_attribute("aria-live", "polite")
        fine(page)
        page.evaluate("window.loadedOnce = true")
    expect(open_chat(page)).to_be_visible()
    expect(sentence).to_have_text(READY)
    assert page.evaluate("window.loadedOnce") is True
    fine(page)
    room = room_of(school.page(), course)
    until(lambda: _picture(eyes, room), bool)
    assert _picture(eyes, room).startswith("mxc://")
    box.uncheck()
    save(page)
    notice(page, "Changes saved")
    until(lambda: _picture(eyes, room), lambda url: not url)
    assert _picture(eyes, room) == ""


def _picture(eyes: SynapseEyes, room: str) -> str:
    events = [event for event in eyes.state(room) if event["type"] == "m.room.avatar"]
    return str(events[0]["content"].get("url", "")) if events else ""


def test_the_way_into_the_chat_says_why_there_is_none(
    school: Visitors, course: str, unique: str
) -> None:
    teacher, student = school.page("teacher1"), school.page("student1")
    for page, words in ((teacher, "Choose a provider"), (student, "This course has no chat room.")):
        page.goto(f"{course}/chat")
        expect(page.get_by_text(words)).to_be_visible()
        fine(page)
    follow(teacher, "Communication")
    choose(teacher, "Matrix")
    with worker_paused(school):
        save(teacher)
        notice(teacher, "Changes saved")
        student.goto(course)
        expect(student.get_by_text("Matrix room")).to_have_count(0)
        expect(open_chat(student)).to_have_count(0)
        student.goto(f"{course}/chat")
        expect(student.get_by_text(SOON)).to_be_visible()
        fine(student)
    everybody_is_in(teacher, 3)
    follow(student, "Try again")
    student.goto(course)
    expect(open_chat(student)).to_be_visible()
    late = school.page("student3")
    refused = late.goto(f"{course}/chat")
    assert refused is not None
    assert refused.status == 403
    fine(late)
    with worker_paused(school):
        admin = school.page()
        admin.goto(course)
        enrol(admin, "Student Three", "Student")
        late.goto(f"{course}/chat")
        expect(late.get_by_text("you have not been added yet")).to_be_visible()
        fine(late)
    until(lambda: late.request.get(f"{course}/chat", max_redirects=0).status, lambda s: s == 303)
    answer = late.request.get(f"{course}/chat", max_redirects=0)
    assert answer.headers["location"].startswith(ELEMENT)


@contextmanager
def matrix_off(admin: Page) -> Iterator[None]:
    admin.goto(PROVIDERS)
    press(admin, "Disable Matrix")
    notice(admin, "Matrix is disabled.")
    try:
        yield
    finally:
        admin.goto(PROVIDERS)
        press(admin, "Enable Matrix")
        notice(admin, "Matrix is enabled.")


@contextmanager
def all_off(admin: Page) -> Iterator[None]:
    admin.goto("/admin/experimental")
    admin.get_by_role("checkbox", name=SWITCH, exact=True).uncheck()
    save(admin)
    notice(admin, "Changes saved")
    try:
        yield
    finally:
        turn_on(admin)


def test_what_is_turned_off_hides_and_comes_back_with_what_changed_meanwhile(
    school: Visitors, course: str, eyes: SynapseEyes
) -> None:
    teacher, student, admin = (school.page(name) for name in ("teacher1", "student1", "admin"))
    teacher.goto(f"{course}/communication")
    choose(teacher, "Matrix")
    save(teacher)
    everybody_is_in(teacher, 3)
    room = room_of(admin, course)
    with matrix_off(admin):
        _hidden(teacher, student, course)
        teacher.goto(f"{course}/communication")
        expect(
            teacher.get_by_text("This course uses Matrix, which is turned off now.")
        ).to_be_visible()
        fine(teacher)
        admin.goto(course)
        enrol(admin, "Student Three", "Student")
        assert told(admin, course)["status"] is None
    joined(eyes, room, "teacher1", "student1", "student2", "student3")
    with all_off(admin):
        _hidden(teacher, student, course)
        for page, path in ((teacher, f"{course}/communication"), (student, "/account")):
            answer = page.goto(path)
            assert answer is not None
            assert answer.status == 404
            expect(page.get_by_role("main")).to_contain_text("turned off")
            fine(page)
        admin.goto(course)
        press(admin, "Unenrol Student Two")
    joined(eyes, room, "teacher1", "student1", "student3")
    assert room_of(admin, course) == room
    student.goto(course)
    expect(open_chat(student)).to_be_visible()
    teacher.goto(f"{course}/communication")
    expect(teacher.get_by_text("3 of 3 people are in the room.")).to_be_visible()


def _hidden(teacher: Page, student: Page, course: str) -> None:
    for page in (teacher, student):
        page.goto(course)
        expect(open_chat(page)).to_have_count(0)
        expect(page.get_by_text("Matrix room")).to_have_count(0)
        expect(page.get_by_role("link", name="My Matrix account")).to_have_count(0)


def test_a_room_is_read_only_while_its_course_is_not_open_and_the_pages_say_why(
    school: Visitors, course: str, eyes: SynapseEyes
) -> None:
    page, student = communication(school, course), school.page("student1")
    choose(page, "Matrix")
    save(page)
    everybody_is_in(page, 3)
    room = room_of(school.page(), course)
    closed: tuple[tuple[dict[str, object], str], ...] = (
        ({"Visible": False}, "The course is hidden, so only teachers can write in its rooms."),
        ({"Opens": "2999-01-01"}, "The course is not open yet, so only teachers can write"),
        ({"Closes": "2001-01-01"}, "The course is closed, so only teachers can write"),
    )
    for values, words in closed:
        _edit(page, course, values)
        page.goto(course)
        seen_after_reloads(page, page.get_by_text(READ_ONLY))
        page.goto(f"{course}/communication")
        expect(page.get_by_text(words)).to_be_visible()
        fine(page)
        until(lambda: _speaks(eyes, room), lambda level: level > 0)
        assert 0 < _speaks(eyes, room) <= 50
        joined(eyes, room, "teacher1", "student1", "student2")
    student.goto(course)
    expect(open_chat(student)).to_be_visible()
    expect(student.get_by_text(READ_ONLY)).to_be_visible()
    fine(student)
    _edit(page, course, {})
    until(lambda: _speaks(eyes, room), lambda level: level == 0)
    assert _speaks(eyes, room) == 0
    page.goto(course)
    expect(page.get_by_text(READ_ONLY)).to_have_count(0)


def _edit(page: Page, course: str, values: dict[str, object]) -> None:
    """The course is open, but for ``values``."""
    page.goto(f"{course}/edit")
    box = page.get_by_role("checkbox", name="Visible", exact=True)
    box.set_checked(bool(values.get("Visible", True)))
    for label in ("Opens", "Closes"):
        page.get_by_label(label, exact=True).fill(str(values.get(label, "")))
    save(page)
    expect(page).to_have_url(re.compile(f"{course}$"))


def _speaks(eyes: SynapseEyes, room: str) -> int:
    """The level that writing a message takes."""
    (levels,) = [e["content"] for e in eyes.state(room) if e["type"] == "m.room.power_levels"]
    return int(levels.get("events", {}).get("m.room.message", levels.get("events_default", 0)))
