"""Every page for everybody: axe's rules, light and dark, wide and narrow, keyboard alone."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from playwright.sync_api import Page, expect

from tests.browser.courses import enrol, follow, new_course, press
from tests.browser.looking import everybodys_problems, keyboard_problems
from tests.browser.visitors import Visitors, log_in

pytestmark = pytest.mark.xdist_group("browser-school")

SETTINGS = "/admin/communication/providers/matrix"


@dataclass(frozen=True)
class Place:
    """A page of somebody; ``button``: pressed there, and the page that answers is looked at."""

    who: str
    path: str
    button: str = ""

    def __str__(self) -> str:
        return " ".join(filter(None, (self.who, self.path, self.button)))


PLACES = (
    Place("student1", "/courses/"),
    Place("student1", "/courses/1"),
    Place("student1", "/admin/"),
    Place("teacher1", "/courses/1"),
    Place("teacher1", "/courses/1/edit"),
    Place("teacher1", "/courses/1/communication"),
    Place("teacher1", "/courses/1/communication/members"),
    Place("teacher1", "/account"),
    Place("admin", "/courses/"),
    Place("admin", "/courses/new"),
    Place("admin", "/courses/new", "Create course"),
    Place("admin", "/courses/1"),
    Place("admin", "/courses/1", "Enrol"),
    Place("admin", "/courses/1/edit"),
    Place("admin", "/courses/1/delete"),
    Place("admin", "/courses/1/communication"),
    Place("admin", "/people"),
    Place("admin", "/people", "Create person"),
    Place("admin", "/people/3/edit"),
    Place("admin", "/admin/"),
    Place("admin", "/admin/experimental"),
    Place("admin", "/admin/communication/providers"),
    Place("admin", SETTINGS),
    Place("admin", SETTINGS, "Test connection"),
    Place("admin", f"{SETTINGS}?found=rate_limited"),
    Place("admin", f"{SETTINGS}/sign-in"),
    Place("admin", f"{SETTINGS}/sign-in", "Sign in to get tokens"),
    Place("admin", f"{SETTINGS}/clear-tokens"),
    Place("admin", "/admin/communication/rooms"),
    Place("admin", "/admin/communication/rooms/1"),
    Place("admin", "/nothing/here"),
)


def problems(page: Page) -> str:
    return "\n".join(everybodys_problems(page) + keyboard_problems(page))


def fine(page: Page) -> None:
    found = problems(page)
    assert not found, found


@pytest.mark.parametrize("place", PLACES, ids=str)
def test_a_page_is_for_everybody(school: Visitors, place: Place) -> None:
    page = school.page(place.who)
    page.goto(place.path)
    if place.button:
        press(page, place.button)
        expect(page.get_by_role("status").or_(page.get_by_role("alert")).first).to_be_attached()
    fine(page)


@pytest.mark.parametrize("path", ["/login", "/nothing/here"])
def test_a_page_is_for_everybody_who_is_not_logged_in(school: Visitors, path: str) -> None:
    page = school.signed_out()
    page.goto(path)
    fine(page)


def test_a_refused_login_is_for_everybody(school: Visitors, unique: str) -> None:
    page = school.signed_out()
    log_in(page, unique, "wrong")
    fine(page)


def test_all_fields_of_the_matrix_settings_are_for_everybody_when_they_are_wrong(
    school: Visitors,
) -> None:
    page = school.page()
    page.goto(SETTINGS)
    page.get_by_label("Home server URL", exact=True).fill("ftp://wrong.example")
    page.get_by_label("Access token", exact=True).fill("a token")
    page.get_by_label("Element web URL", exact=True).fill("")
    page.get_by_text("Advanced settings").click()
    press(page, "Save changes")
    expect(page.get_by_role("alert")).to_contain_text("Nothing was saved.")
    page.get_by_text("Advanced settings").click()
    fine(page)


def test_a_course_with_groups_and_long_names_is_for_everybody(
    school: Visitors, unique: str
) -> None:
    page = school.page()
    word = "Donaudampfschifffahrtsgesellschaftskapitän"
    new_course(page, f"{word} {word} {unique}", unique, summary=f"{word}{word}", provider="None")
    enrol(page, "Student Seven", "Student")
    page.get_by_label("Group name", exact=True).fill(f"{word}{word}")
    press(page, "Create group")
    page.get_by_label("Member", exact=True).select_option("Student Seven")
    press(page, "Add to group")
    fine(page)
    follow(page, f"Delete group {word}{word}")
    fine(page)
    page.goto("/courses/")
    fine(page)


def test_these_checks_find_faults(school: Visitors) -> None:
    page = school.page()
    page.evaluate(
        """() => {
            document.querySelector("main").insertAdjacentHTML("beforeend",
                "<img src='/static/favicon.svg'><p class='text-nowrap'>"
                + "wide ".repeat(500) + "</p>"
                + "<a href='/' tabindex='-1'>away</a><p style='color: red'></p>");
            for (const rule of ["outline", "box-shadow"])
                document.querySelector("main .btn").style.setProperty(rule, "none", "important");
        }"""
    )
    found = problems(page)
    for fault in (
        "image-alt",
        "too wide: <p class",
        "not reached by keyboard",
        "focus is not visible",
    ):
        assert fault in found
    (refused,) = school.problems
    assert "Content Security Policy" in refused
    school.problems.clear()
