"""Who may open which page."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import event

from commweb.site import db

ADMIN_ONLY = ["/courses/new", "/people", "/people/2/edit", "/courses/1/delete"]
EDITORS = ["/courses/1/edit"]
ACTIONS = [
    "/courses/1/enrol",
    "/courses/1/groups",
    "/courses/1/groups/members",
    "/courses/1/enrolments/1/remove",
    "/courses/1/edit",
]


@pytest.mark.parametrize("path", [*ADMIN_ONLY, *EDITORS, "/courses/1", "/courses/"])
def test_a_visitor_is_sent_to_the_login_page(school, path):
    answer = school.browser().get(path)
    assert answer.status_code == 302
    assert answer.location.startswith("/login")


@pytest.mark.parametrize("path", ADMIN_ONLY)
def test_only_administrators_administer(school, path):
    assert school.browser("admin").get(path).status_code == 200
    assert school.browser("teacher1").get(path).status_code == 403
    assert school.browser("student1").get(path).status_code == 403


@pytest.mark.parametrize("path", ["/people/3/suspend", "/people/3/reinstate", "/courses/1/delete"])
def test_only_administrators_may_send_these_forms(school, path):
    assert school.browser("teacher1").post(path).status_code == 403


def test_teachers_see_and_edit_their_courses_and_no_others(school):
    browser = school.browser("teacher1")
    for path, code in (("/courses/1/edit", 200), ("/courses/2", 403), ("/courses/2/edit", 403)):
        assert browser.get(path).status_code == code
    page = browser.get("/courses/").text
    assert "Algebra I" in page
    assert "World History" not in page
    assert "New course" not in page


def test_students_see_their_courses_and_change_nothing(school):
    browser = school.browser("student1")
    page = browser.get("/courses/1").text
    assert "Enrol" not in page
    assert "Edit course" not in page
    assert browser.get("/courses/2").status_code == 403
    for path in ACTIONS:
        assert browser.post(path).status_code == 403


def test_a_hidden_course_is_hidden_from_students_and_not_from_teachers(school):
    school.browser("admin").post(
        "/courses/1/edit", full_name="Algebra I", short_name="ALG1", group_mode="none"
    )
    student, teacher = school.browser("student1"), school.browser("teacher1")
    assert student.get("/courses/1").status_code == 403
    assert "Algebra I" not in student.get("/courses/").text
    assert teacher.get("/courses/1").status_code == 200
    assert "Algebra I" in teacher.get("/courses/").text


def test_a_course_that_is_not_there_is_not_found(school):
    assert school.browser("admin").get("/courses/999").status_code == 404


OF_A_COURSE = [
    ("GET", ""),
    ("GET", "/edit"),
    ("GET", "/delete"),
    ("GET", "/image"),
    ("GET", "/groups/1/delete"),
    ("GET", "/communication"),
    ("GET", "/chat"),
    ("POST", "/edit"),
    ("POST", "/enrol"),
    ("POST", "/enrolments/1/remove"),
    ("POST", "/groups"),
    ("POST", "/groups/members"),
    ("POST", "/groups/1/members/1/remove"),
    ("POST", "/groups/1/delete"),
    ("POST", "/delete"),
]


@pytest.mark.parametrize(("method", "below"), OF_A_COURSE)
@pytest.mark.parametrize("username", ["student1", "teacher1"])
def test_a_course_of_others_and_one_that_is_not_there_look_the_same(
    school, username, method, below
):
    browser = school.browser(username)
    there, absent = (
        browser.get(path) if method == "GET" else browser.post(path, full_name="X")
        for path in (f"/courses/2{below}", f"/courses/999{below}")
    )
    assert there.status_code == absent.status_code == 403
    assert without_token(there).replace("/courses/2", "/courses/999") == without_token(absent)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/v1/courses/{}/room"),
        *((m, f"/courses/{{}}{below}") for m, below in OF_A_COURSE),
    ],
)
def test_the_database_is_asked_the_same_for_both(school, method, path):
    browser = school.browser("student1")
    browser.get("/courses/")
    asked = []
    for number in (2, 999):
        with statements(school) as heard:
            browser.client.open(
                path.format(number), method=method, data={"csrf_token": browser.token, "x": "1"}
            )
        asked.append(heard)
    assert asked[0] == asked[1]
    assert asked[0]


@contextmanager
def statements(school) -> Iterator[list[str]]:
    """What the site asks its database meanwhile, without the values."""
    heard: list[str] = []

    def hear(_connection, _cursor, statement, *_more) -> None:
        heard.append(statement)

    with school.app.app_context():
        engine = db.engine
    event.listen(engine, "before_cursor_execute", hear)
    try:
        yield heard
    finally:
        event.remove(engine, "before_cursor_execute", hear)


def without_token(answer) -> str:
    return re.sub(r'name="csrf_token" value="[^"]+"', "", answer.text)


def test_the_web_service_tells_no_difference_either(school):
    browser = school.browser("teacher1")
    there, absent = (browser.get(f"/api/v1/courses/{n}/room") for n in (2, 999))
    assert there.status_code == absent.status_code == 403
    assert there.text.replace("/courses/2", "/courses/999") == absent.text


def test_a_form_without_its_token_changes_nothing(school):
    browser = school.browser("admin")
    browser.token = ""
    answer = browser.post("/courses/new", full_name="Chemistry", short_name="CHEM")
    assert answer.status_code == 400
    assert "This page has expired. Reload it and try again." in answer.text
    assert "Chemistry" not in browser.get("/courses/").text


def test_pages_that_only_take_forms_cannot_be_opened(school):
    answer = school.browser("admin").get("/courses/1/enrol")
    assert answer.status_code == 405
    assert "POST" in answer.headers["Allow"]


def test_the_menu_marks_where_one_is(school):
    page = school.browser("admin").get("/people").text
    assert 'href="/people" aria-current="page"' in page
    assert "Site administration" in page
    assert "Site administration" not in school.browser("teacher1").get("/courses/").text


def test_every_page_is_sent_with_strict_headers(school):
    headers = school.browser().get("/login").headers
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "same-origin"
    assert headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("path", ["/login", "/courses/", "/courses/1", "/courses/new", "/people"])
def test_no_page_holds_a_script_or_style_of_its_own(school, path):
    page = school.browser("admin").get(path).text
    assert "<script>" not in page
    assert "<style" not in page
    assert " style=" not in page
    assert " onclick=" not in page


def test_an_unknown_address_is_answered_in_the_sites_look(school):
    answer = school.browser().get("/nothing/here")
    assert answer.status_code == 404
    assert "Page not found" in answer.text
    assert "Course site" in answer.text


def test_a_mistake_of_the_site_is_told_without_asking_the_database(make_site):
    with make_site(TESTING=False, PROPAGATE_EXCEPTIONS=False) as app:

        @app.get("/broken")
        def broken():
            raise RuntimeError("the secret reason")

        answer = app.test_client().get("/broken")
        assert answer.status_code == 500
        assert "Something went wrong" in answer.text
        assert "secret reason" not in answer.text


def test_the_icon_is_there(school):
    with school.app.test_client().get("/static/favicon.svg") as answer:
        assert answer.status_code == 200
    assert "/static/favicon.svg" in school.browser().get("/login").text


@pytest.mark.parametrize("path", ["/courses/1/edit", "/logout", "/language"])
def test_a_form_without_any_field_is_refused_in_words(make_site, path):
    with make_site(WTF_CSRF_ENABLED=False) as app:
        answer = app.test_client().post(path, json={"full_name": "X"})
        assert answer.status_code == 400
        assert "The form arrived empty. Reload the page and try again." in answer.text
