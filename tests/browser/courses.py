"""What administrators do with courses and people on the course site's pages."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from tests.browser.visitors import notice

__all__ = ["NEW_PASSWORD", "enrol", "follow", "new_course", "new_person", "press", "title"]

NEW_PASSWORD = "a password for this test"


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


def follow(page: Page, name: str) -> None:
    page.get_by_role("link", name=name, exact=True).click()


def title(page: Page, name: str) -> None:
    expect(page.get_by_role("heading", level=1, name=name, exact=True)).to_be_visible()


def new_course(
    page: Page, full_name: str, short_name: str, *, summary: str = "", provider: str | None = None
) -> str:
    """Make a course; answers its path. ``provider`` None: what the page preselects."""
    page.goto("/courses/new")
    page.get_by_label("Course full name", exact=True).fill(full_name)
    page.get_by_label("Course short name", exact=True).fill(short_name)
    page.get_by_label("Summary", exact=True).fill(summary)
    if provider is not None:
        page.get_by_label("Provider", exact=True).select_option(provider)
    press(page, "Create course")
    title(page, full_name)
    return "/courses/" + page.url.split("/courses/")[1]


def new_person(page: Page, full_name: str, username: str) -> None:
    """Make a person, who can log in with `NEW_PASSWORD`."""
    page.goto("/people")
    follow(page, "New person")
    page.get_by_label("Full name", exact=True).fill(full_name)
    page.get_by_label("User name", exact=True).fill(username)
    page.get_by_label("Password", exact=True).fill(NEW_PASSWORD)
    press(page, "Create person")
    notice(page, full_name)


def enrol(page: Page, person: str, role: str) -> None:
    """Enrol somebody on the course's page, where ``page`` is."""
    page.get_by_label("Person", exact=True).select_option(person)
    page.get_by_label("Role", exact=True).select_option(role)
    press(page, "Enrol")
    expect(page.get_by_role("rowheader", name=person)).to_be_visible()
