"""My Matrix account, as a student uses it with a real homeserver: linking, consent, a password."""

from __future__ import annotations

import pytest
import requests
from playwright.sync_api import Page, expect

from tests.browser.chatter import Chatter
from tests.browser.courses import NEW_PASSWORD, enrol, new_person, press, title
from tests.browser.matrix_page import wrong
from tests.browser.synapse import eyes_of, until
from tests.browser.visitors import Visitors, log_in, notice
from tests.browser.walking import (
    ELEMENT,
    NARROW,
    by_keyboard,
    fine,
    joined,
    matrix_settings,
    open_chat,
    press_and_read,
    room_of,
    seen_after_reloads,
    talk_course,
)
from tests.synapse_eyes import SynapseEyes

pytestmark = pytest.mark.xdist_group("browser-school")

PAGE = "/account"
NAME = "My Matrix account"
USER_ID = "Matrix user ID"
CONSENT = "Ask people before an account is created for them"
PASSWORD = "Let people set a chat password"
NO_PROOF = "Let people link an account without proof"


@pytest.fixture
def eyes(school: Visitors) -> SynapseEyes:
    return eyes_of(school.site)


@pytest.fixture
def course(school: Visitors, unique: str) -> str:
    """A course whose room is ready, with a teacher."""
    page = school.page()
    path = talk_course(page, "Art", unique, provider=None)
    room_of(page, path)
    return path


def newcomer(school: Visitors, course: str, unique: str) -> None:
    """A new person, enrolled as a student."""
    page = school.page()
    new_person(page, f"Robin {unique}", unique)
    page.goto(course)
    enrol(page, f"Robin {unique}", "Student")


def own_page(school: Visitors, unique: str, **options: object) -> Page:
    """The new person, logged in."""
    page = school.signed_out(**options)
    log_in(page, unique, NEW_PASSWORD)
    title(page, "Courses")
    return page


def test_a_student_links_an_own_account_with_its_code_and_unlinks_it(
    school: Visitors, course: str, eyes: SynapseEyes, unique: str
) -> None:
    newcomer(school, course, unique)
    room = room_of(school.page(), course)
    joined(eyes, room, "teacher1", unique)
    own = Chatter.new(school.site, f"{unique}-own")
    page = own_page(school, unique)
    page.goto(PAGE)
    title(page, NAME)
    expect(page.get_by_text("This account was created for you.")).to_be_visible()
    expect(page.get_by_text("You are in the room.")).to_be_visible()
    fine(page)

    field = page.get_by_label(USER_ID, exact=True)
    expect(field).to_have_value(f"@{unique}:localhost")
    field.fill("somebody")
    press(page, "Send a code")
    wrong(page, USER_ID, "looks like @name:example.org")
    expect(field).to_have_value("somebody")
    fine(page)

    field.fill(own.user_id)
    press_and_read(
        page, "Send a code", f"If the account {own.user_id} exists, a code is on its way to it."
    )
    fine(page)
    code = own.read_code()
    for typed, words in (
        ("12", "The code has 8 digits."),
        (f"{(int(code) + 1) % 10**8:08d}", "You can try 4 more times."),
    ):
        page.get_by_label("Code", exact=True).fill(typed)
        press(page, "Confirm")
        wrong(page, "Code", words)
    fine(page)

    page.get_by_label("Code", exact=True).fill(f"{code[:4]} {code[4:]}")
    press_and_read(page, "Confirm", f"The account {own.user_id} is linked.")
    joined(eyes, room, "teacher1", f"{unique}-own")
    page.reload()
    expect(page.get_by_text("You have linked this account.")).to_be_visible()
    expect(page.get_by_text("You are in the room.")).to_be_visible()
    fine(page)
    way = page.get_by_role("link", name=f"Open chat Art {unique}", exact=True)
    answer = page.request.get(way.get_attribute("href") or "", max_redirects=0)
    assert answer.headers["location"] == f"https://app.element.io/#/room/{room}"

    press_and_read(page, "Unlink this account", "The account was unlinked.")
    joined(eyes, room, "teacher1", unique)
    page.reload()
    expect(page.get_by_text("This account was created for you.")).to_be_visible()


def test_linking_takes_neither_a_mouse_nor_scripts(
    school: Visitors, course: str, eyes: SynapseEyes, unique: str
) -> None:
    newcomer(school, course, unique)
    room = room_of(school.page(), course)
    joined(eyes, room, "teacher1", unique)
    own = Chatter.new(school.site, f"{unique}-own")
    page = own_page(school, unique, java_script_enabled=False, viewport=NARROW)
    by_keyboard(page, page.get_by_role("link", name=NAME, exact=True), press="Enter")
    title(page, NAME)
    by_keyboard(page, page.get_by_label(USER_ID, exact=True), own.user_id, "Enter")
    notice(page, "a code is on its way")
    fine(page)
    by_keyboard(page, page.get_by_label("Code", exact=True), own.read_code(), "Enter")
    notice(page, "is linked")
    joined(eyes, room, "teacher1", f"{unique}-own")
    until(own.joined, lambda rooms: rooms == [room])
    assert own.joined() == [room]
    by_keyboard(page, page.get_by_role("button", name="Unlink this account"), press="Enter")
    notice(page, "The account was unlinked.")
    joined(eyes, room, "teacher1", unique)


def test_a_code_is_called_off_and_the_next_one_waits(
    school: Visitors, course: str, unique: str
) -> None:
    own = Chatter.new(school.site, f"{unique}-own")
    newcomer(school, course, unique)
    page = own_page(school, unique, java_script_enabled=False, viewport=NARROW)
    page.goto(PAGE)
    by_keyboard(page, page.get_by_label(USER_ID, exact=True), own.user_id, "Enter")
    notice(page, "a code is on its way")
    by_keyboard(page, page.get_by_role("button", name="Cancel", exact=True), press="Enter")
    notice(page, "Linking cancelled.")
    expect(page.get_by_label("Code", exact=True)).to_have_count(0)
    by_keyboard(page, page.get_by_label(USER_ID, exact=True), own.user_id, "Enter")
    expect(page.get_by_label(USER_ID, exact=True)).to_have_attribute("aria-invalid", "true")
    fine(page)
    admin = school.page()
    with matrix_settings(admin, NO_PROOF):
        page.goto(PAGE)
        by_keyboard(page, page.get_by_label(USER_ID, exact=True), own.user_id, "Enter")
        # Who has an account here already always needs the code.
        expect(page.get_by_label(USER_ID, exact=True)).to_have_attribute("aria-invalid", "true")


def test_an_account_is_made_once_the_student_agreed_and_gets_a_password_where_that_is_allowed(
    school: Visitors, course: str, eyes: SynapseEyes, unique: str
) -> None:
    admin = school.page()
    room = room_of(admin, course)
    with matrix_settings(admin, CONSENT):
        newcomer(school, course, unique)
        _agree(school, course, unique)
        joined(eyes, room, "teacher1", unique)
    with matrix_settings(admin, PASSWORD):
        page = own_page(school, unique)
        page.goto(PAGE)
        expect(page.get_by_text("You are in the room.")).to_be_visible()
        _set_password(page, unique)
    phone = Chatter.signed_in(school.site, unique, f"chat {unique} password")
    assert phone.joined() == [room]
    with pytest.raises(requests.HTTPError):
        Chatter.signed_in(school.site, unique, NEW_PASSWORD)
    page.reload()
    expect(page.get_by_role("heading", name="Set a chat password")).to_have_count(0)


def _agree(school: Visitors, course: str, unique: str) -> None:
    """The way from the course to the consent, without scripts and on a small screen."""
    page = own_page(school, unique, java_script_enabled=False, viewport=NARROW)
    page.goto(course)
    expect(open_chat(page)).to_have_count(0)
    asks = page.get_by_text(f"Has to agree on the page “{NAME}”")
    refused = page.goto(f"{course}/chat")
    assert refused is not None
    assert refused.status == 404
    seen_after_reloads(page, asks)
    fine(page)
    way = page.get_by_role("main").get_by_role("link", name=NAME, exact=True)
    by_keyboard(page, way, press="Enter")
    title(page, NAME)
    expect(page.get_by_text("You have no account yet.")).to_be_visible()
    expect(page.get_by_text("once you agree to an account")).to_be_visible()
    expect(page.get_by_label("Chat password", exact=True)).to_have_count(0)
    fine(page)
    button = page.get_by_role("button", name="Agree and get an account", exact=True)
    by_keyboard(page, button, press="Enter")
    notice(page, "Thank you.")
    seen_after_reloads(page, page.get_by_text("You are in the room."))
    answer = page.request.get(f"{course}/chat", max_redirects=0)
    assert answer.headers["location"].startswith(ELEMENT)


def _set_password(page: Page, unique: str) -> None:
    good = f"chat {unique} password"
    first = page.get_by_label("Chat password", exact=True)
    second = page.get_by_label("Chat password again", exact=True)
    site = page.get_by_label("Your password on this site", exact=True)
    fine(page)
    for typed, again, label, words in (
        ("short", "short", "Chat password", "Use at least 12 characters."),
        (good, good + "!", "Chat password again", "The two passwords are not the same."),
    ):
        site.fill(NEW_PASSWORD)
        first.fill(typed)
        second.fill(again)
        press(page, "Set chat password")
        wrong(page, label, words)
        expect(first).to_have_value("")
    fine(page)
    site.fill(NEW_PASSWORD)
    page.get_by_role("button", name="Show Chat password", exact=True).click()
    expect(first).to_have_attribute("type", "text")
    by_keyboard(page, first, good)
    by_keyboard(page, second, good, "Enter")
    notice(page, "The chat password is set.")
    assert good not in page.content()
