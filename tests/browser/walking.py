"""Long walks through a course's chat pages: what several of them do on the way."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import Locator, Page, expect

from tests.browser.courses import enrol, follow, new_course, press
from tests.browser.looking import HEIGHT, everybodys_problems, keyboard_problems
from tests.browser.matrix_page import SETTINGS
from tests.browser.synapse import until
from tests.browser.visitors import Visitors, notice, save
from tests.synapse_eyes import SeenRoom, SynapseEyes

__all__ = [
    "ELEMENT",
    "NARROW",
    "SITE",
    "by_keyboard",
    "choose",
    "communication",
    "everybody_is_in",
    "fine",
    "joined",
    "matrix_settings",
    "open_chat",
    "press_and_read",
    "reach",
    "room_of",
    "seen_after_reloads",
    "talk_course",
    "told",
    "without_scripts",
    "worker_paused",
]

ELEMENT = "https://app.element.io/#/room/!"
SITE = "@commweb:localhost"
NARROW = {"width": 360, "height": HEIGHT}
MOST_STOPS = 150
MOST_RELOADS = 60


_RUNS_NO_SCRIPTS = """() => {
    const place = document.createElement("div");
    place.innerHTML = "<noscript><i></i></noscript>";
    return place.querySelector("i") !== null;
}"""
_KEEP_NOSCRIPT = """() => {
    for (const part of document.querySelectorAll("noscript")) {
        const kept = document.createElement("div");
        kept.style.display = "contents";
        kept.append(...part.childNodes);
        part.replaceWith(kept);
    }
}"""


@contextmanager
def checkable(page: Page) -> Iterator[None]:
    """The checks can run, in a page that ran no script too: it stays as it was drawn without."""
    if not page.evaluate(_RUNS_NO_SCRIPTS):
        yield
        return
    page.evaluate(_KEEP_NOSCRIPT)  # a browser that runs scripts hides them
    session = page.context.new_cdp_session(page)
    # What is not known to be off is not turned on.
    for off in (True, False):
        session.send("Emulation.setScriptExecutionDisabled", {"value": off})
    yield
    session.send("Emulation.setScriptExecutionDisabled", {"value": True})


def fine(page: Page) -> None:
    """The page is for everybody, as it stands; at the end it is as wide as it was."""
    size = page.viewport_size
    with checkable(page):
        found = everybodys_problems(page) + keyboard_problems(page)
    assert not found, "\n".join(found)
    page.emulate_media(color_scheme="light")
    if size is not None:
        page.set_viewport_size(size)


def reach(page: Page, target: Locator) -> None:
    """Press Tab until the control has the focus."""
    for _stop in range(MOST_STOPS):
        if target.evaluate("one => one === document.activeElement"):
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"{target} is not reached by keyboard")


def by_keyboard(page: Page, target: Locator, keys: str = "", press: str = "") -> None:
    """Go to the control with Tab, type ``keys`` and press a key."""
    reach(page, target)
    if keys:
        page.keyboard.type(keys)
    if press:
        page.keyboard.press(press)


def without_scripts(school: Visitors, person: str) -> Page:
    """A page of somebody on a small screen whose browser runs no scripts."""
    return school.page(person, java_script_enabled=False, viewport=NARROW)


def talk_course(
    page: Page, name: str, unique: str, *students: str, provider: str | None = "None"
) -> str:
    """A new course with Teacher One and these students; its path. ``page``: an admin's."""
    path = new_course(page, f"{name} {unique}", unique, provider=provider)
    enrol(page, "Teacher One", "Teacher")
    for student in students:
        enrol(page, student, "Student")
    return path


def communication(school: Visitors, course: str, **options: Any) -> Page:
    """The course's Communication page in front of its teacher."""
    page = school.page("teacher1", **options)
    page.goto(course)
    follow(page, "Communication")
    return page


def choose(page: Page, provider: str) -> None:
    page.get_by_label("Provider", exact=True).select_option(provider)


def open_chat(page: Page) -> Locator:
    """The way into the chat, on whatever page."""
    return page.get_by_role("link", name="Open chat", exact=True)


def seen_after_reloads(page: Page, words: Locator) -> None:
    """Load the page again and again until it says so."""
    for _try in range(MOST_RELOADS):
        if words.is_visible():
            return
        page.wait_for_timeout(500)
        page.reload()
    expect(words).to_be_visible()


def everybody_is_in(page: Page, count: int) -> None:
    """Load the page until the room has everybody."""
    seen_after_reloads(page, page.get_by_text(f"{count} of {count} people are in the room.").first)


def told(page: Page, path: str) -> dict[str, Any]:
    """What the JSON service says about a course's room."""
    answer = page.request.get(f"/api/v1{path}/room")
    assert answer.status == 200
    document: dict[str, Any] = answer.json()
    return document


def room_of(page: Page, path: str) -> str:
    """The id of the course's room, once it is ready."""
    seen = until(lambda: told(page, path), lambda document: document["status"] == "ready")
    assert (seen["status"], seen["message"]) == ("ready", "Your Matrix room is ready."), seen
    return str(seen["remote_id"])


def joined(eyes: SynapseEyes, room: str, *people: str) -> SeenRoom:
    """The room, when exactly these people and the site's account are in it."""
    wanted = {SITE} | {f"@{name}:localhost" for name in people}
    seen = until(lambda: eyes.room(room), lambda seen: seen.joined == wanted)
    assert seen.joined == wanted
    return seen


@contextmanager
def worker_paused(school: Visitors) -> Iterator[None]:
    """No room is touched before the block is left."""
    worker = school.site.child("worker")
    worker.suspend()
    try:
        yield
    finally:
        worker.resume()


@contextmanager
def matrix_settings(page: Page, *boxes: str) -> Iterator[None]:
    """These boxes of the Matrix settings are ticked within the block. ``page``: an admin's."""
    _tick(page, boxes, wanted=True)
    try:
        yield
    finally:
        _tick(page, boxes, wanted=False)


def _tick(page: Page, boxes: tuple[str, ...], *, wanted: bool) -> None:
    page.goto(SETTINGS)
    page.get_by_text("Advanced settings").click()
    for box in boxes:
        page.get_by_role("checkbox", name=box, exact=True).set_checked(wanted)
    save(page)
    notice(page, "Changes saved")


def press_and_read(page: Page, button: str, words: str) -> None:
    """Press a button; the page that answers says this."""
    press(page, button)
    notice(page, words)
