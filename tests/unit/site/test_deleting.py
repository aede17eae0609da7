"""Deleting a course or a group says first what that does to people in chat rooms."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import insert, select, update

from commweb.models import MemberRow, RoomRow
from commweb.site import comm, db
from commweb.site.models import Course, Group
from tests.unit.site.conftest import Site

MORNING = datetime.fromisoformat("2030-05-01T02:40:00+00:00")
COURSE = "/courses/1/delete"


def add_room(school: Site, group_id: str = "", *people: str) -> None:
    """A room as the last sync left it."""
    with school.app.app_context(), school.app.extensions["commweb"].database.write() as connection:
        found = connection.execute(
            insert(RoomRow)
            .values(
                course_id="1", group_id=group_id, provider="matrix",
                name=f"Room {group_id}".strip(),
                remote_id=f"!{group_id}:hs.test", status="ready", synced_at=MORNING,
            )
            .returning(RoomRow.id)
        )  # fmt: skip
        room_id = found.scalar_one()
        for person in people:
            row = {"room_id": room_id, "person_id": person, "display_name": person, "state": "in"}
            connection.execute(insert(MemberRow).values(**row))


def add_guest(school: Site) -> None:
    with school.app.extensions["commweb"].database.write() as connection:
        guests = [{"id": "@eve:hs.test", "by": "@bob:hs.test"}]
        connection.execute(update(RoomRow).values(guests=guests))


def rule(school: Site, closing_rule: str) -> None:
    with school.app.app_context():
        comm.configure("matrix", {"closing_rule": closing_rule})


@pytest.fixture
def blue(school: Site) -> str:
    """The id of a group of the first course."""
    with school.app.app_context():
        group = Group(name="Blue")
        course = db.session.scalars(select(Course).filter_by(id=1)).one()
        course.groups.append(group)
        db.session.commit()
        return str(group.id)


def there(school: Site, model: Any, number: int) -> bool:
    with school.app.app_context():
        return db.session.get(model, number) is not None


def key_of(page: str) -> str:
    found = re.search(r'name="confirmed" value="([0-9a-f]+)"', page)
    assert found
    return found[1]


def test_the_page_says_with_numbers_and_their_time_who_leaves_which_room(school: Site) -> None:
    add_room(school, "", "2", "3")
    page = school.browser("admin").get(COURSE).text
    assert "2 people will be removed from “Room”." in page
    assert "As of" in page
    assert "2:40" in page
    assert "messages" not in page
    assert 'name="confirmed_name"' not in page


def test_what_the_page_showed_is_confirmed_and_nothing_else(school: Site) -> None:
    add_room(school, "", "2", "3")
    browser = school.browser("admin")
    key = key_of(browser.get(COURSE).text)
    school.forget_reports()
    assert browser.post(COURSE).status_code == 422
    with school.app.extensions["commweb"].database.write() as connection:
        row = {"room_id": 1, "person_id": "4", "display_name": "four", "state": "in"}
        connection.execute(insert(MemberRow).values(**row))
    answer = browser.post(COURSE, confirmed=key)
    assert answer.status_code == 422
    assert "Nothing was deleted." in answer.text
    assert "3 people will be removed" in answer.text
    assert school.reports() == []
    assert there(school, Course, 1)
    assert browser.post(COURSE, confirmed=key_of(answer.text)).location == "/courses/"
    assert school.reports() == [("deleted", "1")]


@pytest.mark.parametrize("typed", [None, "", "alg1", "Algebra I"])
def test_where_messages_die_another_word_than_the_short_name_deletes_nothing(
    school: Site, typed: str | None
) -> None:
    rule(school, "delete_room")
    add_room(school, "", "2", "3")
    add_guest(school)
    browser = school.browser("admin")
    page = browser.get(COURSE).text
    assert "1 guest will be removed, too." in page
    assert "Its messages are deleted for good." in page
    assert "Type ALG1 to delete its messages." in page
    school.forget_reports()
    fields = {} if typed is None else {"confirmed_name": typed}
    answer = browser.post(COURSE, confirmed=key_of(page), **fields)
    assert answer.status_code == 422
    assert "This is not the short name of the course." in answer.text
    assert 'aria-invalid="true"' in answer.text
    assert school.reports() == []
    assert there(school, Course, 1)


def test_the_short_name_deletes_the_course_and_the_name_alone_does_not(school: Site) -> None:
    rule(school, "delete_room")
    add_room(school, "", "2", "3")
    browser = school.browser("admin")
    page = browser.get(COURSE).text
    school.forget_reports()
    assert browser.post(COURSE, confirmed_name="ALG1").status_code == 422
    assert school.reports() == []
    answer = browser.post(COURSE, confirmed=key_of(page), confirmed_name=" ALG1 ")
    assert answer.location == "/courses/"
    assert school.reports() == [("deleted", "1")]
    assert not there(school, Course, 1)


def test_a_group_asks_about_its_own_room_only(school: Site, blue: str) -> None:
    rule(school, "delete_room")
    add_room(school, "", "2", "3", "4")
    add_room(school, blue, "3")
    browser = school.browser("teacher1")
    url = f"/courses/1/groups/{blue}/delete"
    page = browser.get(url).text
    assert f"1 person will be removed from “Room {blue}”." in page
    school.forget_reports()
    for fields in ({}, {"confirmed_name": "Blue"}):
        answer = browser.post(url, confirmed=key_of(page), **fields)
        assert answer.status_code == 422
    assert school.reports() == []
    assert there(school, Group, int(blue))
    answer = browser.post(url, confirmed=key_of(page), confirmed_name="ALG1")
    assert answer.location == "/courses/1"
    assert ("group_deleted", f"1{blue}") in school.reports()
    assert not there(school, Group, int(blue))


def test_where_nobody_is_in_a_room_nothing_is_asked(school: Site, blue: str) -> None:
    add_room(school, "", "2")
    browser = school.browser("admin")
    url = f"/courses/1/groups/{blue}/delete"
    assert 'name="confirmed"' not in browser.get(url).text
    assert browser.post(url).location == "/courses/1"
