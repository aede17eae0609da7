"""The list of courses; a course's page, creating, editing and deleting one."""

from __future__ import annotations

from flask import Blueprint, Response, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_babel import lazy_gettext
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError

from commweb import DEFAULT
from commweb.site import comm, db
from commweb.site.access import courses_of
from commweb.site.forms import CourseForm, NewCourseForm
from commweb.site.images import CheckedImage
from commweb.site.login import administrators, signed_in, somebody
from commweb.site.models import Course, GroupMode, Picture
from commweb.site.views.asking import ask
from commweb.site.views.course_page import course_page
from commweb.site.views.reach import editable, viewable

__all__ = ["blueprint"]

blueprint = Blueprint("courses", __name__)

TAKEN = lazy_gettext("Another course has this short name.")


@blueprint.get("/courses/")
@signed_in
def index() -> ResponseReturnValue:
    return render_template("courses/index.html", courses=courses_of(somebody()))


@blueprint.route("/courses/new", methods=["GET", "POST"])
@administrators
def new() -> ResponseReturnValue:
    form = NewCourseForm(comm.provider_choices())
    if request.method == "GET" and form.provider:
        form.provider.data = comm.default_provider()
    if form.validate_on_submit():
        course = Course(
            full_name=form.full_name.data,
            short_name=form.short_name.data,
            summary=form.summary.data or "",
        )
        if _create(course, form):
            flash(_('Course "%(name)s" was created.', name=course.full_name), "success")
            return redirect(url_for("courses.show", course_id=course.id), 303)
        form.short_name.errors = [TAKEN]
    return render_template("courses/new.html", form=form), 422 if form.errors else 200


def _create(course: Course, form: NewCourseForm) -> bool:
    """Store the course and report it in one transaction. False: the short name is taken."""
    if _short_name_taken(course.short_name):
        return False
    provider = (form.provider.data or None) if form.provider else DEFAULT
    try:
        db.session.add(course)
        db.session.flush()  # the course gets its id
        comm.course_created(str(course.id), provider=provider)
        db.session.commit()
    except IntegrityError:
        db.session.rollback()
        return False
    return True


@blueprint.get("/courses/<int:course_id>")
@signed_in
def show(course_id: int) -> ResponseReturnValue:
    return course_page(viewable(course_id))


@blueprint.route("/courses/<int:course_id>/edit", methods=["GET", "POST"])
@signed_in
def edit(course_id: int) -> ResponseReturnValue:
    course = editable(course_id)
    name = course.full_name
    form = CourseForm(obj=course)
    if form.validate_on_submit():
        if _save(course, form):
            flash(_("Changes saved"), "success")
            return redirect(url_for("courses.show", course_id=course_id), 303)
        form.short_name.errors = [TAKEN]
    page = render_template("courses/edit.html", form=form, course=course, name=name)
    return page, 422 if form.errors else 200


def _save(course: Course, form: CourseForm) -> bool:
    """Store the changes and report them in one transaction. False: the short name is taken."""
    if _short_name_taken(form.short_name.data, course):
        return False
    course.full_name = form.full_name.data
    course.short_name = form.short_name.data
    course.summary = form.summary.data or ""
    course.visible = form.visible.data
    course.opens = form.opens.data
    course.closes = form.closes.data
    course.group_mode = GroupMode(form.group_mode.data)
    if form.checked_image:
        _set_picture(course, form.checked_image)
    elif form.remove_image.data:
        course.picture = None
    comm.course_changed(str(course.id))
    try:
        db.session.commit()
    except IntegrityError:
        db.session.rollback()
        return False
    return True


def _set_picture(course: Course, image: CheckedImage) -> None:
    if course.picture is None:
        course.picture = Picture()
    course.picture.digest = image.digest
    course.picture.media_type = image.media_type
    course.picture.data = image.data


@blueprint.route("/courses/<int:course_id>/delete", methods=["GET", "POST"])
@administrators
def delete(course_id: int) -> ResponseReturnValue:
    course = db.get_or_404(Course, course_id)
    question = ask(course)
    if question.answered:
        comm.course_deleted(str(course.id))
        db.session.delete(course)
        db.session.commit()
        flash(_('Course "%(name)s" was deleted.', name=course.full_name), "success")
        return redirect(url_for("courses.index"), 303)
    page = render_template("courses/delete.html", course=course, question=question)
    return page, 422 if question.problem else 200


@blueprint.get("/courses/<int:course_id>/image")
@signed_in
def image(course_id: int) -> ResponseReturnValue:
    course = viewable(course_id)
    if course.picture is None:
        abort(404)
    response = Response(course.picture.data, mimetype=course.picture.media_type)
    response.set_etag(course.picture.digest)
    response.headers["Cache-Control"] = "private, no-cache"
    return response.make_conditional(request)


def _short_name_taken(short_name: str, course: Course | None = None) -> bool:
    query = select(Course.id).where(func.lower(Course.short_name) == short_name.lower())
    if course is not None:
        query = query.where(Course.id != course.id)
    with db.session.no_autoflush:
        return db.session.scalar(query.limit(1)) is not None
