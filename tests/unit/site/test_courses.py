"""Making, editing and deleting courses, and what commweb is told."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from commweb.site import db
from commweb.site.models import Course, Enrolment, Group, GroupMode
from tests.unit.site.pictures import EDIT, picture, upload


def course(school, number: int = 1) -> Course:
    return db.session.get(Course, number)


def test_a_new_course_is_stored_and_leads_to_its_page(school):
    browser = school.browser("admin")
    answer = browser.post(
        "/courses/new", full_name=" Chemistry ", short_name="CHEM", summary="Fire."
    )
    assert answer.status_code == 303
    page = browser.get(answer.location).text
    assert "<h1>Chemistry</h1>" in page
    assert "Course &#34;Chemistry&#34; was created." in page
    assert "Fire." in page


def test_missing_names_are_refused_and_what_was_typed_stays(school):
    answer = school.browser("admin").post("/courses/new", summary="Keep me")
    assert answer.status_code == 422
    assert answer.text.count("This field is required.") == 2
    assert "Keep me" in answer.text


def test_a_short_name_is_used_once_whatever_its_case(school):
    browser = school.browser("admin")
    answer = browser.post("/courses/new", full_name="Another", short_name="alg1")
    assert answer.status_code == 422
    assert "Another course has this short name." in answer.text
    assert "Another</a>" not in browser.get("/courses/").text


@pytest.mark.parametrize("bad", ["x" * 256, "bell\x07"])
def test_a_name_that_cannot_be_kept_is_refused(school, bad):
    answer = school.browser("admin").post("/courses/new", full_name=bad, short_name="OK")
    assert answer.status_code == 422


def test_text_from_people_is_never_markup(school):
    browser = school.browser("admin")
    answer = browser.post(
        "/courses/new", full_name="<b>Bold</b>", short_name="<i>", summary="<script>x</script>"
    )
    page = browser.get(answer.location).text
    assert "<b>Bold" not in page
    assert "<script>x" not in page
    assert "&lt;b&gt;Bold" in page


def test_without_a_provider_there_is_nothing_to_choose(school):
    assert "Provider" not in school.browser("admin").get("/courses/new").text


def test_the_form_shows_the_course_as_it_is(school):
    with school.app.app_context():
        course(school).group_mode = GroupMode.SEPARATE
        course(school).visible = False
        db.session.commit()
    page = school.browser("teacher1").get("/courses/1/edit").text
    assert '<option selected value="separate">' in page
    assert "Algebra I" in page
    assert "checked" not in page


def test_an_edit_is_stored_and_reported(school):
    school.forget_reports()
    browser = school.browser("teacher1")
    answer = browser.post("/courses/1/edit", **EDIT, opens="2030-09-01", closes="2031-06-30")
    assert answer.status_code == 303
    assert "Changes saved" in browser.get(answer.location).text
    assert school.reports() == [("course", "1")]
    with school.app.app_context():
        kept = course(school)
        assert (kept.full_name, kept.group_mode) == ("Algebra II", GroupMode.VISIBLE)
        assert kept.visible
        assert str(kept.closes) == "2031-06-30"


def test_a_day_that_is_emptied_is_forgotten_and_one_that_is_not_sent_stays(school):
    browser = school.browser("teacher1")
    browser.post("/courses/1/edit", **EDIT, opens="2030-09-01", closes="2031-06-30")
    assert browser.post("/courses/1/edit", **EDIT, opens="").status_code == 303
    with school.app.app_context():
        kept = course(school)
        assert (kept.opens, str(kept.closes)) == (None, "2031-06-30")


def test_an_edit_with_an_error_stores_and_reports_nothing(school):
    school.forget_reports()
    answer = school.browser("teacher1").post("/courses/1/edit", **{**EDIT, "full_name": ""})
    assert answer.status_code == 422
    assert "ALG2" in answer.text
    assert school.reports() == []


def test_an_edit_cannot_take_another_courses_short_name(school):
    answer = school.browser("admin").post("/courses/1/edit", **{**EDIT, "short_name": "BIO1"})
    assert answer.status_code == 422
    with school.app.app_context():
        assert course(school).full_name == "Algebra I"


@pytest.mark.parametrize(
    ("opens", "closes", "message"),
    [
        ("2030-09-02", "2030-09-01", "cannot close before it opens"),
        ("tomorrow", "", "Enter a day"),
        ("0001-01-01", "", "between 1970 and 2999"),
        ("", "9999-12-31", "between 1970 and 2999"),
    ],
)
def test_days_that_make_no_sense_are_refused(school, opens, closes, message):
    answer = school.browser("admin").post("/courses/1/edit", **EDIT, opens=opens, closes=closes)
    assert answer.status_code == 422
    assert message in answer.text


def test_a_course_is_deleted_on_a_page_of_its_own_and_reported(school):
    school.forget_reports()
    browser = school.browser("admin")
    assert "Delete the course Algebra I?" in browser.get("/courses/1/delete").text
    assert school.reports() == []
    assert browser.post("/courses/1/delete").location == "/courses/"
    assert "Course &#34;Algebra I&#34; was deleted." in browser.get("/courses/").text
    assert school.reports() == [("deleted", "1")]
    with school.app.app_context():
        assert db.session.scalars(select(Enrolment).filter_by(course_id=1)).all() == []


def test_the_id_of_a_deleted_course_is_not_used_again(school):
    browser = school.browser("admin")
    browser.post("/courses/3/delete")
    answer = browser.post("/courses/new", full_name="New", short_name="NEW")
    assert answer.location == "/courses/4"


def test_a_course_with_groups_and_a_picture_can_be_deleted(school):
    browser = school.browser("admin")
    upload(browser, picture())
    with school.app.app_context():
        group = Group(name="Red")
        kept = course(school)
        kept.groups.append(group)
        group.members.append(kept.enrolments[0])
        db.session.commit()
    assert browser.post("/courses/1/delete").status_code == 303
