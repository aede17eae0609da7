"""A session ends on the server: a cookie kept from before is worth nothing afterwards."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import select

from commweb.site import db
from commweb.site.models import Login
from commweb.site.seed import seed

LOGGED_OUT = "You were logged out. Log in and send the form again."


def cookie(browser) -> str:
    return browser.client.get_cookie("session").value


def with_cookie(school, value):
    browser = school.browser()
    browser.client.set_cookie("session", value)
    return browser


def test_a_cookie_kept_from_before_logging_out_works_no_longer(school):
    browser = school.browser("teacher1")
    kept = cookie(browser)
    assert with_cookie(school, kept).get("/courses/").status_code == 200
    browser.post("/logout")
    thief = with_cookie(school, kept)
    for path in ("/courses/", "/courses/1", "/account", "/courses/1/communication"):
        assert thief.get(path).location.startswith("/login"), path
    assert thief.get("/api/v1/courses/1/room").status_code == 401
    thief.token = browser.token
    assert thief.post("/courses/1/groups", group_name="Red").status_code in (302, 400)


def test_logging_out_here_leaves_the_other_browser_logged_in(school):
    here, there = school.browser("teacher1"), school.browser("teacher1")
    here.post("/logout")
    assert here.get("/courses/").status_code == 302
    assert there.get("/courses/").status_code == 200


def test_another_password_ends_every_session_of_the_person(school):
    kept = cookie(school.browser("student1"))
    number = school.person_id("student1")
    fields = {"full_name": "Student One", "password": "another password"}
    school.browser("admin").post(f"/people/{number}/edit", **fields)
    assert with_cookie(school, kept).get("/courses/").status_code == 302


def test_the_session_of_one_person_is_no_good_for_another(school):
    mine, other = school.browser("student1"), school.browser("student2")
    with mine.client.session_transaction() as session, other.client.session_transaction() as theirs:
        session["_user_id"] = theirs["_user_id"]
    assert mine.get("/courses/").status_code == 302


def test_a_session_from_before_there_were_records_is_over(school):
    browser = school.browser("student1")
    with browser.client.session_transaction() as session:
        del session["login"]
    assert browser.get("/courses/").status_code == 302


def test_a_session_ends_after_thirty_days_and_its_record_goes(school):
    browser = school.browser("student1")
    with school.app.app_context():
        login = db.session.scalars(select(Login)).one()
        login.began -= timedelta(days=31)
        db.session.commit()
        old = login.digest
    assert browser.get("/courses/").status_code == 302
    school.browser("student2")
    with school.app.app_context():
        assert old not in db.session.scalars(select(Login.digest)).all()


def test_what_is_kept_of_a_session_does_not_log_in(school):
    browser = school.browser("student1")
    with school.app.app_context():
        (digest,) = db.session.scalars(select(Login.digest)).all()
    with browser.client.session_transaction() as session:
        assert session["login"] != digest
        session["login"] = digest
    assert browser.get("/courses/").status_code == 302


def test_no_cookie_lives_on_after_the_browser_is_closed(school):
    answer = school.browser().login("teacher1")
    for each in answer.headers.getlist("Set-Cookie"):
        assert "remember" not in each
        if each.startswith("session="):
            assert "Expires" not in each


def test_a_form_sent_after_the_session_ended_leads_back_to_it(school):
    browser = school.browser("teacher1")
    seed(school.app, people_password="another one for all")
    answer = browser.client.post(
        "/courses/1/groups",
        data={"csrf_token": browser.token, "group_name": "Red"},
        headers={"Referer": "http://localhost/courses/1"},
    )
    assert (answer.status_code, answer.location) == (302, "/login?next=/courses/1")
    assert LOGGED_OUT in browser.get(answer.location).text


def test_a_form_sent_after_logging_out_elsewhere_gets_a_page_with_a_way_back(school):
    browser = school.browser("teacher1")
    old = browser.token
    browser.post("/logout")
    browser.token = old
    answer = browser.post("/courses/1/edit", full_name="What I typed")
    assert answer.status_code == 400
    assert LOGGED_OUT in answer.text
    assert 'href="/login?next=/courses/1/edit"' in answer.text
    assert "data-keep-typed" in answer.text
    assert "What I typed" not in answer.text, "nothing of a refused form is shown again"


def test_a_form_of_commwebs_own_pages_gets_the_same_page(school):
    browser = school.browser("teacher1")
    old = browser.token
    browser.post("/logout")
    browser.token = old
    answer = browser.post("/courses/1/communication", provider="")
    assert answer.status_code == 400
    assert LOGGED_OUT in answer.text
    assert 'href="/login?next=/courses/1/communication"' in answer.text


def test_a_form_of_an_earlier_session_is_told_to_be_loaded_again(school):
    browser = school.browser("teacher1")
    old = browser.token
    browser.post("/logout")
    browser.login("teacher1")
    browser.token = old
    answer = browser.post("/courses/1/edit", full_name="X")
    assert answer.status_code == 400
    assert "This page has expired. Reload it and try again." in answer.text
    assert 'href="/courses/1/edit"' in answer.text


def test_a_login_form_that_expired_does_not_say_that_somebody_was_logged_out(school):
    browser = school.browser()
    answer = browser.post("/login", username="admin", password="x")
    assert answer.status_code == 400
    assert LOGGED_OUT not in answer.text
