"""People in front of a running site: one browser context for each, closed with the test."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Response, expect

from tests.browser.running import ADMIN, RunningSite, password_of

__all__ = ["Visitors", "log_in", "notice", "save", "turn_on"]

PATIENCE_MILLISECONDS = 30_000
expect.set_options(timeout=PATIENCE_MILLISECONDS)
NOT_LOADED = "Failed to load resource"


class Visitors:
    """Opens pages of ``site``; ``problems`` is what browsers complained about."""

    def __init__(self, site: RunningSite, browser: Browser) -> None:
        self.site = site
        self.problems: list[str] = []
        self._browser = browser
        self._contexts: list[BrowserContext] = []

    def signed_out(self, **options: Any) -> Page:
        """A page of a browser nobody has used before. ``options`` are Playwright's."""
        context = self._browser.new_context(
            base_url=self.site.url,
            # Without motion colours are at once what they will be.
            **{"locale": "en-GB", "reduced_motion": "reduce", **options},
        )
        self._contexts.append(context)
        context.set_default_timeout(PATIENCE_MILLISECONDS)
        answers: dict[str, int] = {}
        context.on("response", lambda response: self._see(response, answers))
        context.on("console", lambda message: self._hear(message, answers))
        context.on("weberror", lambda error: self.problems.append(str(error.error)))
        return context.new_page()

    def page(self, username: str = ADMIN, **options: Any) -> Page:
        """A page of a browser in which this person has logged in."""
        page = self.signed_out(storage_state=self._logged_in(username), **options)
        page.goto("/courses/")
        return page

    def _logged_in(self, username: str) -> Any:
        if username not in self.site.logins:
            page = self.signed_out()
            log_in(page, username)
            self.site.logins[username] = page.context.storage_state()
        return self.site.logins[username]

    def _see(self, response: Response, answers: dict[str, int]) -> None:
        # A page that answers 404 or 422 is no problem; a script or a picture that does is.
        if response.request.resource_type == "document":
            answers[response.url] = response.status
        if response.status >= 500:
            self.problems.append(f"{response.url}: {response.status}\n{self.site.said[-3000:]}")

    def _hear(self, message: ConsoleMessage, answers: dict[str, int]) -> None:
        url = str(message.location["url"])
        expected = message.text.startswith(NOT_LOADED) and answers.get(url, 0) >= 400
        if message.type in ("error", "warning") and not expected:
            self.problems.append(f"{url}: {message.text}")

    def close(self) -> None:
        for context in self._contexts:
            context.close()


def log_in(page: Page, username: str, password: str | None = None) -> None:
    """Fill in the login page and send it."""
    page.goto("/login")
    page.get_by_label("User name", exact=True).fill(username)
    page.get_by_label("Password", exact=True).fill(password or password_of(username))
    page.get_by_role("button", name="Log in", exact=True).click()


def save(page: Page) -> None:
    page.get_by_role("button", name="Save changes", exact=True).click()


def notice(page: Page, text: str) -> None:
    """The page says this in one of its messages."""
    expect(
        page.get_by_role("status").or_(page.get_by_role("alert")).filter(has_text=text)
    ).to_have_count(1)


def turn_on(page: Page) -> None:
    """Turn the communication subsystem on, as an administrator."""
    page.goto("/admin/experimental")
    page.get_by_role("checkbox", name="Enable communications subsystems", exact=True).check()
    save(page)
    notice(page, "Changes saved")
