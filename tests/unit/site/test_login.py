"""Logging in and out, and what is thrown back."""

from __future__ import annotations

from flask import session
from sqlalchemy import select

from commweb.site import db
from commweb.site.models import User
from commweb.site.passwords import Passwords
from commweb.site.seed import seed

WRONG = "Wrong user name or password."


def test_the_front_page_leads_to_the_courses(school):
    answer = school.browser().get("/")
    assert (answer.status_code, answer.location) == (302, "/courses/")


def test_somebody_who_logs_in_sees_the_courses_and_the_own_name(school):
    browser = school.browser("teacher1")
    page = browser.get("/courses/").text
    assert "Teacher One" in page
    assert "Algebra I" in page


def test_a_user_name_is_the_same_in_capitals(school):
    assert school.browser().login("ADMIN", "correct horse battery").status_code == 303


def test_a_wrong_password_and_an_unknown_name_get_the_same_answer(school):
    browser = school.browser()
    wrong = browser.login("teacher1", "not this one")
    unknown = browser.login("nobody", "not this one")
    assert wrong.status_code == unknown.status_code == 422
    assert WRONG in wrong.text
    assert WRONG in unknown.text


def test_the_password_never_comes_back_in_the_page(school):
    assert "not this one" not in school.browser().login("teacher1", "not this one").text


def test_an_unknown_name_costs_one_comparison_as_well(school, monkeypatch):
    compared = []
    match = Passwords.match

    def counted(self, stored, typed):
        compared.append(stored)
        return match(self, stored, typed)

    monkeypatch.setattr(Passwords, "match", counted)
    school.browser().login("nobody", "not this one")
    assert compared == [None]


def test_a_person_without_a_password_cannot_log_in(school):
    with school.app.app_context():
        db.session.add(User("newcomer", "New Comer"))
        db.session.commit()
    assert school.browser().login("newcomer", "anything at all").status_code == 422


def test_blank_fields_are_refused_beside_the_field(school):
    answer = school.browser().login("", "")
    assert answer.status_code == 422
    assert answer.text.count("This field is required.") == 2
    assert 'aria-invalid="true"' in answer.text
    assert 'aria-describedby="username-error"' in answer.text


def test_the_session_is_a_new_one_after_the_login(school):
    browser = school.browser()
    browser.get("/login")
    with browser.client.session_transaction() as kept:
        kept["planted"] = "before"
    browser.login("teacher1")
    with browser.client:
        browser.get("/courses/")
        assert "planted" not in session


def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(school):
    cookie = school.browser().get("/login").headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie


def test_logging_out_ends_the_session(school):
    browser = school.browser("teacher1")
    assert browser.post("/logout").status_code == 303
    assert browser.get("/courses/").location == "/login?next=/courses/"


def test_logging_out_needs_the_forms_token(school):
    browser = school.browser("teacher1")
    browser.token = ""
    assert browser.post("/logout").status_code == 400
    assert browser.get("/courses/").status_code == 200


def test_a_suspended_person_is_logged_out_and_stays_out(school):
    browser = school.browser("student1")
    with school.app.app_context():
        db.session.scalars(select(User).filter_by(username="student1")).one().active = False
        db.session.commit()
    assert browser.get("/courses/").status_code == 302
    answer = browser.login("student1")
    assert answer.status_code == 422
    assert "suspended" in answer.text


def test_a_suspension_is_not_told_to_who_does_not_know_the_password(school):
    with school.app.app_context():
        db.session.scalars(select(User).filter_by(username="student1")).one().active = False
        db.session.commit()
    assert "suspended" not in school.browser().login("student1", "not this one").text


def test_another_password_ends_the_sessions_of_the_old_one(school):
    browser = school.browser("student1")
    seed(school.app, people_password="another one for all")
    assert browser.get("/courses/").status_code == 302


def test_a_login_leads_on_to_the_page_that_was_wanted(school):
    browser = school.browser()
    wanted = browser.get("/courses/1?a=b").location
    assert wanted == "/login?next=/courses/1?a%3Db"
    assert browser.login("admin", path=wanted).location == "/courses/1?a=b"


def test_a_next_address_elsewhere_is_not_followed(school):
    answer = school.browser().login("admin", path="/login?next=https://elsewhere.example/")
    assert answer.location == "/courses/"


def test_who_is_logged_in_already_is_sent_on(school):
    assert school.browser("admin").get("/login").location == "/courses/"
