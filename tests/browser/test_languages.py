"""German and French in a real browser: chosen by the browser or at the foot of a page, and as
readable as English."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.courses import press
from tests.browser.looking import everybodys_problems, keyboard_problems
from tests.browser.visitors import Visitors, log_in

pytestmark = pytest.mark.xdist_group("browser-school")

MATRIX = "/admin/communication/providers/matrix"
PAGES = (
    ("student1", "/courses/1"),
    ("teacher1", "/courses/1"),
    ("teacher1", "/courses/1/communication"),
    ("teacher1", "/courses/1/communication/members"),
    ("teacher1", "/account"),
    ("admin", "/people"),
    ("admin", "/admin/communication/providers"),
    ("admin", MATRIX),
    ("admin", f"{MATRIX}/sign-in"),
    ("admin", "/admin/communication/rooms"),
)


@pytest.mark.parametrize("locale", ["de-AT", "fr-CA"])
@pytest.mark.parametrize(("who", "path"), PAGES)
def test_a_page_in_another_language_is_for_everybody(
    school: Visitors, locale: str, who: str, path: str
) -> None:
    page = school.page(who, locale=locale)
    page.goto(path)
    expect(page.locator("html")).to_have_attribute("lang", locale[:2])
    found = everybodys_problems(page) + keyboard_problems(page)
    assert not found, "\n".join(found)


def test_a_language_is_chosen_at_the_foot_of_the_page_and_stays(school: Visitors) -> None:
    page = school.signed_out()
    log_in(page, "teacher1")
    page.goto("/courses/1/communication")
    press(page, "Deutsch")
    expect(page).to_have_url(f"{school.site.url}/courses/1/communication")
    expect(page.get_by_role("heading", level=1)).to_contain_text("Kommunikation")
    expect(page.get_by_role("button", name="Änderungen speichern", exact=True)).to_be_visible()
    expect(page.get_by_role("button", name="Deutsch", exact=True)).to_have_attribute(
        "aria-current", "true"
    )
    press(page, "Abmelden")
    expect(page.get_by_role("status")).to_have_text("Sie haben sich abgemeldet.")
    press(page, "Français")
    expect(page.get_by_role("heading", level=1, name="Se connecter", exact=True)).to_be_visible()


def test_a_language_is_chosen_without_a_script(school: Visitors) -> None:
    page = school.page("student1", java_script_enabled=False)
    page.goto("/courses/1")
    press(page, "Français")
    expect(page).to_have_url(f"{school.site.url}/courses/1")
    expect(page.get_by_role("link", name="Cours", exact=True).first).to_be_visible()
