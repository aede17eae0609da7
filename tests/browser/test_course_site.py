"""The course site itself: logging in, people, courses, enrolments, who may do what."""

from __future__ import annotations

import re
import stat

import pytest
from playwright.sync_api import expect

from tests.browser.courses import (
    NEW_PASSWORD,
    enrol,
    follow,
    new_course,
    new_person,
    press,
    title,
)
from tests.browser.looking import everybodys_problems
from tests.browser.visitors import Visitors, log_in, notice, save

pytestmark = pytest.mark.xdist_group("browser-plain")


def test_one_logs_in_where_one_wanted_to_go_and_logs_out(plain: Visitors) -> None:
    page = plain.signed_out()
    page.goto("/courses/1")
    page.get_by_label("User name", exact=True).fill("student1")
    press(page, "Log in")
    expect(page.get_by_text("This field is required.")).to_be_visible()
    log_in(page, "student1")
    title(page, "Courses")
    page.goto("/courses/1")
    title(page, "Algebra I")
    press(page, "Log out")
    title(page, "Log in")
    page.goto("/courses/1")
    title(page, "Log in")


def test_after_logging_in_the_page_that_was_asked_for_is_shown(plain: Visitors) -> None:
    page = plain.signed_out()
    page.goto("/courses/1")
    page.get_by_label("User name", exact=True).fill("STUDENT1")
    page.get_by_label("Password", exact=True).fill("not the password")
    press(page, "Log in")
    expect(page.get_by_text("Wrong user name or password.")).to_be_visible()
    expect(page.get_by_label("User name", exact=True)).to_have_value("STUDENT1")
    expect(page.get_by_label("Password", exact=True)).to_have_value("")
    assert "next=%2Fcourses%2F1" in page.url or "next=/courses/1" in page.url


def test_too_many_wrong_passwords_are_throttled_for_that_name_alone(
    plain: Visitors, unique: str
) -> None:
    page = plain.signed_out()
    for _attempt in range(11):
        log_in(page, unique, "wrong")
    title(page, "Too many attempts")
    log_in(page, "student1")
    title(page, "Courses")


def test_the_cookie_is_not_for_scripts_or_other_sites_and_the_keys_are_the_sites_alone(
    plain: Visitors,
) -> None:
    page = plain.page()
    cookies = page.context.cookies()
    assert {cookie["name"] for cookie in cookies} == {"session", "known"}
    for cookie in cookies:
        assert cookie["httpOnly"]
        assert cookie["sameSite"] == "Lax"
    for name in ("secret_key", "commweb_secret_key"):
        mode = stat.S_IMODE((plain.site.instance / name).stat().st_mode)
        assert mode == 0o600


def test_only_admins_administer(plain: Visitors) -> None:
    for username in ("student1", "teacher1"):
        page = plain.page(username)
        for name in ("New course", "People", "Site administration"):
            expect(page.get_by_role("link", name=name, exact=True)).to_have_count(0)
        for path in ("/people", "/courses/new", "/admin/", "/admin/experimental"):
            answer = page.goto(path)
            assert answer is not None
            assert answer.status == 403
            title(page, "Not allowed")


def test_teachers_see_and_edit_their_courses_and_students_only_see_them(plain: Visitors) -> None:
    teacher = plain.page("teacher1")
    names = [link.inner_text() for link in teacher.get_by_role("main").get_by_role("link").all()]
    assert {"Algebra I", "Biology"} <= set(names)
    assert "World History" not in names
    follow(teacher, "Algebra I")
    expect(teacher.get_by_role("link", name="Edit course", exact=True)).to_be_visible()
    expect(teacher.get_by_role("link", name="Delete course", exact=True)).to_have_count(0)
    student = plain.page("student1")
    follow(student, "Algebra I")
    expect(student.get_by_role("link", name="Edit course", exact=True)).to_have_count(0)
    expect(student.get_by_role("main").get_by_role("button")).to_have_count(0)
    assert student.request.get("/courses/1/edit").status == 403
    assert student.request.get("/courses/2").status == 403


def test_a_course_is_made_edited_and_deleted(plain: Visitors, unique: str) -> None:
    page = plain.page()
    path = new_course(page, f"Geometry {unique}", unique)
    follow(page, "Edit course")
    page.get_by_label("Course full name", exact=True).fill(f"Topology {unique}")
    page.get_by_label("Visible", exact=True).uncheck()
    page.get_by_label("Group mode", exact=True).select_option("Separate groups")
    save(page)
    notice(page, "Changes saved")
    title(page, f"Topology {unique}")
    expect(page.get_by_text("Hidden")).to_be_visible()
    follow(page, "Delete course")
    title(page, f"Delete the course Topology {unique}?")
    press(page, "Delete course")
    title(page, "Courses")
    expect(page.get_by_role("link", name=f"Topology {unique}")).to_have_count(0)
    assert page.request.get(path).status == 404


def test_a_short_name_that_is_taken_is_told_beside_the_field_and_the_rest_stays(
    plain: Visitors,
) -> None:
    page = plain.page()
    page.goto("/courses/new")
    page.get_by_label("Course full name", exact=True).fill("Another algebra")
    short = page.get_by_label("Course short name", exact=True)
    short.fill("ALG1")
    press(page, "Create course")
    expect(short).to_have_attribute("aria-invalid", "true")
    expect(page.get_by_text("Another course has this short name.")).to_be_visible()
    expect(page.get_by_label("Course full name", exact=True)).to_have_value("Another algebra")


def test_people_are_enrolled_with_a_role_and_unenrolled(plain: Visitors, unique: str) -> None:
    page = plain.page()
    new_course(page, f"Physics {unique}", unique)
    enrol(page, "Student Five", "Student")
    enrol(page, "Teacher Two", "Teacher")
    row = page.get_by_role("row", name=re.compile("Teacher Two"))
    expect(row.get_by_role("cell", name="Teacher", exact=True)).to_be_visible()
    press(page, "Unenrol Student Five")
    notice(page, "Student Five was unenrolled.")
    expect(page.get_by_role("rowheader", name="Student Five")).to_have_count(0)
    student = plain.page("student5")
    expect(student.get_by_role("link", name=f"Physics {unique}", exact=True)).to_have_count(0)
    teacher = plain.page("teacher2")
    expect(teacher.get_by_role("link", name=f"Physics {unique}", exact=True)).to_be_visible()


def test_groups_are_made_filled_and_deleted(plain: Visitors, unique: str) -> None:
    page = plain.page()
    new_course(page, f"Chemistry {unique}", unique)
    enrol(page, "Student Six", "Student")
    page.get_by_label("Group name", exact=True).fill("Blue")
    press(page, "Create group")
    page.get_by_label("Member", exact=True).select_option("Student Six")
    page.get_by_label("Group", exact=True).select_option("Blue")
    press(page, "Add to group")
    notice(page, "Student Six was added to Blue.")
    press(page, "Remove Student Six from Blue")
    follow(page, "Delete group Blue")
    press(page, "Delete group")
    expect(page.get_by_role("heading", name="Blue")).to_have_count(0)


def test_a_new_person_logs_in_is_suspended_and_comes_back(plain: Visitors, unique: str) -> None:
    admin, person = plain.page(), plain.signed_out()
    name = f"Pat {unique}"
    new_person(admin, name, unique)
    log_in(person, unique, NEW_PASSWORD)
    title(person, "Courses")
    press(admin, f"Suspend {name}")
    notice(admin, f"{name} was suspended.")
    person.goto("/courses/")
    title(person, "Log in")
    log_in(person, unique, NEW_PASSWORD)
    expect(person.get_by_text("This account is suspended.")).to_be_visible()
    press(admin, f"Reinstate {name}")
    log_in(person, unique, NEW_PASSWORD)
    title(person, "Courses")


def test_no_password_is_stored_or_shown_as_it_is(plain: Visitors, unique: str) -> None:
    admin = plain.page()
    new_person(admin, f"Sam {unique}", unique)
    assert NEW_PASSWORD not in admin.content()
    files = [path for path in plain.site.instance.glob("site.db*") if path.is_file()]
    assert files
    assert not any(NEW_PASSWORD.encode() in path.read_bytes() for path in files)


def test_a_page_that_is_not_there_says_so_in_the_sites_look(plain: Visitors) -> None:
    page = plain.page("student1")
    answer = page.goto("/nothing/here")
    assert answer is not None
    assert answer.status == 404
    title(page, "Page not found")
    expect(page.get_by_role("navigation", name="Main")).to_be_visible()


def test_a_name_of_79_letters_wraps_wherever_it_is_shown(plain: Visitors, unique: str) -> None:
    page = plain.page()
    name = (
        unique + "Donaudampfschifffahrtsgesellschaftskapitaenswitwenrentenauszahlungsstelle" * 2
    )[:79]
    new_person(page, name, (unique + "x" * 64)[:64])
    notice(page, f"{name} was created.")
    assert not everybodys_problems(page)
    new_course(page, f"Geology {unique}", unique)
    enrol(page, name, "Student")
    page.get_by_label("Group name", exact=True).fill("Blue")
    press(page, "Create group")
    page.get_by_label("Member", exact=True).select_option(name)
    press(page, "Add to group")
    assert not everybodys_problems(page)
    press(page, f"Unenrol {name}")
    notice(page, f"{name} was unenrolled.")
    assert not everybodys_problems(page)
    press(page, "Undo")
    notice(page, f"{name} was enrolled again.")
    expect(page.get_by_role("button", name=f"Remove {name} from Blue", exact=True)).to_be_visible()
    own = plain.signed_out()
    log_in(own, (unique + "x" * 64)[:64], NEW_PASSWORD)
    title(own, "Courses")
    assert not everybodys_problems(own)
    shown = own.locator(".site-user-name")
    assert shown.evaluate("one => one.scrollWidth <= one.clientWidth"), "the whole name is there"
