"""Roles and power levels: the plan before a changed map is applied, and levels set by hand."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.browser.chatter import Chatter
from tests.browser.courses import enrol, follow
from tests.browser.matrix_page import SETTINGS, wrong
from tests.browser.synapse import eyes_of, until
from tests.browser.visitors import Visitors, notice, save
from tests.browser.walking import (
    by_keyboard,
    communication,
    fine,
    joined,
    room_of,
    seen_after_reloads,
    talk_course,
    without_scripts,
)

pytestmark = pytest.mark.xdist_group("browser-school")

TEACHERS = "Power level of teachers"


def ask_for(page: Page, level: str) -> None:
    """Fill in another level of teachers and save, on the settings page."""
    page.goto(SETTINGS)
    page.get_by_text("Advanced settings").click()
    page.get_by_label(TEACHERS, exact=True).fill(level)
    save(page)


def confirm(page: Page) -> None:
    button = page.get_by_role("button", name="Change the power level of")
    by_keyboard(page, button, press="Enter")
    notice(page, "Changes saved")


@pytest.fixture
def admin(school: Visitors) -> Iterator[Page]:
    """An admin without scripts on a small screen; the levels are put back."""
    page = without_scripts(school, "admin")
    yield page
    ask_for(page, "50")
    if page.url.endswith("/changes"):
        confirm(page)


def test_a_changed_map_of_roles_shows_its_plan_and_is_then_applied_everywhere(
    school: Visitors, admin: Page, unique: str
) -> None:
    course = talk_course(school.page(), "Law", unique, "Student One", provider=None)
    eyes, room = eyes_of(school.site), room_of(school.page(), course)
    joined(eyes, room, "teacher1", "student1")
    ask_for(admin, "101")
    wrong(admin, TEACHERS, "Enter a whole number from 0 to 100.")
    ask_for(admin, "60")
    expect(admin).to_have_url(re.compile("/changes$"))
    expect(admin.get_by_role("alert")).to_contain_text("The power level of")
    expect(admin.get_by_text("Nothing was saved yet.")).to_be_visible()
    fine(admin)
    assert eyes.room(room).levels["@teacher1:localhost"] == 50
    confirm(admin)
    seen = until(lambda: eyes.room(room).levels, lambda levels: levels["@teacher1:localhost"] == 60)
    assert seen == {"@teacher1:localhost": 60}
    page = communication(school, course)
    follow(page, "Members of the room")
    seen_after_reloads(page, page.get_by_text("(level 60)"))


def test_a_level_set_by_hand_stays_and_is_marked(school: Visitors, unique: str) -> None:
    admin = school.page()
    course = talk_course(admin, "Law", unique, "Student One", provider=None)
    eyes, room = eyes_of(school.site), room_of(admin, course)
    joined(eyes, room, "teacher1", "student1")
    hand = Chatter(school.site, school.site.note()["access_token"])
    hand.set_level(room, "@student1:localhost", 30)
    admin.goto(course)
    enrol(admin, "Student Two", "Student")
    joined(eyes, room, "teacher1", "student1", "student2")
    page = without_scripts(school, "teacher1")
    page.goto(f"{course}/communication/members")
    seen_after_reloads(page, page.get_by_text("The power level 30 was set by hand."))
    fine(page)
    assert eyes.room(room).levels["@student1:localhost"] == 30
