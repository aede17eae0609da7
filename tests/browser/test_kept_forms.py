"""A session that ended while a form was typed: nothing is stored, and nothing typed is lost."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing

import pytest
from playwright.sync_api import Page, expect

from tests.browser.courses import new_course, press, title
from tests.browser.matrix_page import SETTINGS
from tests.browser.running import password_of
from tests.browser.visitors import Visitors, log_in, notice, turn_on

pytestmark = pytest.mark.xdist_group("browser-plain")

OFFER = "You typed something here before you were logged out."
LOGGED_OUT = "You were logged out. Log in and send the form again."


def type_in(page: Page, username: str) -> None:
    page.get_by_label("User name", exact=True).fill(username)
    page.get_by_label("Password", exact=True).fill(password_of(username))
    press(page, "Log in")


def kept(page: Page) -> str:
    """All that the tab keeps, after the page's script has run."""
    page.wait_for_load_state("load")
    return str(page.evaluate("JSON.stringify(Object.entries(sessionStorage))"))


@pytest.fixture
def typed(plain: Visitors, unique: str) -> Page:
    """A page on which somebody typed a summary, and whose session has ended meanwhile."""
    page = plain.signed_out()
    log_in(page, "admin")
    new_course(page, f"Course {unique}", unique)
    page.get_by_role("link", name="Edit course", exact=True).click()
    page.get_by_label("Summary", exact=True).fill("A long text that nobody wants to type again")
    return page


def test_what_was_typed_is_offered_back_after_logging_in_again(typed: Page, unique: str) -> None:
    typed.context.clear_cookies()
    press(typed, "Save changes")
    expect(typed.get_by_text(LOGGED_OUT)).to_be_visible()
    assert "A long text" not in typed.content()
    typed.get_by_role("link", name="Log in", exact=True).last.click()
    type_in(typed, "admin")
    title(typed, "Edit course")
    expect(typed.get_by_text(OFFER)).to_be_visible()
    expect(typed.get_by_label("Summary", exact=True)).to_have_value("")
    press(typed, "Put it back")
    expect(typed.get_by_label("Summary", exact=True)).to_have_value(
        "A long text that nobody wants to type again"
    )
    expect(typed.get_by_label("Summary", exact=True)).to_be_focused()
    expect(typed.get_by_text(OFFER)).to_have_count(0)
    press(typed, "Save changes")
    notice(typed, "Changes saved")
    typed.get_by_role("link", name="Edit course", exact=True).click()
    expect(typed.get_by_text(OFFER)).to_have_count(0)
    assert kept(typed) == "[]"


def test_a_session_that_the_server_ended_loses_nothing_either(typed: Page, plain: Visitors) -> None:
    with (
        closing(sqlite3.connect(plain.site.instance / "site.db", timeout=15)) as database,
        database,
    ):
        database.execute("DELETE FROM login WHERE began = (SELECT max(began) FROM login)")
    press(typed, "Save changes")
    title(typed, "Log in")
    expect(typed.get_by_text(LOGGED_OUT)).to_be_visible()
    type_in(typed, "admin")
    title(typed, "Edit course")
    press(typed, "Discard it")
    expect(typed.get_by_text(OFFER)).to_have_count(0)
    assert kept(typed) == "[]"


def test_another_person_is_offered_nothing_and_it_is_forgotten(typed: Page) -> None:
    typed.context.clear_cookies()
    press(typed, "Save changes")
    assert "A long text" in kept(typed)
    log_in(typed, "teacher1")
    title(typed, "Courses")
    assert kept(typed) == "[]"


def test_what_was_stored_or_is_shown_again_is_not_kept(typed: Page) -> None:
    typed.get_by_label("Course full name", exact=True).fill("")
    press(typed, "Save changes")
    expect(typed.get_by_text("This field is required.")).to_be_visible()
    assert kept(typed) == "[]"


def test_passwords_and_tokens_are_never_kept(plain: Visitors) -> None:
    page = plain.signed_out()
    log_in(page, "admin")
    turn_on(page)
    page.goto(SETTINGS)
    token = page.get_by_label("Access token", exact=True)
    token.fill("syt_typed_token")
    page.get_by_role("button", name="Show Access token", exact=True).click()
    assert token.get_attribute("type") == "text"
    page.get_by_text("Advanced settings").click()
    for box in page.locator("main form input[type=text]").all():
        if box.is_visible() and box.is_editable() and not box.input_value():
            box.fill("something else")
    page.context.clear_cookies()
    press(page, "Save changes")
    expect(page.get_by_text(LOGGED_OUT)).to_be_visible()
    assert "syt_typed_token" not in kept(page)
    log_in(page, "admin")
    page.goto("/people")
    page.get_by_label("Full name", exact=True).fill("Nina New")
    page.get_by_label("Password", exact=True).fill("typed password")
    page.context.clear_cookies()
    press(page, "Create person")
    expect(page.get_by_text(LOGGED_OUT)).to_be_visible()
    assert "typed password" not in kept(page)
    json.loads(kept(page))


def test_without_scripts_the_page_and_the_way_back_are_there(plain: Visitors, unique: str) -> None:
    page = plain.signed_out(java_script_enabled=False)
    log_in(page, "admin")
    page.goto("/courses/1/edit")
    page.get_by_label("Summary", exact=True).fill("Typed")
    page.context.clear_cookies()
    press(page, "Save changes")
    page.get_by_role("link", name="Log in", exact=True).last.click()
    type_in(page, "admin")
    title(page, "Edit course")
