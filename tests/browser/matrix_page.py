"""The Matrix settings page, as tests fill it in and read it."""

from __future__ import annotations

from playwright.sync_api import Locator, Page, expect

from tests.browser.visitors import notice

__all__ = [
    "ACCESS",
    "ACCESS_VALUE",
    "ELEMENT",
    "HOME",
    "REFRESH",
    "REFRESH_VALUE",
    "REQUIRED",
    "SETTINGS",
    "TOKENS",
    "field",
    "fill",
    "right",
    "saved",
    "wrong",
]

SETTINGS = "/admin/communication/providers/matrix"
HOME, ACCESS = "Home server URL", "Access token"
REFRESH, ELEMENT = "Refresh token", "Element web URL"
TOKENS = (ACCESS, REFRESH)
REQUIRED = "This field is required."
# Long enough to find in any page, file or message it should not be in.
ACCESS_VALUE = "syt_the-access-token-of-this-test_0123456789"
REFRESH_VALUE = "syr_the-refresh-token-of-this-test_9876543210"


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
