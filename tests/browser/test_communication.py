"""What teachers and students see of a course's chat, in a browser: with and without scripts."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.courses import follow, press, title
from tests.browser.visitors import Visitors, notice, save
from tests.browser.walking import (
    ELEMENT,
    choose,
    communication,
    everybody_is_in,
    fine,
    seen_after_reloads,
    talk_course,
)

pytestmark = pytest.mark.xdist_group("browser-school")

LINK = "https://chat.example/join?code=1#algebra"


@pytest.fixture
def course(school: Visitors, unique: str) -> str:
    """The path of a new course without a room, with a teacher and two students."""
    return talk_course(school.page(), "Talk", unique, "Student One", "Student Two")


def test_choosing_a_provider_shows_its_fields_at_once_and_loses_nothing(
    school: Visitors, course: str
) -> None:
    page = communication(school, course)
    name = page.get_by_label("Room name", exact=True)
    link = page.get_by_label("Custom link URL", exact=True)
    expect(name).to_be_hidden()
    choose(page, "Matrix")
    name.fill("Ask anything")
    expect(link).to_be_hidden()
    choose(page, "Custom link")
    expect(name).to_be_hidden()
    link.fill(LINK)
    choose(page, "Matrix")
    expect(name).to_have_value("Ask anything")
    choose(page, "Custom link")
    expect(link).to_have_value(LINK)
    save(page)
    notice(page, "Changes saved")
    choose(page, "Matrix")
    expect(name).to_have_value("Ask anything")
    fine(page)


def test_without_scripts_a_button_shows_the_fields(school: Visitors, course: str) -> None:
    page = communication(school, course, java_script_enabled=False)
    link = page.get_by_label("Custom link URL", exact=True)
    choose(page, "Custom link")
    expect(link).to_be_hidden()
    press(page, "Update")
    expect(link).to_be_visible()
    expect(link).not_to_have_attribute("aria-invalid", "true")  # nothing was saved or refused
    link.fill(LINK)
    save(page)
    expect(page.get_by_text("Changes saved")).to_be_visible()
    expect(link).to_have_value(LINK)


def test_a_custom_link_is_every_members_at_once(school: Visitors, course: str) -> None:
    page = communication(school, course)
    choose(page, "Custom link")
    page.get_by_label("Custom link URL", exact=True).fill(LINK)
    save(page)
    notice(page, "Changes saved")
    for person in ("student1", "teacher1"):
        member = school.page(person)
        member.goto(course)
        expect(member.get_by_role("link", name="Open chat", exact=True)).to_be_visible()
        answer = member.request.get(f"{course}/chat", max_redirects=0)
        assert (answer.status, answer.headers["location"]) == (303, LINK)


def test_a_teacher_is_told_once_that_the_room_is_ready_and_students_only_see_the_way_in(
    school: Visitors, course: str
) -> None:
    student = school.page("student1")
    student.goto(course)
    expect(student.get_by_role("link", name="Open chat", exact=True)).to_have_count(0)
    page = communication(school, course)
    choose(page, "Matrix")
    save(page)
    everybody_is_in(page, 3)
    ready = page.get_by_text("Your Matrix room is ready.")
    page.goto(course)
    expect(ready).to_be_visible()
    page.reload()
    expect(page.get_by_role("link", name="Open chat", exact=True)).to_be_visible()
    expect(ready).to_have_count(0)
    student.reload()
    expect(student.get_by_role("link", name="Open chat", exact=True)).to_be_visible()
    expect(student.get_by_text("Matrix room")).to_have_count(0)


def test_somebody_in_several_groups_chooses_among_the_rooms(school: Visitors, course: str) -> None:
    page = school.page("teacher1")
    page.goto(f"{course}/edit")
    page.get_by_label("Group mode", exact=True).select_option("Separate groups")
    save(page)
    for group, people in (("Red", ("One", "Two")), ("Blue", ("Two",))):
        page.get_by_label("Group name", exact=True).fill(group)
        press(page, "Create group")
        for number in people:
            page.get_by_label("Member", exact=True).select_option(f"Student {number}")
            page.get_by_label("Group", exact=True).select_option(group)
            press(page, "Add to group")
    follow(page, "Communication")
    choose(page, "Matrix")
    page.get_by_label("Room name", exact=True).fill("Talk")
    page.get_by_label("Rooms", exact=True).select_option("One room for each group")
    fine(page)
    save(page)
    everybody_is_in(page, 3)
    everybody_is_in(page, 2)
    student = school.page("student2")
    student.goto(course)
    expect(student.get_by_role("link", name="Talk - Red", exact=True)).to_be_visible()
    follow(student, "Open chat")
    for group in ("Red", "Blue"):
        link = student.get_by_role("link", name=f"Talk - {group}", exact=True)
        assert (link.get_attribute("href") or "").startswith(ELEMENT)
    fine(student)
    follow(page, "Members of the rooms")
    page.get_by_label("Room", exact=True).select_option("Talk - Red")
    page.get_by_label("Name, account or state", exact=True).fill("student")
    press(page, "Search")
    title(page, "Members of the room")
    expect(page.get_by_role("rowheader")).to_have_text(["Student One", "Student Two"])
    fine(page)


def test_a_hidden_course_says_that_its_room_is_read_only(school: Visitors, course: str) -> None:
    page = communication(school, course)
    choose(page, "Matrix")
    save(page)
    everybody_is_in(page, 3)
    page.goto(f"{course}/edit")
    page.get_by_role("checkbox", name="Visible", exact=True).uncheck()
    save(page)
    words = page.get_by_text("Your Matrix room is read-only while the course is not open.")
    seen_after_reloads(page, words)
    follow(page, "Communication")
    expect(page.get_by_text("The course is hidden")).to_be_visible()
