"""Members of a room: who is in, who is not and why, bringing people back, long lists."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.chatter import Chatter
from tests.browser.courses import NEW_PASSWORD, follow, new_person, press, title
from tests.browser.synapse import NotedHomeserver, eyes_of
from tests.browser.visitors import Visitors, log_in, notice
from tests.browser.walking import (
    by_keyboard,
    communication,
    fine,
    joined,
    open_chat,
    room_of,
    seen_after_reloads,
    talk_course,
    without_scripts,
    worker_paused,
)

pytestmark = pytest.mark.xdist_group("browser-school")

MANY = 60


def row(page: Page, name: str) -> Locator:
    return page.get_by_role("row").filter(has=page.get_by_role("rowheader", name=name, exact=True))


def lists(page: Page, *people: str) -> None:
    """The people whose rows the page has, in their order."""
    expect(page.get_by_role("rowheader")).to_have_text(list(people))


def _deactivate(school: Visitors, user_id: str) -> None:
    path = f"/_synapse/admin/v1/deactivate/{quote(user_id, safe='')}"
    NotedHomeserver(school.site).admin("POST", path, json={"erase": False})


def _logged_in(school: Visitors, username: str) -> Page:
    page = school.signed_out()
    log_in(page, username, NEW_PASSWORD)
    title(page, "Courses")
    return page


@pytest.fixture
def broken(school: Visitors, unique: str) -> tuple[str, str]:
    """A course and its room: Alex left the room, Billie's account is deactivated."""
    admin, alex, billie = school.page(), f"{unique}a", f"{unique}b"
    new_person(admin, f"Alex {unique}", alex)
    new_person(admin, f"Billie {unique}", billie)
    people = ("Student One", f"Alex {unique}", f"Billie {unique}")
    path = talk_course(admin, "Craft", unique, *people, provider=None)
    room, eyes = room_of(admin, path), eyes_of(school.site)
    joined(eyes, room, "teacher1", "student1", alex, billie)
    _deactivate(school, f"@{billie}:localhost")
    Chatter.standing_in(school.site, f"@{alex}:localhost").leave(room)
    admin.goto(f"{path}/edit")
    press(admin, "Save changes")  # the room is synced, and both are seen
    return path, room


def test_a_teacher_reads_who_is_not_in_the_room_and_brings_them_back(
    school: Visitors, broken: tuple[str, str], unique: str
) -> None:
    path, room = broken
    alex, billie = f"Alex {unique}", f"Billie {unique}"
    page = communication(school, path)
    follow(page, "Members of the room")
    title(page, "Members of the room")
    seen_after_reloads(page, row(page, alex).get_by_text("left the room"))
    seen_after_reloads(page, row(page, billie).get_by_text("cannot be added"))
    expect(row(page, billie)).to_contain_text("is deactivated on the homeserver.")
    expect(row(page, "Teacher One")).to_contain_text("Teacher (level 50)")
    expect(row(page, "Student One")).to_contain_text("@student1:localhost")
    expect(page.get_by_text("2 of 4 people are in the room.")).to_be_visible()
    fine(page)
    _found_and_sorted(page, alex, billie)
    _told_to_themselves(school, path, f"{unique}a", f"{unique}b")

    page.goto(f"{path}/communication/members")
    press(page, f"Add back {alex}")
    notice(page, "The person is added again.")
    press(page, f"Try again {billie}")
    notice(page, "The room is being synchronised.")
    seen_after_reloads(page, row(page, alex).get_by_text("in the room"))
    assert f"@{unique}a:localhost" in eyes_of(school.site).room(room).joined
    expect(page.get_by_role("button", name=f"Add back {alex}")).to_have_count(0)
    seen_after_reloads(page, row(page, billie).get_by_text("cannot be added"))
    assert f"@{unique}b:localhost" not in eyes_of(school.site).room(room).joined


def _found_and_sorted(page: Page, alex: str, billie: str) -> None:
    people = [alex, billie, "Student One", "Teacher One"]
    lists(page, *people)
    follow(page, "Name")
    lists(page, *people[::-1])
    follow(page, "State")
    lists(page, billie, "Student One", "Teacher One", alex)
    header = page.get_by_role("columnheader", name="State", exact=True)
    expect(header).to_have_attribute("aria-sort", "ascending")
    box = page.get_by_label("Name, account or state", exact=True)
    for wanted, found in (
        ("CANNOT be", [billie]),
        ("@student1:", ["Student One"]),
        ("one", ["Student One", "Teacher One"]),
    ):
        by_keyboard(page, box, press="Control+a")
        by_keyboard(page, box, wanted, "Enter")
        expect(page.get_by_role("status")).to_contain_text(f"of {len(people)}")
        lists(page, *found)
    by_keyboard(page, box, "zz", "Enter")
    expect(page.get_by_text("No matches.")).to_be_visible()
    fine(page)


def _told_to_themselves(school: Visitors, path: str, left: str, failing: str) -> None:
    """What the people read who are not in the room: on its page and on that of their account."""
    for username, words, helped in (
        (left, "You left the room.", False),
        (failing, "You could not be added to the room:", True),
    ):
        page = _logged_in(school, username)
        page.goto(path)
        expect(open_chat(page)).to_have_count(0)
        page.goto(f"{path}/chat")
        expect(page.get_by_text(words)).to_be_visible()
        way = page.get_by_role("main").get_by_role("link", name="My Matrix account", exact=True)
        expect(way).to_have_count(1 if helped else 0)
        fine(page)
        page.goto("/account")
        expect(page.get_by_text(words)).to_be_visible()
        expect(page.get_by_role("button", name="Try again")).to_have_count(1 if helped else 0)
        fine(page)


def test_somebody_who_could_not_be_added_tries_again_by_keyboard_and_without_scripts(
    school: Visitors, broken: tuple[str, str], unique: str
) -> None:
    path, room = broken
    teacher = without_scripts(school, "teacher1")
    teacher.goto(f"{path}/communication/members")
    seen_after_reloads(teacher, row(teacher, f"Alex {unique}").get_by_text("left the room"))
    again = teacher.get_by_role("button", name=f"Add back Alex {unique}", exact=True)
    by_keyboard(teacher, again, press="Enter")
    notice(teacher, "The person is added again.")
    fine(teacher)
    seen_after_reloads(teacher, row(teacher, f"Alex {unique}").get_by_text("in the room"))
    assert f"@{unique}a:localhost" in eyes_of(school.site).room(room).joined


def test_a_long_list_comes_in_pages_without_scripts_too(school: Visitors, unique: str) -> None:
    path = talk_course(school.page(), "Choir", unique, "Student One", provider=None)
    page = without_scripts(school, "teacher1")
    page.goto(f"{path}/communication/members")
    seen_after_reloads(page, page.get_by_text("2 of 2 people are in the room."))
    with worker_paused(school), many_people(school.site.instance / "site.db", path, unique):
        page.reload()
        expect(page.get_by_role("status")).to_have_text(f"{MANY + 2} people")
        expect(page.get_by_text("Page 1 of 2")).to_be_visible()
        expect(page.get_by_role("rowheader")).to_have_count(50)
        by_keyboard(page, page.get_by_role("link", name="State", exact=True), press="Enter")
        by_keyboard(page, page.get_by_role("link", name="Next", exact=True), press="Enter")
        expect(page.get_by_text("Page 2 of 2")).to_be_visible()
        expect(page.get_by_role("rowheader")).to_have_count(MANY + 2 - 50)
        fine(page)
        by_keyboard(page, page.get_by_role("link", name="Previous", exact=True), press="Enter")
        expect(page.get_by_text("Page 1 of 2")).to_be_visible()
        by_keyboard(
            page, page.get_by_label("Name, account or state", exact=True), "name 07", "Enter"
        )
        lists(page, f"Longest Surname 07 {unique}")


@contextmanager
def many_people(database: Path, course: str, unique: str) -> Iterator[None]:
    """So many more students of the course, written where the site keeps them."""
    course_id = int(course.rsplit("/", 1)[1])
    people = [
        (f"{unique}n{n:02d}", f"Longest Surname {n:02d} {unique}", f"{unique}{n:02d}")
        for n in range(MANY)
    ]
    with closing(sqlite3.connect(database, timeout=15)) as connection:
        with connection:
            ids = [_add(connection, course_id, *person) for person in people]
        try:
            yield
        finally:
            with connection:
                for table, column in (("enrolment", "user_id"), ("person", "id")):
                    connection.executemany(
                        f"DELETE FROM {table} WHERE {column} = ?", [(one,) for one in ids]
                    )


def _add(
    connection: sqlite3.Connection, course_id: int, username: str, full_name: str, key: str
) -> int:
    cursor = connection.execute(
        "INSERT INTO person (username, username_folded, full_name, login_key, is_admin, active) "
        "VALUES (?, ?, ?, ?, 0, 1)",
        (username, username, full_name, key),
    )
    number = int(cursor.lastrowid or 0)
    connection.execute(
        "INSERT INTO enrolment (course_id, user_id, role) VALUES (?, ?, 'student')",
        (course_id, number),
    )
    return number
