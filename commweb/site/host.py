"""`CourseSite`: what commweb asks of this site, answered from its tables."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta

from flask import current_app
from sqlalchemy import select
from sqlalchemy.orm import joinedload, selectinload

import commweb
from commweb import Host, Permission
from commweb.site import db
from commweb.site.access import course_for, may_edit, may_view
from commweb.site.login import login_address, visitor
from commweb.site.models import Course, Enrolment, Group, GroupMode, Picture, Role, User
from commweb.site.passwords import passwords

__all__ = ["CourseSite", "as_person"]

ROLES = {Role.STUDENT: commweb.Role.PARTICIPANT, Role.TEACHER: commweb.Role.MODERATOR}


class CourseSite(Host):
    """The site as a host. A failed read raises what the database raises."""

    def current_person(self) -> commweb.Person | None:
        user = visitor()
        return as_person(user) if user else None

    def login_url(self, next: str) -> str | None:
        return login_address(next)

    def can(
        self, person: commweb.Person, permission: Permission, course_id: str | None = None
    ) -> bool:
        user = _user(person.id)
        if user is None or not user.active:
            return False
        if user.is_admin:
            return True
        number = _number(course_id or "")
        course = course_for(user, number) if number is not None else None
        if course is None or permission is Permission.CONFIGURE_SITE:
            return False
        if permission is Permission.CONFIGURE_COURSE:
            return may_edit(user, course)
        return may_view(user, course)

    def course(self, id: str) -> commweb.Course | None:
        course = _course(id)
        return _as_course(course) if course else None

    def courses(self) -> Iterable[commweb.Course]:
        rows = db.session.scalars(
            select(Course).options(joinedload(Course.picture)).order_by(Course.id)
        )
        return [_as_course(course) for course in rows]

    def groups(self, course_id: str) -> Iterable[commweb.Group]:
        course = _course(course_id)
        if course is None or course.group_mode is GroupMode.NONE:
            return []
        rows = db.session.scalars(
            select(Group).where(Group.course_id == course.id).order_by(Group.id)
        )
        return [commweb.Group(str(group.id), group.name) for group in rows]

    def members(self, course_id: str) -> Iterable[commweb.Member]:
        course = _course(course_id)
        if course is None:
            return []
        rows = db.session.scalars(
            select(Enrolment)
            .where(Enrolment.course_id == course.id)
            .options(joinedload(Enrolment.user), selectinload(Enrolment.groups))
            .order_by(Enrolment.id)
        )
        grouped = course.group_mode is not GroupMode.NONE
        return [_as_member(enrolment, grouped) for enrolment in rows]

    def person(self, id: str) -> commweb.Person | None:
        user = _user(id)
        return as_person(user) if user else None

    def check_password(self, person: commweb.Person, password: str) -> bool:
        user = _user(person.id)
        stored = user.password_hash if user is not None and user.active else None
        return passwords().match(stored, password)


def as_person(user: User) -> commweb.Person:
    """The person as commweb sees them."""
    return commweb.Person(
        id=str(user.id),
        username=user.username,
        display_name=user.full_name,
        active=user.active,
    )


def _as_member(enrolment: Enrolment, grouped: bool) -> commweb.Member:
    groups = enrolment.groups if grouped else []
    return commweb.Member(
        person=as_person(enrolment.user),
        role=ROLES[enrolment.role],
        group_ids=frozenset(str(group.id) for group in groups),
    )


def _as_course(course: Course) -> commweb.Course:
    return commweb.Course(
        id=str(course.id),
        full_name=course.full_name,
        short_name=course.short_name,
        # Not url_for: a worker has no request to take the address from.
        url=f"{current_app.config['SITE_URL'].rstrip('/')}/courses/{course.id}",
        summary=course.summary,
        visible=course.visible,
        opens_at=_start_of(course.opens),
        closes_at=_start_of(course.closes + timedelta(days=1) if course.closes else None),
        image=_as_image(course.picture) if course.picture else None,
    )


def _as_image(picture: Picture) -> commweb.CourseImage:
    app = current_app._get_current_object()  # type: ignore[attr-defined]
    course_id, digest = picture.course_id, picture.digest

    def read() -> bytes:
        with app.app_context():
            data = db.session.scalar(
                select(Picture.data).where(Picture.course_id == course_id, Picture.digest == digest)
            )
        if data is None:
            raise LookupError("The course's picture was replaced meanwhile.")
        return data

    return commweb.CourseImage(digest=digest, media_type=picture.media_type, read=read)


def _start_of(day: date | None) -> datetime | None:
    return datetime.combine(day, time.min, tzinfo=UTC) if day else None


def _number(id: str) -> int | None:
    """The key of an id that commweb hands back; None for what cannot be one. Each key has one
    spelling: "01" is no course, or it would have a room of its own."""
    plain = id.isascii() and id.isdigit() and len(id) < 19 and str(int(id)) == id
    return int(id) if plain else None


def _course(id: str) -> Course | None:
    number = _number(id)
    return db.session.get(Course, number) if number is not None else None


def _user(id: str) -> User | None:
    number = _number(id)
    return db.session.get(User, number) if number is not None else None
