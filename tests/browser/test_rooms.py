"""The main job: a course's room on a real Synapse follows the course."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Page, expect

from tests.browser.courses import enrol, follow, new_course, new_person, press, title
from tests.browser.looking import everybodys_problems
from tests.browser.matrix_page import SETTINGS
from tests.browser.synapse import eyes_of, until
from tests.browser.visitors import Visitors, notice, save, turn_on
from tests.browser.walking import SITE, joined, room_of, told, worker_paused
from tests.synapse_eyes import SynapseEyes

pytestmark = pytest.mark.xdist_group("browser-school")

SOON = "Your Matrix room will be ready soon."
READY = "Your Matrix room is ready."


@pytest.fixture
def page(school: Visitors) -> Page:
    """A page of the administrator."""
    return school.page()


@pytest.fixture
def eyes(school: Visitors) -> SynapseEyes:
    return eyes_of(school.site)


def test_a_new_course_has_its_room_soon_and_the_page_says_so_without_a_reload(
    school: Visitors, page: Page, unique: str
) -> None:
    page.goto("/courses/new")
    provider = page.get_by_label("Provider", exact=True)
    expect(provider.locator("option:checked")).to_have_text("Matrix")
    expect(provider.locator("option")).to_contain_text(["None", "Matrix"])
    with worker_paused(school):
        path = new_course(page, f"Algebra {unique}", unique)
        expect(page.get_by_text(SOON, exact=True)).to_be_visible()
        expect(page.get_by_role("link", name="Open chat")).to_have_count(0)
        page.evaluate("window.loadedOnce = true")
        assert everybodys_problems(page) == []
    link = page.get_by_role("link", name="Open chat", exact=True)
    expect(link).to_be_visible()
    expect(page.get_by_text(READY, exact=True)).to_be_visible()
    assert page.evaluate("window.loadedOnce") is True
    assert link.get_attribute("href") == f"{path}/chat"
    page.reload()
    expect(link).to_be_visible()


def test_open_chat_leads_to_the_room_in_element(page: Page, eyes: SynapseEyes, unique: str) -> None:
    path = new_course(page, f"Botany {unique}", unique)
    room = room_of(page, path)
    answer = page.request.get(f"{path}/chat", max_redirects=0)
    assert answer.status == 303
    assert answer.headers["location"] == f"https://app.element.io/#/room/{room}"
    assert room.startswith("!")
    assert eyes.rooms_named(f"Botany {unique}") == [room]


def test_the_room_has_the_courses_name_topic_people_and_moderators(
    page: Page, eyes: SynapseEyes, unique: str
) -> None:
    path = new_course(page, f"Physics {unique}", unique, summary="Forces and fields.")
    enrol(page, "Teacher One", "Teacher")
    enrol(page, "Student One", "Student")
    seen = joined(eyes, room_of(page, path), "teacher1", "student1")
    assert seen.name == f"Physics {unique}"
    assert seen.topic == "Forces and fields."
    assert seen.creator == SITE
    assert seen.join_rule == "invite"
    levels = until(
        lambda: eyes.room(room_of(page, path)).levels, lambda seen: "@teacher1:localhost" in seen
    )
    assert levels == {"@teacher1:localhost": 50}


def test_the_room_follows_enrolling_unenrolling_and_renaming(
    page: Page, eyes: SynapseEyes, unique: str
) -> None:
    path = new_course(page, f"Music {unique}", unique)
    enrol(page, "Student Two", "Student")
    room = room_of(page, path)
    joined(eyes, room, "student2")
    enrol(page, "Student Three", "Student")
    joined(eyes, room, "student2", "student3")
    press(page, "Unenrol Student Two")
    seen = joined(eyes, room, "student3")
    assert seen.members["@student2:localhost"] == "leave"
    follow(page, "Edit course")
    page.get_by_label("Course full name", exact=True).fill(f"Harmony {unique}")
    save(page)
    title(page, f"Harmony {unique}")
    named = until(lambda: eyes.room(room).name, lambda name: name == f"Harmony {unique}")
    assert named == f"Harmony {unique}"


def test_a_suspended_person_leaves_the_room_and_comes_back_when_reinstated(
    page: Page, eyes: SynapseEyes, unique: str
) -> None:
    name = f"Pat {unique}"
    new_person(page, name, unique)
    path = new_course(page, f"Dance {unique}", unique)
    enrol(page, "Teacher One", "Teacher")
    enrol(page, name, "Student")
    room = room_of(page, path)
    joined(eyes, room, "teacher1", unique)
    page.goto("/people")
    press(page, f"Suspend {name}")
    joined(eyes, room, "teacher1")
    press(page, f"Reinstate {name}")
    joined(eyes, room, "teacher1", unique)


def test_members_open_the_chat_and_other_people_do_not(
    school: Visitors, page: Page, eyes: SynapseEyes, unique: str
) -> None:
    path = new_course(page, f"Drama {unique}", unique)
    enrol(page, "Student Four", "Student")
    joined(eyes, room_of(page, path), "student4")
    member = school.page("student4")
    link = member.get_by_role("link", name="Open chat", exact=True)
    member.goto(path)
    expect(link).to_be_visible()
    expect(member.get_by_role("link", name="Communication", exact=True)).to_have_count(0)
    assert member.request.get(f"{path}/communication").status == 403
    other = school.page("student5").request
    for page_path in (path, f"{path}/chat", f"/api/v1{path}/room"):
        assert other.get(page_path, max_redirects=0).status == 403


def test_a_course_made_with_the_provider_none_has_no_room_until_it_chooses_one(
    page: Page, eyes: SynapseEyes, unique: str
) -> None:
    path = new_course(page, f"Silence {unique}", unique, provider="None")
    expect(page.get_by_text("Matrix room")).to_have_count(0)
    assert told(page, path)["status"] is None
    follow(page, "Communication")
    provider = page.get_by_label("Provider", exact=True)
    expect(provider.locator("option:checked")).to_have_text("None")
    provider.select_option("Matrix")
    page.get_by_label("Room name", exact=True).fill(f"Sound {unique}")
    page.get_by_label("Room topic", exact=True).fill("What is heard")
    save(page)
    notice(page, "Changes saved")
    seen = eyes.room(room_of(page, path))
    assert (seen.name, seen.topic) == (f"Sound {unique}", "What is heard")
    assert eyes.rooms_named(f"Silence {unique}") == []


def test_without_create_rooms_for_new_courses_none_is_preselected(page: Page) -> None:
    page.goto(SETTINGS)
    page.get_by_role("checkbox", name="Create rooms for new courses", exact=True).uncheck()
    save(page)
    notice(page, "Changes saved")
    try:
        page.goto("/courses/new")
        chosen = page.get_by_label("Provider", exact=True).locator("option:checked")
        expect(chosen).to_have_text("None")
    finally:
        page.goto(SETTINGS)
        page.get_by_role("checkbox", name="Create rooms for new courses", exact=True).check()
        save(page)
        notice(page, "Changes saved")
    page.goto("/courses/new")
    expect(chosen).to_have_text("Matrix")


def test_courses_made_while_it_was_off_get_their_rooms_when_an_admin_asks_for_them(
    page: Page, eyes: SynapseEyes, unique: str
) -> None:
    page.goto("/admin/experimental")
    page.get_by_role("checkbox", name="Enable communications subsystems", exact=True).uncheck()
    save(page)
    notice(page, "Changes saved")
    paths = [new_course(page, f"Early {unique} {n}", f"{unique}{n}") for n in (1, 2)]
    turn_on(page)
    page.goto(SETTINGS)
    sentence = page.get_by_text("2 existing courses have no room.")
    expect(sentence).to_be_visible()
    assert [told(page, path)["status"] for path in paths] == [None, None]
    page.get_by_role("main").get_by_role("link", name="Rooms", exact=True).click()
    title(page, "Rooms")
    expect(sentence).to_be_visible()
    press(page, "Make rooms for them")
    expect(sentence).to_have_count(0)
    rooms = [room_of(page, path) for path in paths]
    assert [eyes.room(room).name for room in rooms] == [f"Early {unique} {n}" for n in (1, 2)]
    page.reload()
    row = page.get_by_role("row", name=re.compile(f"Early {unique} 1"))
    expect(row).to_contain_text("Ready")


def test_a_homeserver_that_is_away_is_told_in_words_and_nothing_is_lost(
    school: Visitors, page: Page, eyes: SynapseEyes, unique: str
) -> None:
    settings = school.page()
    settings.goto(SETTINGS)
    with homeserver_away(school):
        press(settings, "Test connection")
        expect(settings.get_by_role("alert").filter(has_text="127.0.0.1")).to_have_count(1)
        path = new_course(page, f"Patience {unique}", unique)
        enrol(page, "Student Six", "Student")
        seen = until(lambda: told(page, path), lambda document: document["reason"])
        assert "127.0.0.1" in seen["reason"]
        settings.goto("/admin/communication/rooms")
        row = settings.get_by_role("row", name=re.compile(f"Patience {unique}"))
        expect(row).to_contain_text(seen["reason"])
        assert everybodys_problems(settings) == []
    expect(page.get_by_role("link", name="Open chat", exact=True)).to_be_visible(timeout=60_000)
    joined(eyes, room_of(page, path), "student6")
    assert len(eyes.rooms_named(f"Patience {unique}")) == 1


@contextmanager
def homeserver_away(school: Visitors) -> Iterator[None]:
    """Its process is killed; the supervisor starts it again when the block is left."""
    with school.site.supervisor_paused():
        homeserver = school.site.child("synapse.app.homeserver")
        homeserver.kill()
        yield
