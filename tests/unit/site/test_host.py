"""The site as commweb's host."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from commweb import Permission, Person, Role
from commweb.site import db
from commweb.site.host import CourseSite
from commweb.site.images import check_image
from commweb.site.models import Course, Group, GroupMode, Picture, User
from commweb.testing import HostContract
from tests.unit.site.conftest import PEOPLE_PASSWORD
from tests.unit.site.pictures import picture


@pytest.fixture
def host(school):
    """The host in an app context without a request, as in a worker."""
    with school.app.app_context():
        yield CourseSite()


class TestTheContract(HostContract):
    """The site keeps what it promises to commweb, as any host does."""

    course_id = "1"

    @pytest.fixture(autouse=True)
    def _site(self, school):
        self.app = school.app
        self.person_id = str(school.person_id("student1"))


def person(school, username: str) -> Person:
    found = CourseSite().person(str(school.person_id(username)))
    assert found is not None
    return found


def test_ids_are_strings_and_what_is_gone_is_none(host):
    assert [course.id for course in host.courses()] == ["1", "2", "3"]
    assert host.course("1").full_name == "Algebra I"
    for gone in ("999", "", "abc", "-1", "1.0", "²", "01", "9" * 30):
        assert host.course(gone) is None
        assert host.person(gone) is None
        assert list(host.members(gone)) == []
        assert list(host.groups(gone)) == []


def test_a_course_crosses_whole(host, school):
    course = db.session.get(Course, 1)
    course.opens, course.closes = date(2030, 9, 1), date(2031, 6, 30)
    db.session.commit()
    seen = host.course("1")
    assert seen.opens_at == datetime(2030, 9, 1, tzinfo=UTC)
    assert seen.closes_at == datetime(2031, 7, 1, tzinfo=UTC), "the last day counts"
    assert seen.url == "http://127.0.0.1:5000/courses/1"
    assert (seen.visible, seen.image) == (True, None)


def test_the_address_of_a_course_follows_the_sites_own(make_site):
    with make_site(SITE_URL="https://courses.example/") as app, app.app_context():
        db.session.add(Course(full_name="One", short_name="ONE"))
        db.session.commit()
        assert CourseSite().course("1").url == "https://courses.example/courses/1"


def test_a_picture_is_read_when_it_is_asked_for_outside_any_context(school):
    image = check_image(picture(), 10**6)
    with school.app.app_context():
        db.session.get(Course, 1).picture = Picture(
            digest=image.digest, media_type=image.media_type, data=image.data
        )
        db.session.commit()
        seen = CourseSite().course("1").image
    assert (seen.digest, seen.media_type) == (image.digest, "image/png")
    assert seen.read() == image.data
    with school.app.app_context():
        db.session.get(Course, 1).picture = None
        db.session.commit()
    with pytest.raises(LookupError):
        seen.read()


def test_members_come_with_role_and_state(host, school):
    db.session.get(User, school.person_id("student1")).active = False
    db.session.commit()
    members = {member.person.username: member for member in host.members("1")}
    assert list(members) == ["teacher1", "student1", "student2", "student3", "student4"]
    assert members["teacher1"].role is Role.MODERATOR
    assert members["student2"].role is Role.PARTICIPANT
    assert not members["student1"].person.active
    assert members["student2"].person.display_name == "Student Two"


def test_groups_cross_only_while_the_course_uses_them(host):
    course = db.session.get(Course, 1)
    course.groups.append(Group(name="Red", members=[course.enrolments[1]]))
    db.session.commit()
    assert list(host.groups("1")) == []
    assert all(not member.group_ids for member in host.members("1"))
    course.group_mode = GroupMode.VISIBLE
    db.session.commit()
    (group,) = host.groups("1")
    assert group.name == "Red"
    in_group = [m.person.username for m in host.members("1") if group.id in m.group_ids]
    assert in_group == ["student1"]


@pytest.mark.parametrize(
    ("username", "permission", "course", "may"),
    [
        ("admin", Permission.CONFIGURE_SITE, None, True),
        ("admin", Permission.CONFIGURE_COURSE, "2", True),
        ("teacher1", Permission.CONFIGURE_SITE, None, False),
        ("teacher1", Permission.CONFIGURE_COURSE, "1", True),
        ("teacher1", Permission.CONFIGURE_COURSE, "2", False),
        ("teacher1", Permission.CONFIGURE_COURSE, None, False),
        ("teacher1", Permission.VIEW_COURSE, "1", True),
        ("student1", Permission.CONFIGURE_COURSE, "1", False),
        ("student1", Permission.VIEW_COURSE, "1", True),
        ("student1", Permission.VIEW_COURSE, "2", False),
        ("student1", Permission.VIEW_COURSE, "999", False),
    ],
)
def test_permissions_follow_the_enrolments(host, school, username, permission, course, may):
    assert host.can(person(school, username), permission, course) is may


def test_a_hidden_course_and_a_suspended_person_lose_permissions(host, school):
    student, teacher = person(school, "student1"), person(school, "teacher1")
    db.session.get(Course, 1).visible = False
    db.session.commit()
    assert not host.can(student, Permission.VIEW_COURSE, "1")
    assert host.can(teacher, Permission.VIEW_COURSE, "1")
    db.session.get(User, school.person_id("teacher1")).active = False
    db.session.commit()
    assert not host.can(teacher, Permission.VIEW_COURSE, "1")
    assert not host.can(Person("999", "gone", "Gone"), Permission.VIEW_COURSE, "1")


def test_a_failed_read_raises_and_is_never_empty(host):
    db.session.execute(text("ALTER TABLE enrolment RENAME TO elsewhere"))
    with pytest.raises(OperationalError):
        list(host.members("1"))
    db.session.rollback()


def test_who_is_logged_in_is_known_and_others_are_sent_to_the_login_page(school):
    with school.app.test_request_context():
        assert CourseSite().current_person() is None
        assert CourseSite().login_url("/courses/1") == "/login?next=/courses/1"


def test_a_password_is_that_of_the_person_who_is_active(host, school):
    person = host.person(str(school.person_id("student1")))
    assert host.check_password(person, PEOPLE_PASSWORD) is True
    assert host.check_password(person, "another") is False
    db.session.get(User, school.person_id("student1")).active = False
    db.session.commit()
    assert host.check_password(person, PEOPLE_PASSWORD) is False


def test_who_has_no_password_or_is_gone_matches_none(host, school):
    newcomer = User("newcomer", "New Comer")
    db.session.add(newcomer)
    db.session.commit()
    person = host.person(str(newcomer.id))
    for typed in ("", "anything", "None"):
        assert host.check_password(person, typed) is False
    db.session.delete(newcomer)
    db.session.commit()
    assert host.check_password(person, "anything") is False
