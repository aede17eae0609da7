"""A course with groups: which rooms it has, and what each of its people sees of them."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.browser.courses import follow, press, title
from tests.browser.matrix_page import wrong
from tests.browser.synapse import eyes_of, until
from tests.browser.visitors import Visitors, notice, save
from tests.browser.walking import (
    ELEMENT,
    by_keyboard,
    choose,
    fine,
    joined,
    open_chat,
    talk_course,
    told,
    without_scripts,
)

pytestmark = pytest.mark.xdist_group("browser-school")

TEMPLATE = "Name template for groups"


@pytest.fixture
def course(school: Visitors, unique: str) -> str:
    """A course with Student One and Two in the group Red, and Two in the group Blue."""
    admin = school.page()
    path = talk_course(admin, "Talk", unique, "Student One", "Student Two", "Student Three")
    page = school.page("teacher1")
    page.goto(f"{path}/edit")
    page.get_by_label("Group mode", exact=True).select_option("Separate groups")
    save(page)
    for group, numbers in (("Red", ("One", "Two")), ("Blue", ("Two",))):
        page.get_by_label("Group name", exact=True).fill(group)
        press(page, "Create group")
        for number in numbers:
            page.get_by_label("Member", exact=True).select_option(f"Student {number}")
            page.get_by_label("Group", exact=True).select_option(group)
            press(page, "Add to group")
    return path


def rooms(page: Page, path: str, count: int) -> dict[str, str]:
    """The ids of this many ready rooms, by group's name's end."""

    def ready(document: dict[str, object]) -> bool:
        found = document["rooms"]
        assert isinstance(found, list)
        return len(found) == count and all(room["status"] == "ready" for room in found)

    seen = until(lambda: told(page, path), ready)
    assert ready(seen), seen
    return {room["name"]: room["remote_id"] for room in seen["rooms"]}


def test_a_course_has_one_room_for_each_group_or_one_more_for_everybody(
    school: Visitors, course: str, unique: str
) -> None:
    page, eyes = school.page("teacher1"), eyes_of(school.site)
    page.goto(f"{course}/communication")
    choose(page, "Matrix")
    page.get_by_label("Room name", exact=True).fill(f"Talk {unique}")
    page.get_by_label("Rooms", exact=True).select_option("Both")
    template = page.get_by_label(TEMPLATE, exact=True)
    template.fill("{course} only")
    save(page)
    wrong(page, TEMPLATE, "so that people can tell the rooms apart")
    expect(template).to_have_value("{course} only")
    expect(page.get_by_label("Rooms", exact=True).locator("option:checked")).to_have_text("Both")
    fine(page)
    template.fill("{group}: {room}")
    save(page)
    notice(page, "Changes saved")

    found = rooms(school.page(), course, 3)
    red, blue = found[f"Red: Talk {unique}"], found[f"Blue: Talk {unique}"]
    everybody = ("student1", "student2", "student3")
    joined(eyes, found[f"Talk {unique}"], "teacher1", *everybody)
    assert joined(eyes, red, "teacher1", "student1", "student2").levels["@teacher1:localhost"] == 50
    assert joined(eyes, blue, "teacher1", "student2").levels["@teacher1:localhost"] == 50
    page.reload()
    expect(page.get_by_role("region", name="State").get_by_role("listitem")).to_have_count(3)
    fine(page)

    _sees(without_scripts(school, "student2"), course, *found)
    _sees(without_scripts(school, "student1"), course, f"Talk {unique}", f"Red: Talk {unique}")
    student = school.page("student3")
    answer = student.request.get(f"{course}/chat", max_redirects=0)
    assert answer.headers["location"].endswith(found[f"Talk {unique}"])

    page.goto(course)
    press(page, "Remove Student One from Red")
    joined(eyes, red, "teacher1", "student2")
    follow(page, "Delete group Blue")
    fine(page)
    press(page, "Delete group")
    joined(eyes, blue)
    assert set(rooms(school.page(), course, 2).values()) == {red, found[f"Talk {unique}"]}


def _sees(student: Page, course: str, *names: str) -> None:
    """Somebody in several rooms reads all of them, and chooses one by keyboard."""
    student.goto(course)
    for name in names:
        expect(student.get_by_role("link", name=name, exact=True)).to_be_visible()
    fine(student)
    by_keyboard(student, open_chat(student), press="Enter")
    title(student, "Chat")
    choices = student.get_by_role("main").locator(".commweb-choices .btn-primary")
    assert sorted(choices.all_inner_texts()) == sorted(names)
    for choice in choices.all():
        assert (choice.get_attribute("href") or "").startswith(ELEMENT)
    fine(student)


def test_somebody_without_a_group_is_told_that_there_is_no_room_yet(
    school: Visitors, course: str
) -> None:
    page = school.page("teacher1")
    page.goto(f"{course}/communication")
    choose(page, "Matrix")
    page.get_by_label("Rooms", exact=True).select_option("One room for each group")
    save(page)
    rooms(school.page(), course, 2)
    student = school.page("student3")
    student.goto(course)
    expect(open_chat(student)).to_have_count(0)
    refused = student.goto(f"{course}/chat")
    assert refused is not None
    assert refused.status == 404
    expect(student.get_by_text("You are not in the room of this course")).to_be_visible()
    fine(student)
