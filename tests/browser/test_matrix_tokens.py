"""Tokens on the Matrix settings page: written, never read."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from commweb.site.homeserver_config import free_port
from tests.browser.matrix_page import (
    ACCESS,
    ACCESS_VALUE,
    ELEMENT,
    HOME,
    REFRESH,
    REFRESH_VALUE,
    REQUIRED,
    SETTINGS,
    TOKENS,
    field,
    fill,
    right,
    saved,
    wrong,
)
from tests.browser.visitors import Visitors, notice, save

pytestmark = pytest.mark.xdist_group("browser-plain")


def test_what_is_typed_into_a_token_field_can_be_shown_and_hidden(settings: Page) -> None:
    field(settings, ACCESS).fill(ACCESS_VALUE)
    settings.get_by_role("button", name="Show Access token", exact=True).click()
    expect(field(settings, ACCESS)).to_have_attribute("type", "text")
    expect(field(settings, REFRESH)).to_have_attribute("type", "password")
    settings.get_by_role("button", name="Hide Access token", exact=True).click()
    expect(field(settings, ACCESS)).to_have_attribute("type", "password")
    expect(field(settings, ACCESS)).to_have_value(ACCESS_VALUE)


def test_saved_values_are_there_on_the_next_visit_and_after_a_restart_but_tokens_never(
    plain: Visitors, settings: Page, nowhere: str, stored: Callable[[], str]
) -> None:
    fill(settings, nowhere)
    field(settings, "Create rooms for new courses").uncheck()
    save(settings)
    saved(settings)
    for visit in range(2):
        settings.goto(SETTINGS)
        expect(field(settings, HOME)).to_have_value(nowhere)
        expect(field(settings, ELEMENT)).to_have_value("https://app.element.io")
        expect(field(settings, "Create rooms for new courses")).not_to_be_checked()
        for label in TOKENS:
            expect(field(settings, label)).to_have_value("")
            expect(settings.get_by_text("A token is stored since")).to_have_count(2)
        if visit == 0:
            plain.site.restart()
    kept = stored() + plain.site.said
    assert ACCESS_VALUE not in kept
    assert REFRESH_VALUE not in kept


def test_no_token_is_in_any_page_or_address(settings: Page, nowhere: str) -> None:
    seen: list[str] = []
    settings.on("request", lambda request: seen.append(request.url))
    fill(settings, nowhere, **{ELEMENT: "ftp://wrong.example"})
    save(settings)
    seen.append(settings.content())
    fill(settings, nowhere)
    settings.get_by_role("button", name="Sign in to get tokens", exact=True).click()
    expect(settings.get_by_role("heading", name="Sign in to get tokens")).to_be_visible()
    seen.append(settings.content())
    settings.goto(SETTINGS)
    fill(settings, nowhere)
    save(settings)
    saved(settings)
    for path in (SETTINGS, f"{SETTINGS}/sign-in", f"{SETTINGS}/clear-tokens", "/admin/"):
        settings.goto(path)
        seen.append(settings.content())
    everything = "\n".join(seen)
    assert ACCESS_VALUE not in everything
    assert REFRESH_VALUE not in everything


def test_blank_tokens_keep_what_is_stored_for_the_same_homeserver(
    settings: Page, nowhere: str, stored: Callable[[], str]
) -> None:
    fill(settings, nowhere)
    save(settings)
    saved(settings)
    before = [line for line in stored().splitlines() if "commweb_connection" in line]
    settings.goto(SETTINGS)
    field(settings, ELEMENT).fill("https://element.example.org")
    save(settings)
    saved(settings)
    expect(field(settings, ELEMENT)).to_have_value("https://element.example.org")
    after = [line for line in stored().splitlines() if "commweb_connection" in line]
    assert after == before


def test_another_homeserver_asks_for_both_tokens_again(settings: Page, nowhere: str) -> None:
    fill(settings, nowhere)
    save(settings)
    saved(settings)
    settings.goto(SETTINGS)
    elsewhere = f"http://127.0.0.1:{free_port()}"
    field(settings, HOME).fill(elsewhere)
    save(settings)
    for label in TOKENS:
        wrong(settings, label, REQUIRED)
    expect(field(settings, HOME)).to_have_value(elsewhere)
    settings.goto(SETTINGS)
    expect(field(settings, HOME)).to_have_value(nowhere)
    fill(settings, elsewhere)
    save(settings)
    saved(settings)
    expect(field(settings, HOME)).to_have_value(elsewhere)


def test_when_another_field_is_wrong_typed_tokens_are_asked_for_again(
    settings: Page, nowhere: str
) -> None:
    fill(settings, nowhere, **{ELEMENT: "app.element.io"})
    save(settings)
    wrong(settings, ELEMENT, "http")
    for label in TOKENS:
        wrong(settings, label, "Enter the token again")
        expect(field(settings, label)).to_have_value("")
    expect(field(settings, ELEMENT)).to_have_value("app.element.io")
    right(settings, HOME)


def test_clearing_the_tokens_is_confirmed_and_then_they_are_required_again(
    settings: Page, nowhere: str
) -> None:
    fill(settings, nowhere)
    save(settings)
    saved(settings)
    settings.goto(SETTINGS)
    settings.get_by_role("button", name="Clear tokens", exact=True).click()
    expect(settings.get_by_role("heading", level=1, name="Clear tokens")).to_be_visible()
    settings.get_by_role("link", name="Cancel", exact=True).click()
    expect(settings.get_by_text("A token is stored since")).to_have_count(2)
    settings.get_by_role("button", name="Clear tokens", exact=True).click()
    settings.get_by_role("main").get_by_role("button", name="Clear tokens", exact=True).click()
    notice(settings, "The tokens are cleared.")
    expect(field(settings, HOME)).to_have_value(nowhere)
    expect(settings.get_by_text("No tokens are stored.")).to_be_visible()
    save(settings)
    for label in TOKENS:
        wrong(settings, label, REQUIRED)
    right(settings, HOME)


def test_the_second_of_two_admins_is_told_and_overwrites_nothing(
    plain: Visitors, settings: Page, nowhere: str
) -> None:
    second = plain.page()
    second.goto(SETTINGS)
    fill(settings, nowhere)
    save(settings)
    saved(settings)
    fill(second, nowhere, **{ELEMENT: "https://other.example.org"})
    save(second)
    expect(second.get_by_role("alert").filter(has_text="saved by somebody else")).to_have_count(1)
    expect(field(second, ELEMENT)).to_have_value("https://other.example.org")
    for label in TOKENS:
        wrong(second, label, "Enter the token again")
    settings.goto(SETTINGS)
    expect(field(settings, ELEMENT)).to_have_value("https://app.element.io")
    second.get_by_role("link", name="Load the current settings").click()
    expect(field(second, ELEMENT)).to_have_value("https://app.element.io")
