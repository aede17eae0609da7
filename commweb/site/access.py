"""Who may see and change what. Views and the host answer from here.

Whether a person may do something is asked before the course is read: to people who may not, a
course that is there takes as long as one that is not.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select

from commweb.site import db
from commweb.site.models import Course, Enrolment, GroupMode, Role, User

__all__ = ["course_for", "courses_of", "may_edit", "may_view", "role_in", "visible_enrolments"]


def role_in(user: User, course_id: int) -> Role | None:
    """What the person is in the course; None: not enrolled, or there is no such course."""
    return db.session.scalar(
        select(Enrolment.role).where(Enrolment.user_id == user.id, Enrolment.course_id == course_id)
    )


def course_for(user: User, course_id: int) -> Course | None:
    """The course, for whoever is in it and for administrators; None for everybody else."""
    if not user.is_admin and role_in(user, course_id) is None:
        return None
    return db.session.get(Course, course_id)


def may_edit(user: User, course: Course) -> bool:
    """Administrators, and the course's teachers."""
    return user.active and (user.is_admin or role_in(user, course.id) is Role.TEACHER)


def may_view(user: User, course: Course) -> bool:
    """Who may edit, and the course's students while it is visible."""
    if may_edit(user, course):
        return True
    return user.active and course.visible and role_in(user, course.id) is not None


def courses_of(user: User) -> Sequence[Course]:
    """The courses the person may see, by name."""
    query = select(Course).order_by(Course.full_name, Course.id)
    if not user.is_admin:
        query = query.join(Enrolment).where(
            Enrolment.user_id == user.id, Course.visible | (Enrolment.role == Role.TEACHER)
        )
    return db.session.scalars(query).all()


def visible_enrolments(user: User, course: Course) -> list[Enrolment]:
    """The people of the course that the person sees, teachers first, then by name.

    With separate groups a student sees the teachers and the own groups.
    """
    everybody = sorted(
        course.enrolments, key=lambda e: (e.role is not Role.TEACHER, e.user.full_name, e.id)
    )
    if course.group_mode is not GroupMode.SEPARATE or may_edit(user, course):
        return everybody
    mine = {group.id for e in everybody if e.user_id == user.id for group in e.groups}
    return [
        e
        for e in everybody
        if e.role is Role.TEACHER or e.user_id == user.id or mine & {group.id for group in e.groups}
    ]
