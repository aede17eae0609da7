"""What a new course's author may choose, and what commweb is told."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from commweb.site import comm, db


def created(school) -> list[tuple[str, str]]:
    query = "SELECT course_id, provider FROM commweb_change WHERE kind = 'created' ORDER BY id"
    with school.app.app_context():
        return [(row[0], row[1]) for row in db.session.execute(text(query))]


@pytest.fixture
def connected(school):
    """The site with the subsystem on and a homeserver connected."""
    with school.app.app_context():
        comm.configure(
            "matrix",
            {"home_server_url": "http://127.0.0.1:9", "element_web_url": "https://chat.example"},
            access_token="access",
            refresh_token="refresh",
        )
        comm.set_enabled(True)
    return school


def test_the_select_is_preselected_by_the_default(connected):
    page = connected.browser("admin").get("/courses/new").text
    assert '<option selected value="matrix">Matrix</option>' in page
    assert '<option value="">None</option>' in page


def test_the_choice_is_reported_with_the_course(connected):
    browser = connected.browser("admin")
    browser.post("/courses/new", full_name="With", short_name="WITH", provider="matrix")
    browser.post("/courses/new", full_name="Without", short_name="WITHOUT", provider="")
    assert created(connected) == [("4", "matrix"), ("5", "")]


def test_a_provider_that_is_not_offered_is_refused(connected):
    answer = connected.browser("admin").post(
        "/courses/new", full_name="With", short_name="WITH", provider="carrier-pigeon"
    )
    assert answer.status_code == 422
    assert created(connected) == []


def test_the_course_page_says_how_far_the_room_is(connected):
    browser = connected.browser("admin")
    answer = browser.post("/courses/new", full_name="With", short_name="WITH", provider="matrix")
    page = browser.get(answer.location).text
    assert "Your Matrix room will be ready soon." in page
    assert "Communication" in page


def test_while_the_subsystem_is_off_nothing_is_said_of_it(school):
    school.browser("admin").post("/courses/new", full_name="Quiet", short_name="QUIET")
    assert created(school) == []
    assert "site-status" not in school.browser("teacher1").get("/courses/1").text


def test_a_page_of_the_subsystem_says_where_to_turn_it_on_in_the_sites_look(school):
    answer = school.browser("admin").get("/admin/communication/providers")
    assert answer.status_code == 404
    assert "Experimental settings" in answer.text
    assert "Log out" in answer.text
