"""Who is in a course and in its groups."""

from __future__ import annotations

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from sqlalchemy.exc import IntegrityError

from commweb.site import comm, db
from commweb.site.access import may_edit, visible_enrolments
from commweb.site.forms import AddToGroupForm, EnrolForm, GroupForm
from commweb.site.login import signed_in, somebody
from commweb.site.models import Course, Enrolment, Group, Role, User
from commweb.site.views.asking import ask
from commweb.site.views.course_page import PageForms, course_page, enrollable
from commweb.site.views.reach import editable
from commweb.site.views.undo import LONGEST_OFFER, make_offer, read_offer

__all__ = ["blueprint"]

blueprint = Blueprint("members", __name__, url_prefix="/courses/<int:course_id>")


@blueprint.post("/enrol")
@signed_in
def enrol(course_id: int) -> ResponseReturnValue:
    course = editable(course_id)
    people = enrollable(course, somebody())
    form = EnrolForm(people)
    if not form.validate():
        return course_page(course, PageForms(enrol=form))
    person = next(user for user in people if str(user.id) == form.person.data)
    name = person.full_name
    course.enrolments.append(Enrolment(user=person, role=Role(form.role.data)))
    if _commit(course_id):
        flash(_("%(name)s was enrolled.", name=name), "success")
    else:
        flash(_("%(name)s was already enrolled.", name=name), "info")
    return _back(course_id)


@blueprint.post("/enrolments/<int:enrolment_id>/remove")
@signed_in
def unenrol(course_id: int, enrolment_id: int) -> ResponseReturnValue:
    course = editable(course_id)
    enrolment = db.session.get(Enrolment, enrolment_id)
    if enrolment is None or enrolment.course_id != course.id:
        flash(_("This person was already unenrolled."), "info")
        return _back(course_id)
    name = enrolment.user.full_name
    make_offer(enrolment, somebody())
    db.session.delete(enrolment)
    _commit(course_id)
    flash(_("%(name)s was unenrolled.", name=name), "success")
    return _back(course_id, may_edit(somebody(), course))


@blueprint.post("/enrolments/undo")
@signed_in
def undo(course_id: int) -> ResponseReturnValue:
    course = editable(course_id)
    offer = request.form.get("offer", "")
    if len(offer) > LONGEST_OFFER:
        abort(400)
    what = read_offer(offer)
    if what is None or (what.course_id, what.by) != (course.id, somebody().id):
        flash(_("This can no longer be undone. Enrol the person again."), "info")
        return _back(course_id)
    person = db.session.get(User, what.user_id)
    if person is None:
        flash(_("This person is no longer on the site."), "info")
        return _back(course_id)
    name = person.full_name
    groups = [group for group in course.groups if group.id in what.group_ids]
    course.enrolments.append(Enrolment(user=person, role=Role(what.role), groups=groups))
    if _commit(course_id):
        flash(_("%(name)s was enrolled again.", name=name), "success")
    else:
        flash(_("%(name)s was already enrolled.", name=name), "info")
    return _back(course_id)


@blueprint.post("/groups")
@signed_in
def new_group(course_id: int) -> ResponseReturnValue:
    course = editable(course_id)
    form = GroupForm()
    if form.validate():
        taken = {group.name.casefold() for group in course.groups}
        name = form.group_name.data
        if name.casefold() not in taken:
            course.groups.append(Group(name=name))
            if _commit(course_id):
                flash(_('Group "%(name)s" was created.', name=name), "success")
                return _back(course_id)
        form.group_name.errors = [_("Another group of the course has this name.")]
    return course_page(course, PageForms(group=form))


@blueprint.post("/groups/members")
@signed_in
def add_to_group(course_id: int) -> ResponseReturnValue:
    course = editable(course_id)
    form = AddToGroupForm(visible_enrolments(somebody(), course), course.groups)
    if not form.validate():
        return course_page(course, PageForms(add=form))
    enrolment = _enrolment(course, int(form.member.data))
    group = _group(course, int(form.group.data))
    name = enrolment.user.full_name
    if enrolment not in group.members:
        group.members.append(enrolment)
        _commit(course_id)
    flash(_("%(name)s was added to %(group)s.", name=name, group=group.name), "success")
    return _back(course_id)


@blueprint.post("/groups/<int:group_id>/members/<int:enrolment_id>/remove")
@signed_in
def remove_from_group(course_id: int, group_id: int, enrolment_id: int) -> ResponseReturnValue:
    course = editable(course_id)
    group, enrolment = _group(course, group_id), _enrolment(course, enrolment_id)
    if enrolment in group.members:
        group.members.remove(enrolment)
        _commit(course_id)
    name = enrolment.user.full_name
    told = _("%(name)s was removed from %(group)s.", name=name, group=group.name)
    flash(told, "success")
    return _back(course_id)


@blueprint.route("/groups/<int:group_id>/delete", methods=["GET", "POST"])
@signed_in
def delete_group(course_id: int, group_id: int) -> ResponseReturnValue:
    course = editable(course_id)
    group = _group(course, group_id)
    question = ask(course, group_id)
    if not question.answered:
        page = render_template(
            "courses/delete_group.html", course=course, group=group, question=question
        )
        return page, 422 if question.problem else 200
    name = group.name
    comm.group_deleted(str(course_id), str(group_id))
    db.session.delete(group)
    _commit(course_id)
    flash(_('Group "%(name)s" was deleted.', name=name), "success")
    return _back(course_id)


def _commit(course_id: int) -> bool:
    """Report the change and commit both. False: somebody else changed the same meanwhile."""
    comm.course_changed(str(course_id))
    try:
        db.session.commit()
    except IntegrityError:
        db.session.rollback()
        return False
    return True


def _back(course_id: int, still_there: bool = True) -> ResponseReturnValue:
    """To the course, or to the list for somebody who just left it."""
    if not still_there:
        return redirect(url_for("courses.index"), 303)
    return redirect(url_for("courses.show", course_id=course_id), 303)


def _group(course: Course, group_id: int) -> Group:
    group = db.session.get(Group, group_id)
    if group is None or group.course_id != course.id:
        abort(404)
    return group


def _enrolment(course: Course, enrolment_id: int) -> Enrolment:
    enrolment = db.session.get(Enrolment, enrolment_id)
    if enrolment is None or enrolment.course_id != course.id:
        abort(404)
    return enrolment
