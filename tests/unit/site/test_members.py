"""Enrolments and groups."""

from __future__ import annotations

import re
import sqlite3

import pytest
from sqlalchemy import event, select

from commweb.site import db
from commweb.site.models import Course, Enrolment, Group, GroupMode, Role


def groups(school, number: int = 1) -> dict[str, list[str]]:
    with school.app.app_context():
        rows = db.session.scalars(select(Group).filter_by(course_id=number))
        return {group.name: [m.user.username for m in group.members] for group in rows}


def group_id(school, name: str) -> int:
    with school.app.app_context():
        return db.session.scalars(select(Group.id).filter_by(name=name)).one()


def test_a_teacher_enrols_a_student_and_it_is_reported(school):
    school.forget_reports()
    browser = school.browser("teacher1")
    answer = browser.post(
        "/courses/1/enrol", person=str(school.person_id("student7")), role="student"
    )
    assert (answer.status_code, answer.location) == (303, "/courses/1")
    assert "Student Seven was enrolled." in browser.get("/courses/1").text
    assert "student7" in school.enrolled("ALG1")
    assert school.reports() == [("course", "1")]


def test_a_role_is_kept(school):
    school.browser("admin").post(
        "/courses/1/enrol", person=str(school.person_id("teacher2")), role="teacher"
    )
    with school.app.app_context():
        enrolment = db.session.get(Enrolment, school.enrolled("ALG1")["teacher2"])
        assert enrolment.role is Role.TEACHER


@pytest.mark.parametrize(
    "fields",
    [{"person": "", "role": "student"}, {"person": "999", "role": "student"}, {"person": "x"}],
)
def test_a_form_that_names_nobody_is_refused_on_the_course_page(school, fields):
    school.forget_reports()
    answer = school.browser("teacher1").post("/courses/1/enrol", **fields)
    assert answer.status_code == 422
    assert "Algebra I" in answer.text
    assert answer.text.count('role="alert"') == 1, "only the form that was sent has errors"
    assert school.reports() == []


def test_an_unknown_role_is_refused(school):
    answer = school.browser("teacher1").post(
        "/courses/1/enrol", person=str(school.person_id("student7")), role="emperor"
    )
    assert answer.status_code == 422


def test_somebody_enrolled_already_is_not_offered_again(school):
    answer = school.browser("teacher1").post(
        "/courses/1/enrol", person=str(school.person_id("student1")), role="teacher"
    )
    assert answer.status_code == 422


def test_only_administrators_enrol_administrators(school):
    fields = {"person": str(school.person_id("admin")), "role": "student"}
    assert school.browser("teacher1").post("/courses/1/enrol", **fields).status_code == 422
    assert school.browser("admin").post("/courses/1/enrol", **fields).status_code == 303


def test_people_with_the_same_name_are_told_apart(school):
    browser = school.browser("admin")
    for username in ("lee1", "lee2"):
        browser.post("/people", full_name="Lee", username=username)
    page = browser.get("/courses/1").text
    assert "Lee (lee1)" in page
    assert "Lee (lee2)" in page


def test_unenrolling_is_reported_and_can_be_sent_twice(school):
    school.forget_reports()
    browser = school.browser("teacher1")
    path = f"/courses/1/enrolments/{school.enrolled('ALG1')['student1']}/remove"
    assert browser.post(path).status_code == 303
    assert "Student One was unenrolled." in browser.get("/courses/1").text
    assert browser.post(path).status_code == 303
    assert "student1" not in school.enrolled("ALG1")
    assert school.reports() == [("course", "1")]


def test_an_enrolment_of_another_course_cannot_be_removed(school):
    number = school.enrolled("HIST1")["student8"]
    school.browser("teacher1").post(f"/courses/1/enrolments/{number}/remove")
    assert "student8" in school.enrolled("HIST1")


def test_a_teacher_who_leaves_a_course_is_led_to_the_list(school):
    number = school.enrolled("ALG1")["teacher1"]
    browser = school.browser("teacher1")
    assert browser.post(f"/courses/1/enrolments/{number}/remove").location == "/courses/"


def test_the_button_names_whom_it_unenrols(school):
    page = school.browser("teacher1").get("/courses/1").text
    assert 'Unenrol<span class="visually-hidden"> Student One</span>' in page


def test_a_group_is_made_filled_emptied_and_deleted(school):
    school.forget_reports()
    browser = school.browser("teacher1")
    browser.post("/courses/1/groups", group_name="Red")
    number, member = group_id(school, "Red"), school.enrolled("ALG1")["student2"]
    browser.post("/courses/1/groups/members", member=str(member), group=str(number))
    browser.post("/courses/1/groups/members", member=str(member), group=str(number))
    assert groups(school) == {"Red": ["student2"]}
    browser.post(f"/courses/1/groups/{number}/members/{member}/remove")
    assert groups(school) == {"Red": []}
    assert "Delete the group Red?" in browser.get(f"/courses/1/groups/{number}/delete").text
    browser.post(f"/courses/1/groups/{number}/delete")
    assert groups(school) == {}
    assert school.reports() == [("course", "1")] * 3 + [
        ("group_deleted", f"1{number}"),
        ("course", "1"),
    ]


@pytest.mark.parametrize(("name", "message"), [("", "This field"), ("RED", "Another group")])
def test_a_group_needs_a_name_of_its_own(school, name, message):
    browser = school.browser("teacher1")
    browser.post("/courses/1/groups", group_name="Red")
    answer = browser.post("/courses/1/groups", group_name=name)
    assert answer.status_code == 422
    assert message in answer.text
    assert list(groups(school)) == ["Red"]


def test_a_group_takes_members_of_its_own_course_only(school):
    browser = school.browser("teacher1")
    browser.post("/courses/1/groups", group_name="Red")
    stranger = school.enrolled("HIST1")["student8"]
    answer = browser.post(
        "/courses/1/groups/members", member=str(stranger), group=str(group_id(school, "Red"))
    )
    assert answer.status_code == 422


def test_a_group_of_another_course_is_out_of_reach(school):
    school.browser("teacher2").post("/courses/2/groups", group_name="Blue")
    number = group_id(school, "Blue")
    browser = school.browser("teacher1")
    assert browser.post(f"/courses/1/groups/{number}/delete").status_code == 404
    assert browser.post(f"/courses/2/groups/{number}/delete").status_code == 403


def test_who_is_unenrolled_is_out_of_the_groups_too(school):
    browser = school.browser("teacher1")
    browser.post("/courses/1/groups", group_name="Red")
    member = school.enrolled("ALG1")["student2"]
    browser.post(
        "/courses/1/groups/members", member=str(member), group=str(group_id(school, "Red"))
    )
    browser.post(f"/courses/1/enrolments/{member}/remove")
    assert groups(school) == {"Red": []}


def test_with_separate_groups_students_see_their_own_group_and_the_teachers(school):
    with school.app.app_context():
        course = db.session.get(Course, 1)
        course.group_mode = GroupMode.SEPARATE
        by_name = {e.user.username: e for e in course.enrolments}
        course.groups.append(Group(name="Red", members=[by_name["student1"], by_name["student2"]]))
        course.groups.append(Group(name="Blue", members=[by_name["student3"]]))
        db.session.commit()
    page = school.browser("student1").get("/courses/1").text
    assert "Student Two" in page
    assert "Teacher One" in page
    assert "Student Three" not in page
    assert "Student Three" in school.browser("teacher1").get("/courses/1").text


OFFER = re.compile(r'name="offer" value="([^"]+)"')


def unenrol(school, browser, username: str = "student2") -> str:
    """Unenrol, and answer the offer to undo it."""
    browser.post(f"/courses/1/enrolments/{school.enrolled('ALG1')[username]}/remove")
    found = OFFER.search(browser.get("/courses/1").text)
    assert found
    return found[1]


def test_an_unenrolment_is_undone_with_role_and_groups(school):
    with school.app.app_context():
        course = db.session.get(Course, 1)
        by_name = {e.user.username: e for e in course.enrolments}
        by_name["student2"].role = Role.TEACHER
        course.groups.append(Group(name="Red", members=[by_name["student2"]]))
        course.groups.append(Group(name="Blue", members=[by_name["student3"]]))
        db.session.commit()
    browser = school.browser("teacher1")
    offer = unenrol(school, browser)
    school.forget_reports()
    assert browser.post("/courses/1/enrolments/undo", offer=offer).status_code == 303
    assert "Student Two was enrolled again." in browser.get("/courses/1").text
    assert groups(school) == {"Red": ["student2"], "Blue": ["student3"]}
    with school.app.app_context():
        enrolment = db.session.get(Enrolment, school.enrolled("ALG1")["student2"])
        assert enrolment.role is Role.TEACHER
    assert school.reports() == [("course", "1")]


def test_undoing_twice_enrols_once(school):
    browser = school.browser("teacher1")
    offer = unenrol(school, browser)
    browser.post("/courses/1/enrolments/undo", offer=offer)
    assert browser.post("/courses/1/enrolments/undo", offer=offer).status_code == 303
    page = browser.get("/courses/1").text
    assert "Student Two was already enrolled." in page
    assert page.count("Student Two</th>") <= 1


def test_the_offer_is_shown_once_and_only_on_the_page_of_its_course(school):
    browser = school.browser("admin")
    unenrol(school, browser)
    assert not OFFER.search(browser.get("/courses/1").text)
    browser.post(f"/courses/1/enrolments/{school.enrolled('ALG1')['student3']}/remove")
    assert not OFFER.search(browser.get("/courses/2").text)


def test_an_offer_of_somebody_else_another_course_or_made_up_undoes_nothing(school):
    mine, admin = school.browser("teacher1"), school.browser("admin")
    offer = unenrol(school, mine)
    for browser, number, sent in (
        (admin, 1, offer),
        (admin, 2, offer),
        (mine, 1, offer[:-2] + "xx"),
        (mine, 1, ""),
    ):
        answer = browser.post(f"/courses/{number}/enrolments/undo", offer=sent, more="x")
        assert answer.status_code == 303
        page = browser.get(answer.location).text
        assert "This can no longer be undone. Enrol the person again." in page
    assert "student2" not in school.enrolled("ALG1")


def test_who_may_no_longer_edit_the_course_cannot_undo(school):
    browser = school.browser("teacher1")
    offer = unenrol(school, browser)
    number = school.enrolled("ALG1")["teacher1"]
    school.browser("admin").post(f"/courses/1/enrolments/{number}/remove")
    assert browser.post("/courses/1/enrolments/undo", offer=offer).status_code == 403


def test_the_session_holds_plain_text_only(school):
    browser = school.browser("teacher1")
    browser.post(f"/courses/1/enrolments/{school.enrolled('ALG1')['student2']}/remove")
    with browser.client.session_transaction() as session:
        assert type(session["undo"]) is str
        for category, text in session["_flashes"]:
            assert type(category) is str
            assert type(text) is str


def somebody_else_is_faster(school, *statements: str, at: str = "before_flush") -> None:
    """The statements are done between what the next form's view reads and what it writes, or just
    after it wrote."""

    @event.listens_for(db.session, at, once=True)
    def at_the_same_time(*_args: object) -> None:
        with sqlite3.connect(school.app.instance_path + "/site.db") as connection:
            for statement in statements:
                connection.execute(statement)


@pytest.mark.parametrize(
    ("path", "gone"),
    [
        ("enrolments/{enrolment}/remove", "group_member"),
        ("groups/{group}/members/{enrolment}/remove", "group_member"),
        ("edit", "course"),
    ],
)
def test_a_form_whose_target_went_at_the_same_moment_is_no_fault_of_the_site(school, path, gone):
    browser = school.browser("teacher1")
    browser.post("/courses/1/groups", group_name="Red")
    enrolment, group = school.enrolled("ALG1")["student1"], group_id(school, "Red")
    browser.post("/courses/1/groups/members", member=str(enrolment), group=str(group))
    edited = {"full_name": "Algebra", "short_name": "ALG9", "visible": "y", "group_mode": "none"}
    browser.get("/courses/1/edit")
    somebody_else_is_faster(school, f"DELETE FROM {gone}")
    answer = browser.post(f"/courses/1/{path.format(enrolment=enrolment, group=group)}", **edited)
    assert (answer.status_code, answer.headers["Location"].startswith("/courses/")) == (303, True)
    assert "Somebody changed this at the same time." in browser.get("/courses/").text


def test_a_group_that_goes_just_after_somebody_was_added_is_no_fault_of_the_site(school):
    browser = school.browser("teacher1")
    browser.post("/courses/1/groups", group_name="Red")
    enrolment, group = school.enrolled("ALG1")["student1"], group_id(school, "Red")
    gone = ('DELETE FROM "group_member"', 'DELETE FROM "course_group"')
    somebody_else_is_faster(school, *gone, at="after_commit")
    answer = browser.post("/courses/1/groups/members", member=str(enrolment), group=str(group))
    assert answer.status_code == 303
    assert "Somebody changed this at the same time." in browser.get("/courses/").text
