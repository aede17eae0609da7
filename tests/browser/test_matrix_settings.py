"""The Matrix settings page, with a homeserver that nobody reaches."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Locator, Page, expect

from commweb.site.homeserver_config import free_port
from tests.browser.visitors import Visitors, notice, save, turn_on

pytestmark = pytest.mark.xdist_group("browser-plain")

SETTINGS = "/admin/communication/providers/matrix"
HOME, ACCESS = "Home server URL", "Access token"
REFRESH, ELEMENT = "Refresh token", "Element web URL"
TOKENS = (ACCESS, REFRESH)
REQUIRED = "This field is required."
# Long enough to find in any page, file or message it should not be in.
ACCESS_VALUE = "syt_the-access-token-of-this-test_0123456789"
REFRESH_VALUE = "syr_the-refresh-token-of-this-test_9876543210"
MOST_SECONDS_OF_A_CHECK = 12


@pytest.fixture
def nowhere() -> str:
    """The address of a homeserver that does not run."""
    return f"http://127.0.0.1:{free_port()}"


@pytest.fixture
def settings(plain: Visitors) -> Page:
    """The settings page as an admin meets it first."""
    page = plain.page()
    turn_on(page)
    page.goto(SETTINGS)
    return page


def field(page: Page, label: str) -> Locator:
    return page.get_by_label(label, exact=True)


def fill(page: Page, home: str, **more: str) -> None:
    """Fill in all four required fields."""
    values = {HOME: home, ACCESS: ACCESS_VALUE, REFRESH: REFRESH_VALUE}
    for label, value in {**values, ELEMENT: "https://app.element.io", **more}.items():
        field(page, label).fill(value)


def wrong(page: Page, label: str, sentence: str) -> None:
    """The field is marked as wrong, and its description says why."""
    expect(field(page, label)).to_have_attribute("aria-invalid", "true")
    expect(beside(page, label)).to_contain_text(sentence)
    expect(beside(page, label)).to_be_visible()


def beside(page: Page, label: str) -> Locator:
    """The error that the field's aria-describedby points to."""
    described = (field(page, label).get_attribute("aria-describedby") or "").split()
    (error,) = [name for name in described if name.endswith("-error")]
    return page.locator(f"[id='{error}']")


def right(page: Page, label: str) -> None:
    expect(field(page, label)).not_to_have_attribute("aria-invalid", "true")


def saved(page: Page) -> None:
    notice(page, "Changes saved")


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


def test_what_is_typed_into_a_token_field_can_be_shown_and_hidden(settings: Page) -> None:
    field(settings, ACCESS).fill(ACCESS_VALUE)
    settings.get_by_role("button", name="Show Access token", exact=True).click()
    expect(field(settings, ACCESS)).to_have_attribute("type", "text")
    expect(field(settings, REFRESH)).to_have_attribute("type", "password")
    settings.get_by_role("button", name="Hide Access token", exact=True).click()
    expect(field(settings, ACCESS)).to_have_attribute("type", "password")
    expect(field(settings, ACCESS)).to_have_value(ACCESS_VALUE)


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
