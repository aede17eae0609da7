"""Logging in and out, and what is thrown back."""

from __future__ import annotations

import pytest
from flask import session
from sqlalchemy import select

from commweb.site import db
from commweb.site.models import User
from commweb.site.passwords import Passwords
from commweb.site.seed import seed
from commweb.site.views.auth import safe_path
from tests.unit.site.conftest import Browser

WRONG = "The user name or the password is not right."


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


@pytest.mark.parametrize(
    "elsewhere",
    [
        "https://elsewhere.example/",
        "//elsewhere.example",
        "/\\elsewhere.example",
        "\\\\elsewhere.example",
        "/\t/elsewhere.example",
        "/ok\r\nX-Header: 1",
        "javascript:alert(1)",
        "courses/",
        "",
        None,
        "/" + "a" * 3000,
    ],
)
def test_a_login_never_leads_to_another_site(elsewhere):
    assert safe_path(elsewhere) is None


def test_a_next_address_elsewhere_is_not_followed(school):
    answer = school.browser().login("admin", path="/login?next=https://elsewhere.example/")
    assert answer.location == "/courses/"


def test_who_is_logged_in_already_is_sent_on(school):
    assert school.browser("admin").get("/login").location == "/courses/"


def test_too_many_failures_are_told_to_wait(make_site):
    with make_site(LOGIN_LIMIT="3 per minute") as app:
        seed(app, "correct horse battery", "staple of the people")

        browser = Browser(app)
        assert [browser.login("teacher1", "wrong").status_code for _ in range(3)] == [422] * 3
        answer = browser.login("teacher1")
        assert answer.status_code == 429
        assert answer.headers["Retry-After"] == "60"
        assert "Too many attempts" in answer.text
        assert browser.login("teacher2").status_code == 303, "another name is not held up"


def test_failures_with_ever_new_names_are_limited_too(make_site):
    with make_site(LOGIN_LIMIT_BY_ADDRESS="4 per minute") as app:
        browser = Browser(app)
        codes = [browser.login(f"name{n}", "wrong").status_code for n in range(6)]
        assert codes == [422] * 4 + [429] * 2


def test_good_logins_are_not_counted(make_site):
    with make_site(LOGIN_LIMIT="2 per minute") as app:
        seed(app, "correct horse battery", "staple of the people")

        for _ in range(5):
            assert Browser(app).login("teacher1").status_code == 303


def test_two_sites_in_one_process_count_apart(make_site):

    with make_site("one", LOGIN_LIMIT="1 per minute") as one, make_site("two") as two:
        assert Browser(one).login("teacher1", "wrong").status_code == 422
        assert Browser(one).login("teacher1", "wrong").status_code == 429
        assert Browser(two).login("teacher1", "wrong").status_code == 422
