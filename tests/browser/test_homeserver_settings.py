"""The Matrix settings page with a real Synapse behind it."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.courses import press, title
from tests.browser.running import password_of
from tests.browser.synapse import NotedHomeserver
from tests.browser.visitors import Visitors, notice

pytestmark = pytest.mark.xdist_group("browser-school")

SETTINGS = "/admin/communication/providers/matrix"
SIGN_IN = "Sign in to get tokens"
REACHED = "The homeserver answers."
OWN = "The session belongs to @commweb:localhost on the server localhost."
IS_ADMIN = "@commweb:localhost is a server administrator."


@pytest.fixture
def page(school: Visitors) -> Page:
    """The settings page, before an administrator."""
    page = school.page()
    page.goto(SETTINGS)
    return page


def sign_in(page: Page, username: str, password: str) -> None:
    """Ask for tokens, from the settings page on."""
    page.goto(SETTINGS)
    press(page, SIGN_IN)
    title(page, SIGN_IN)
    page.get_by_label("User name", exact=True).fill(username)
    page.get_by_label("Password", exact=True).fill(password)
    press(page, SIGN_IN)


def test_the_first_start_filled_in_the_settings(school: Visitors, page: Page) -> None:
    home = page.get_by_label("Home server URL", exact=True)
    expect(home).to_have_value(school.site.note()["base_url"])
    element = page.get_by_label("Element web URL", exact=True)
    expect(element).to_have_value("https://app.element.io")
    expect(page.get_by_label("Create rooms for new courses", exact=True)).to_be_checked()
    expect(page.get_by_text("A token is stored since")).to_have_count(2)
    expect(page.get_by_role("definition").filter(has_text="@commweb:localhost")).to_be_visible()


def test_testing_the_connection_says_whose_account_it_is_and_on_which_server(page: Page) -> None:
    press(page, "Test connection")
    for sentence in (REACHED, OWN, IS_ADMIN):
        notice(page, sentence)


def test_saving_tries_the_homeserver_and_says_what_it_found(page: Page) -> None:
    press(page, "Save changes")
    for sentence in ("Changes saved", REACHED, OWN, IS_ADMIN):
        notice(page, sentence)


def test_rate_limits_in_force_are_told_and_lifted_with_a_button(
    school: Visitors, page: Page
) -> None:
    homeserver = NotedHomeserver(school.site)
    homeserver.put_limits_in_force()
    lift = page.get_by_role("button", name="Lift limits for this account", exact=True)
    expect(lift).to_have_count(0)
    press(page, "Test connection")
    notice(page, "rate limits are in force")
    lift.click()
    notice(page, "The rate limits for this account are lifted.")
    assert homeserver.limits_are_lifted()
    press(page, "Test connection")
    notice(page, IS_ADMIN)
    expect(lift).to_have_count(0)


def test_signing_in_gets_tokens_says_when_the_account_is_no_administrator_and_stores_no_password(
    school: Visitors, page: Page
) -> None:
    passwords = [password_of("student1"), school.site.homeserver_password()]
    sign_in(page, "student1", passwords[0])
    title(page, SIGN_IN)
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("@student1:localhost is not a server administrator")
    assert passwords[0] not in page.content()
    sign_in(page, "commweb", passwords[1])
    title(page, "Matrix")
    notice(page, "Changes saved")
    notice(page, "Signed in as @commweb:localhost.")
    notice(page, IS_ADMIN)
    assert passwords[1] not in page.content()
    written = [path.read_bytes() for path in school.site.instance.glob("*.db*")]
    for password in passwords:
        assert not any(password.encode() in content for content in written)
        assert password not in school.site.said


def test_a_wrong_password_is_told_and_changes_nothing(page: Page) -> None:
    sign_in(page, "commweb", "not the password")
    title(page, SIGN_IN)
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("The homeserver does not accept this user name and password.")
    expect(alert).to_contain_text("Nothing was saved.")
    expect(page.get_by_label("User name", exact=True)).to_have_value("commweb")
    expect(page.get_by_label("Password", exact=True)).to_have_value("")
    page.goto(SETTINGS)
    press(page, "Test connection")
    notice(page, OWN)


def test_signing_in_without_a_name_or_a_password_is_refused_beside_the_fields(page: Page) -> None:
    press(page, SIGN_IN)
    press(page, SIGN_IN)
    for label in ("User name", "Password"):
        field = page.get_by_label(label, exact=True)
        expect(field).to_have_attribute("aria-invalid", "true")
        described = field.get_attribute("aria-describedby") or ""
        error = page.locator(f"[id='{described.split()[-1]}']")
        expect(error).to_have_text("This field is required.")


def test_too_many_tries_to_sign_in_say_how_long_to_wait(page: Page, unique: str) -> None:
    for _attempt in range(8):
        sign_in(page, unique, "wrong")
        expect(page.get_by_role("alert")).to_be_visible()
        said = page.get_by_role("alert").inner_text()
        if "limits" in said:
            break
    assert re.search(r"Wait \d+ (second|minute)s?\.", said)
