"""A course's page, drawn after each of the forms on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from flask import render_template
from flask.typing import ResponseReturnValue
from sqlalchemy import select

from commweb.site import db
from commweb.site.access import may_edit, visible_enrolments
from commweb.site.forms import AddToGroupForm, EnrolForm, GroupForm
from commweb.site.login import somebody
from commweb.site.models import Course, Enrolment, User
from commweb.site.views.undo import take_offer

__all__ = ["PageForms", "course_page", "enrollable"]


@dataclass
class PageForms:
    """The form that was sent and has errors; the others are drawn empty."""

    enrol: EnrolForm | None = None
    group: GroupForm | None = None
    add: AddToGroupForm | None = field(default=None)


def enrollable(course: Course, by: User) -> Sequence[User]:
    """Who can still be enrolled: active people, administrators only by administrators."""
    enrolled = select(Enrolment.user_id).where(Enrolment.course_id == course.id)
    query = select(User).where(User.active, User.id.not_in(enrolled))
    if not by.is_admin:
        query = query.where(User.is_admin.is_(False))
    return db.session.scalars(query.order_by(User.full_name, User.id)).all()


def course_page(course: Course, forms: PageForms | None = None) -> ResponseReturnValue:
    """The page; 422 with the form that has errors."""
    user = somebody()
    editing = may_edit(user, course)
    sent = forms or PageForms()
    page = render_template(
        "courses/show.html",
        course=course,
        course_id=str(course.id),  # for commweb/course_status.html
        editing=editing,
        undo=take_offer(course.id) if editing else None,
        enrolments=visible_enrolments(user, course),
        enrol_form=sent.enrol or (editing and EnrolForm(enrollable(course, user), None)),
        group_form=sent.group or (editing and GroupForm(None)),
        add_form=sent.add
        or (editing and AddToGroupForm(visible_enrolments(user, course), course.groups, None)),
    )
    return page, 422 if forms else 200
