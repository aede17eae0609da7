"""People, for administrators."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from commweb.site import db
from commweb.site.models import User


def test_a_new_person_can_log_in(school):
    browser = school.browser("admin")
    answer = browser.post(
        "/people", full_name="Ada Byron", username="ada", password="a password for ada"
    )
    assert (answer.status_code, answer.location) == (303, "/people")
    assert "Ada Byron was created." in browser.get("/people").text
    assert school.browser().login("ada", "a password for ada").status_code == 303


def test_a_password_is_kept_as_a_hash_only(school):
    with school.app.app_context():
        kept = db.session.scalars(select(User).filter_by(username="admin")).one()
        assert kept.password_hash.startswith("$argon2id$")


def test_a_person_without_a_password_is_made_all_the_same(school):
    browser = school.browser("admin")
    assert browser.post("/people", full_name="Later", username="later").status_code == 303
    assert school.browser().login("later", "").status_code == 422


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"full_name": "", "username": "x"}, "This field is required."),
        ({"full_name": "X", "username": ""}, "This field is required."),
        ({"full_name": "X", "username": "two words"}, "no spaces"),
        ({"full_name": "X", "username": "ADMIN"}, "Another person has this user name."),
        ({"full_name": "X", "username": "x", "password": "short"}, "at least 8"),
        ({"full_name": "X", "username": "x", "password": "y" * 201}, "at most 200"),
        ({"full_name": "X" * 256, "username": "x"}, "at most 255"),
    ],
)
def test_a_person_who_cannot_be_kept_is_refused_beside_the_field(school, fields, message):
    answer = school.browser("admin").post("/people", **fields)
    assert answer.status_code == 422
    assert message in answer.text
    with school.app.app_context():
        assert len(db.session.scalars(select(User)).all()) == 11


def test_a_typed_password_never_comes_back(school):
    answer = school.browser("admin").post("/people", username="x", password="do not show me")
    assert answer.status_code == 422
    assert "do not show me" not in answer.text


def test_suspending_and_reinstating_are_reported(school):
    school.forget_reports()
    browser, number = school.browser("admin"), school.person_id("student3")
    assert browser.post(f"/people/{number}/suspend").status_code == 303
    page = browser.get("/people").text
    assert "Student Three was suspended." in page
    assert 'Reinstate<span class="visually-hidden"> Student Three</span>' in page
    assert school.browser().login("student3").status_code == 422
    browser.post(f"/people/{number}/reinstate")
    assert school.browser().login("student3").status_code == 303
    assert school.reports() == [("person", str(number))] * 2


def test_an_administrator_cannot_suspend_himself(school):
    school.forget_reports()
    browser, number = school.browser("admin"), school.person_id("admin")
    browser.post(f"/people/{number}/suspend")
    assert "You cannot suspend yourself." in browser.get("/people").text
    assert school.reports() == []


def test_a_new_name_is_stored_and_reported(school):
    school.forget_reports()
    browser, number = school.browser("admin"), school.person_id("student3")
    assert browser.post(f"/people/{number}/edit", full_name="Student Third").status_code == 303
    assert "Student Third" in browser.get("/courses/1").text
    assert school.reports() == [("person", str(number))]
    assert school.browser().login("student3").status_code == 303, "the password is kept"


def test_a_new_password_replaces_the_old_one(school):
    browser, number = school.browser("admin"), school.person_id("student3")
    browser.post(f"/people/{number}/edit", full_name="S", password="another password")
    assert school.browser().login("student3").status_code == 422
    assert school.browser().login("student3", "another password").status_code == 303


def test_a_person_who_is_not_there_is_not_found(school):
    browser = school.browser("admin")
    assert browser.post("/people/999/suspend").status_code == 404
    assert browser.get("/people/999/edit").status_code == 404
