"""Turning the communication subsystem on, and managing its providers."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.looking import everybodys_problems, keyboard_problems
from tests.browser.visitors import Visitors, notice, save, turn_on

pytestmark = pytest.mark.xdist_group("browser-plain")

PROVIDERS = "/admin/communication/providers"
WHERE = "Site administration > Development > Experimental settings"
ADMIN_PAGES = (
    PROVIDERS,
    f"{PROVIDERS}/matrix",
    f"{PROVIDERS}/matrix/sign-in",
    f"{PROVIDERS}/matrix/clear-tokens",
    "/admin/communication/rooms",
)
COURSE_PAGES = ("/courses/1/communication", "/courses/1/chat")


def heading(page: Page, level: int, name: str) -> None:
    expect(page.get_by_role("heading", level=level, name=name, exact=True)).to_have_count(1)


def test_a_new_site_has_the_subsystem_off_and_shows_no_communication_section(
    plain: Visitors,
) -> None:
    page = plain.page()
    page.get_by_role("link", name="Site administration", exact=True).click()
    heading(page, 1, "Site administration")
    heading(page, 2, "Development")
    expect(page.get_by_role("heading", name="Communication")).to_have_count(0)
    expect(page.get_by_role("link", name="Matrix")).to_have_count(0)
    page.get_by_role("link", name="Experimental settings", exact=True).click()
    box = page.get_by_role("checkbox", name="Enable communications subsystems", exact=True)
    expect(box).not_to_be_checked()


@pytest.mark.parametrize("path", ADMIN_PAGES + COURSE_PAGES)
def test_while_it_is_off_every_communication_page_says_where_to_turn_it_on(
    plain: Visitors, path: str
) -> None:
    page = plain.page()
    answer = page.goto(path)
    assert answer is not None
    assert answer.status == 404
    expect(page.get_by_role("main")).to_contain_text(WHERE)


def test_permission_comes_before_whether_the_subsystem_is_on(plain: Visitors) -> None:
    student = plain.page("student1").request
    for path in (*ADMIN_PAGES, "/courses/1/communication"):
        assert student.get(path).status == 403
    nobody = plain.signed_out().request
    for path in ADMIN_PAGES + COURSE_PAGES:
        answer = nobody.get(path, max_redirects=0)
        assert answer.status == 302
        assert answer.headers["location"].startswith("/login?next=")


def test_while_it_is_off_a_new_course_is_offered_no_provider_and_gets_no_room(
    plain: Visitors, unique: str
) -> None:
    page = plain.page()
    page.goto("/courses/new")
    expect(page.get_by_label("Provider", exact=True)).to_have_count(0)
    page.get_by_label("Course full name", exact=True).fill(f"Quiet {unique}")
    page.get_by_label("Course short name", exact=True).fill(unique)
    page.get_by_role("button", name="Create course", exact=True).click()
    heading(page, 1, f"Quiet {unique}")
    expect(page.get_by_role("link", name="Communication", exact=True)).to_have_count(0)
    expect(page.get_by_text("Matrix room")).to_have_count(0)
    turn_on(page)
    page.goto("/admin/communication/rooms")
    expect(page.get_by_role("table")).to_have_count(0)


def test_turning_it_on_shows_the_providers_and_turning_it_off_hides_them_again(
    plain: Visitors,
) -> None:
    page = plain.page()
    turn_on(page)
    page.get_by_role("link", name="Site administration", exact=True).first.click()
    heading(page, 2, "Plugins")
    heading(page, 3, "Communication")
    for name in ("Manage communication providers", "Matrix", "Rooms"):
        expect(page.get_by_role("link", name=name, exact=True)).to_have_count(1)
    page.get_by_role("link", name="Experimental settings", exact=True).click()
    box = page.get_by_role("checkbox", name="Enable communications subsystems", exact=True)
    expect(box).to_be_checked()
    box.uncheck()
    save(page)
    notice(page, "Changes saved")
    page.goto("/admin/")
    expect(page.get_by_role("heading", name="Communication")).to_have_count(0)


def test_the_providers_are_a_table_with_matrix_enabled_and_no_way_to_uninstall_it(
    plain: Visitors,
) -> None:
    page = plain.page()
    turn_on(page)
    page.goto("/admin/")
    page.get_by_role("link", name="Manage communication providers", exact=True).click()
    heading(page, 1, "Manage communication providers")
    for name in ("Name", "Enable", "Settings", "Uninstall"):
        expect(page.get_by_role("columnheader", name=name, exact=True)).to_have_count(1)
    row = page.get_by_role("row", name=re.compile("Matrix"))
    expect(row.get_by_role("rowheader", name="Matrix", exact=True)).to_have_count(1)
    expect(row.get_by_role("button")).to_have_count(1)
    expect(row.get_by_role("button", name="Disable Matrix", exact=True)).to_be_visible()
    expect(row.get_by_role("link")).to_have_count(1)
    row.get_by_role("link", name="Settings", exact=True).click()
    heading(page, 1, "Matrix")


def test_the_server_refuses_to_uninstall_matrix(plain: Visitors) -> None:
    page = plain.page()
    turn_on(page)
    page.goto(PROVIDERS)
    token = page.locator("input[name=csrf_token]").first.get_attribute("value") or ""
    answer = page.request.post(f"{PROVIDERS}/matrix/uninstall", form={"csrf_token": token})
    assert answer.status == 403
    assert "cannot be uninstalled" in answer.text()
    page.goto(PROVIDERS)
    expect(page.get_by_role("row", name=re.compile("Matrix"))).to_have_count(1)


@pytest.mark.parametrize("key", ["Enter", "Space"])
def test_the_eye_is_pressed_with_the_keyboard(plain: Visitors, key: str) -> None:
    page = plain.page()
    turn_on(page)
    page.goto(PROVIDERS)
    eye = page.get_by_role("button", name="Disable Matrix", exact=True)
    while not eye.evaluate("button => button === document.activeElement"):
        page.keyboard.press("Tab")
    page.keyboard.press(key)
    expect(page.get_by_role("button", name="Enable Matrix", exact=True)).to_be_visible()
    notice(page, "Matrix is disabled.")


def test_the_eye_works_without_javascript_and_a_disabled_provider_keeps_its_settings_page(
    plain: Visitors,
) -> None:
    page = plain.page(java_script_enabled=False)
    turn_on(page)
    page.goto(PROVIDERS)
    name = page.get_by_role("rowheader", name="Matrix", exact=True)
    bright = name.evaluate("cell => getComputedStyle(cell).color")
    page.get_by_role("button", name="Disable Matrix", exact=True).click()
    assert name.evaluate("cell => getComputedStyle(cell).color") != bright
    page.get_by_role("link", name="Settings", exact=True).click()
    heading(page, 1, "Matrix")
    expect(page.get_by_role("main")).to_contain_text("Matrix is disabled")
    page.goto(PROVIDERS)
    page.get_by_role("button", name="Enable Matrix", exact=True).click()
    expect(page.get_by_role("button", name="Disable Matrix", exact=True)).to_be_visible()
    assert name.evaluate("cell => getComputedStyle(cell).color") == bright


def test_a_disabled_provider_is_dimmed_but_can_be_read(plain: Visitors) -> None:
    page = plain.page()
    turn_on(page)
    page.goto(PROVIDERS)
    page.get_by_role("button", name="Disable Matrix", exact=True).click()
    expect(page.get_by_role("button", name="Enable Matrix", exact=True)).to_be_visible()
    assert everybodys_problems(page) + keyboard_problems(page) == []


def test_the_second_of_two_admins_is_told_that_the_first_changed_the_experimental_settings(
    plain: Visitors,
) -> None:
    first, second = plain.page(), plain.page()
    second.goto("/admin/experimental")
    turn_on(first)
    save(second)
    expect(second.get_by_role("alert")).to_contain_text("saved by somebody else")
    first.reload()
    expect(first.get_by_role("checkbox")).to_be_checked()
