"""Blueprint "course": a course's Communication page, its members, and the way into the chat."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import Connection

from commweb import audit
from commweb.host import Course, Permission
from commweb.i18n import gettext as _
from commweb.models import now
from commweb.state import State, current_state
from commweb.status import rooms_of, worst
from commweb.sync.changes import append
from commweb.sync.choices import choice_of, options_of, store_choice
from commweb.sync.closing_rooms import Consequences, consequences_of
from commweb.sync.confirming import confirm_choice, withdraw
from commweb.sync.desired import closed
from commweb.web import course_members
from commweb.web.chat import chat
from commweb.web.course_form import CommunicationForm, CourseForm
from commweb.web.effects import give_back
from commweb.web.flashes import flash
from commweb.web.permissions import acting_person, known_course, require

__all__ = ["CourseForm", "build"]


def build() -> Blueprint:
    """A new blueprint for one app."""
    blueprint = Blueprint("course", __name__)
    path = "/courses/<course_id>"
    for rule, endpoint, view, method in (
        (f"{path}/communication", "edit", edit, "GET"),
        (f"{path}/communication", "save", save, "POST"),
        (f"{path}/communication/members", "members", course_members.members, "GET"),
        (f"{path}/communication/members/again", "try_again", course_members.try_again, "POST"),
        (f"{path}/communication/members/add", "add_again", course_members.add_again, "POST"),
        (f"{path}/chat", "chat", chat, "GET"),
    ):
        blueprint.add_url_rule(rule, endpoint, view, methods=[method])
    return blueprint


def _form(state: State, course_id: str) -> CommunicationForm:
    with state.database.read() as connection:
        choice = choice_of(connection, course_id)
        options = options_of(connection, course_id)
    return CommunicationForm(state, choice, options, list(state.host.groups(course_id)))


def _page(
    state: State,
    course: Course,
    form: CommunicationForm,
    status: int = 200,
    *,
    follows: Consequences | None = None,
    problem: str = "",
) -> ResponseReturnValue:
    rooms = rooms_of(state, course.id, viewer=acting_person(state))
    leading = worst(rooms)
    page = render_template(
        "commweb/course.html",
        course=course,
        form=form,
        follows=follows,
        problem=problem,
        rooms=rooms,
        leading=leading,
        why_closed=_why_closed(course) if leading and leading.id else None,
    )
    return page, status


def _why_closed(course: Course) -> str | None:
    """Why nobody but teachers may write in the rooms now; None: everybody may."""
    at = now()
    if not closed(course, at):
        return None
    if not course.visible:
        return _("The course is hidden, so only teachers can write in its rooms.")
    if course.opens_at is not None and at < course.opens_at:
        return _("The course is not open yet, so only teachers can write in its rooms.")
    return _("The course is closed, so only teachers can write in its rooms.")


@require(Permission.CONFIGURE_COURSE)
def edit(course_id: str) -> ResponseReturnValue:
    """The form with what the course chose, and its rooms."""
    state = current_state()
    course = known_course(state, course_id)
    return _page(state, course, _form(state, course_id))


@require(Permission.CONFIGURE_COURSE)
def save(course_id: str) -> ResponseReturnValue:
    """Store the choice and have the rooms looked at. The button "Update" only shows the fields
    of the chosen provider, where no script does."""
    state = current_state()
    course = known_course(state, course_id)
    form = _form(state, course_id)
    if "update" in request.form:
        return _page(state, course, form)
    if not form.validate():
        return _page(state, course, form, 422)
    actor = acting_person(state).id
    give_back(state)
    # One transaction: what is confirmed is what was shown, whatever happens to the rooms meanwhile.
    with state.database.write() as connection:
        follows = _what_closes(state, connection, course, form)
        problem = _unconfirmed(course, follows) if follows is not None else None
        if problem is None:
            _store(connection, course, form, actor, follows)
    if problem is not None:
        return _page(state, course, form, 422, follows=follows, problem=problem)
    state.wake()
    flash(_("Changes saved"), "success")
    return redirect(url_for("commweb.course.edit", course_id=course_id), 303)


def _what_closes(
    state: State, connection: Connection, course: Course, form: CommunicationForm
) -> Consequences | None:
    """What the choice does to people who are in rooms now; None: nobody leaves any."""
    provider = form.main.provider.data
    stored = choice_of(connection, course.id, lock=True)
    mode = form.group_values().get("room_mode", stored.room_mode if stored else "course")
    grouped = form.groups is not None

    def closes(row: Any) -> bool:
        if row.provider != provider:
            return True
        if row.group_id:
            return mode == "course"
        return mode == "groups" and grouped

    return consequences_of(state, connection, course.id, closes, lock=True)


def _unconfirmed(course: Course, follows: Consequences) -> str | None:
    """What to say to a form that does not confirm what it does; None: it does."""
    if "confirmed" not in request.form:
        return ""
    if request.form["confirmed"] != follows.key:
        return _("The list has changed. Read it again and confirm.")
    typed = request.form.get("confirmed_name", "").strip()
    if follows.deletes_messages and typed != course.short_name.strip():
        return _("Type the short name of the course to delete its messages.")
    return None


def _store(
    connection: Connection,
    course: Course,
    form: CommunicationForm,
    actor: str,
    follows: Consequences | None,
) -> None:
    provider = form.main.provider.data
    store_choice(
        connection,
        course.id,
        course.full_name,
        provider=provider,
        options=form.options(),
        **form.group_values(),
    )
    append(connection, [course.id])
    closing = follows.room_ids if follows is not None else ()
    withdraw(connection, course.id, closing)
    confirm_choice(connection, closing)
    audit.record(
        connection,
        actor=actor,
        action="course.saved",
        subject=course.id,
        detail={"provider": provider},
    )
