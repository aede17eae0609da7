"""The Matrix settings page, with a homeserver that nobody reaches."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.browser.matrix_page import (
    ACCESS,
    ELEMENT,
    HOME,
    REFRESH,
    REQUIRED,
    SETTINGS,
    TOKENS,
    field,
    fill,
    right,
    saved,
    wrong,
)
from tests.browser.visitors import Visitors, save, turn_on

pytestmark = pytest.mark.xdist_group("browser-plain")

MOST_SECONDS_OF_A_CHECK = 12


def test_the_page_has_four_required_fields_and_tokens_are_masked(settings: Page) -> None:
    for label, kind in (
        (HOME, "text"),
        (ELEMENT, "text"),
        (ACCESS, "password"),
        (REFRESH, "password"),
    ):
        expect(field(settings, label)).to_have_attribute("type", kind)
        expect(field(settings, label)).to_have_attribute("aria-required", "true")
        expect(field(settings, label)).to_have_value("")
    for label in TOKENS:
        expect(field(settings, label)).to_have_attribute("autocomplete", "off")
    expect(
        settings.get_by_role("checkbox", name="Create rooms for new courses", exact=True)
    ).to_be_checked()
    for name in ("Save changes", "Test connection", "Sign in to get tokens", "Clear tokens"):
        expect(settings.get_by_role("button", name=name, exact=True)).to_have_count(1)


def test_every_field_says_what_it_is_and_where_to_get_it(settings: Page) -> None:
    for label in (HOME, ACCESS, REFRESH, ELEMENT):
        described = field(settings, label).get_attribute("aria-describedby") or ""
        text = " ".join(
            settings.locator(f"[id='{name}']").inner_text() for name in described.split()
        )
        assert len(text.split()) > 8, label


def test_saving_without_any_of_the_fields_is_refused_beside_each(
    settings: Page, stored: Callable[[], str]
) -> None:
    before = stored()
    save(settings)
    for label in (HOME, ACCESS, REFRESH, ELEMENT):
        wrong(settings, label, REQUIRED)
    expect(settings.get_by_text("Changes saved")).to_have_count(0)
    assert stored() == before


@pytest.mark.parametrize("missing", [HOME, ACCESS, REFRESH, ELEMENT])
def test_saving_without_one_field_stores_nothing_and_keeps_what_was_typed(
    settings: Page, nowhere: str, stored: Callable[[], str], missing: str
) -> None:
    before = stored()
    fill(settings, **{"home": nowhere, missing: "   " if missing == HOME else ""})
    field(settings, "Create rooms for new courses").uncheck()
    save(settings)
    wrong(settings, missing, REQUIRED)
    typed = {HOME: nowhere, ELEMENT: "https://app.element.io", missing: ""}
    for label in (HOME, ELEMENT):
        expect(field(settings, label)).to_have_value(typed[label])
    for label in TOKENS:
        expect(field(settings, label)).to_have_value("")
        if label != missing:
            wrong(settings, label, "Enter the token again")
    expect(field(settings, "Create rooms for new courses")).not_to_be_checked()
    assert stored() == before


def test_a_message_leads_to_the_field_that_is_wrong(settings: Page) -> None:
    save(settings)
    settings.get_by_role("alert").get_by_role("link").first.click()
    expect(field(settings, HOME)).to_be_focused()


def test_a_homeserver_that_is_not_there_is_a_warning_and_the_settings_stay_saved(
    settings: Page, nowhere: str
) -> None:
    fill(settings, f"{nowhere}/")
    save(settings)
    saved(settings)
    warning = settings.get_by_role("alert").filter(has_text="127.0.0.1")
    expect(warning).to_have_count(1)
    settings.goto(SETTINGS)
    expect(field(settings, HOME)).to_have_value(nowhere)  # the trailing slash is gone
    expect(field(settings, ELEMENT)).to_have_value("https://app.element.io")


def test_a_homeserver_that_never_answers_holds_the_page_up_for_ten_seconds_at_most(
    settings: Page, silent: str
) -> None:
    said: list[str] = []
    settings.expose_function("hear", lambda text: said.append(text))  # noqa: PLW0108
    settings.evaluate(
        """() => document.querySelectorAll("[role=status]").forEach(place => {
            const observer = new MutationObserver(() => hear(place.textContent));
            observer.observe(place, {childList: true});
        })"""
    )
    fill(settings, silent)
    button = settings.get_by_role("button", name="Save changes", exact=True)
    button.click(timeout=MOST_SECONDS_OF_A_CHECK * 1000)
    expect(settings.get_by_role("alert").filter(has_text="did not answer")).to_have_count(1)
    saved(settings)
    assert said == ["Trying the homeserver…"]


@pytest.fixture
def silent() -> Iterator[str]:
    """The address of a server that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


BAD_ADDRESSES = {
    "ftp://matrix.example.org": "http",
    "matrix.example.org": "http",
    "https://": "host",
    "https://user:word@matrix.example.org": "user",
    "https://matrix.example.org/?a=b": "question mark",
    "https://matrix.example.org/#a": "the #",
    "http://169.254.169.254": "metadata",
    "http://[::ffff:169.254.169.254]": "metadata",
    "http://2852039166": "metadata",
    "http://0251.0376.0251.0376": "metadata",
    "http://0xa9fea9fe": "metadata",
    "http://metadata.google.internal": "metadata",
}


def test_addresses_that_cannot_be_a_homeserver_are_refused_beside_the_field(
    settings: Page,
) -> None:
    for address, word in BAD_ADDRESSES.items():
        fill(settings, address)
        save(settings)
        wrong(settings, HOME, word)
        expect(field(settings, HOME)).to_have_value(address)
    fill(settings, "https://matrix.example.org", **{ELEMENT: "https://a:b@app.element.io"})
    save(settings)
    wrong(settings, ELEMENT, "user")
    right(settings, HOME)


def test_plain_http_to_another_host_is_saved_with_a_warning(settings: Page, nowhere: str) -> None:
    fill(settings, nowhere, **{ELEMENT: "http://element.example.org"})
    save(settings)
    saved(settings)
    warning = settings.get_by_role("alert").filter(has_text="is not encrypted")
    expect(warning).to_have_count(1)
    expect(warning).to_contain_text(ELEMENT)


def test_the_whole_page_works_without_javascript(plain: Visitors, nowhere: str) -> None:
    page = plain.page(java_script_enabled=False)
    turn_on(page)
    page.goto(SETTINGS)
    expect(page.get_by_role("button", name="Show Access token")).to_have_count(0)
    save(page)
    wrong(page, ACCESS, REQUIRED)
    fill(page, nowhere)
    save(page)
    saved(page)
    expect(field(page, HOME)).to_have_value(nowhere)
