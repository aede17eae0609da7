"""The course that an address names, for whoever may reach it.

To people who may not, a course that is there and one that is not look the same: the same status,
the same page, and the same questions to the database. Otherwise anybody could count and find the
courses of the site.
"""

from __future__ import annotations

from collections.abc import Callable

from flask import abort

from commweb.site.access import course_for, may_edit, may_view
from commweb.site.login import somebody
from commweb.site.models import Course, User

__all__ = ["editable", "viewable"]


def viewable(course_id: int) -> Course:
    """A course the person may see; else 403, and 404 for an administrator."""
    return _reach(course_id, may_view)


def editable(course_id: int) -> Course:
    """A course the person may change; else 403, and 404 for an administrator."""
    return _reach(course_id, may_edit)


def _reach(course_id: int, allowed: Callable[[User, Course], bool]) -> Course:
    person = somebody()
    course = course_for(person, course_id)
    if course is None:
        abort(404 if person.is_admin else 403)
    if not allowed(person, course):
        abort(403)
    return course
