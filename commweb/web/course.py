"""Blueprint "course": a course's Communication page, and the way into the chat."""

from __future__ import annotations

from dataclasses import dataclass

from flask import Blueprint, abort, flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import Connection

from commweb import audit
from commweb.fields import PageForm, PlainText, SelectField, StringField
from commweb.hooks import report
from commweb.host import Course, Permission, Person
from commweb.i18n import gettext as _
from commweb.i18n import lazy_gettext
from commweb.state import State, current_state
from commweb.status import RoomStatus, rooms_of, worst
from commweb.sync.changes import choice_of, store_option
from commweb.web.effects import give_back
from commweb.web.permissions import acting_person, check, require

__all__ = ["CourseStatus", "build", "course_status"]


@dataclass(frozen=True)
class CourseStatus:
    """What a person is told about a course's rooms.

    ``status`` None: no room is wanted, or nothing is told to this person yet. ``chat_url`` is
    set when there is a room to open, ``settings_url`` for who may configure the course.
    """

    status: str | None
    message: str | None
    rooms: tuple[RoomStatus, ...]
    chat_url: str | None
    settings_url: str | None


def build() -> Blueprint:
    """A new blueprint for one app."""
    blueprint = Blueprint("course", __name__)
    path = "/courses/<course_id>"
    blueprint.add_url_rule(f"{path}/communication", "edit", edit, methods=["GET"])
    blueprint.add_url_rule(f"{path}/communication", "save", save, methods=["POST"])
    blueprint.add_url_rule(f"{path}/chat", "chat", chat)
    return blueprint


def course_status(state: State, course_id: str, person: Person | None) -> CourseStatus:
    """See `commweb.CommWeb.course_status`. Students are told nothing until there is a room."""
    nothing = CourseStatus(None, None, (), None, None)
    if person is None or not state.subsystem_on():
        return nothing
    if not state.host.can(person, Permission.VIEW_COURSE, course_id):
        return nothing
    configures = state.host.can(person, Permission.CONFIGURE_COURSE, course_id)
    rooms = rooms_of(state, course_id, person=None if configures else person)
    if not configures:
        rooms = [room for room in rooms if room.url]
    settings = url_for("commweb.course.edit", course_id=course_id) if configures else None
    leading = worst(rooms)
    if leading is None:
        return CourseStatus(None, None, (), None, settings)
    ready = any(room.url for room in rooms)
    chat_url = url_for("commweb.course.chat", course_id=course_id) if ready else None
    return CourseStatus(leading.status, leading.message, tuple(rooms), chat_url, settings)


def known_course(state: State, course_id: str) -> Course:
    """The course, or 404."""
    course = state.host.course(course_id)
    if course is None:
        abort(404, description=_("There is no such course."))
    return course


class CourseForm(PageForm):
    """What a course chooses."""

    provider = SelectField(
        lazy_gettext("Provider"),
        description=lazy_gettext("Where the people of this course talk to each other."),
    )
    room_name = StringField(
        lazy_gettext("Room name"),
        validators=[PlainText()],
        description=lazy_gettext("Empty: the name of the course, also after a rename."),
    )
    room_topic = StringField(
        lazy_gettext("Room topic"),
        validators=[PlainText()],
        description=lazy_gettext("Empty: the summary of the course."),
    )


def _form(state: State, **data: object) -> CourseForm:
    form = CourseForm(data=data or None)
    form.provider.choices = [("", _("None"))] + [
        (provider.id, str(provider.name))
        for provider in state.registry
        if state.provider_state(provider).active
    ]
    return form


def _page(state: State, course: Course, form: CourseForm, status: int = 200) -> ResponseReturnValue:
    rooms = rooms_of(state, course.id)
    return render_template("commweb/course.html", course=course, form=form, rooms=rooms), status


@require(Permission.CONFIGURE_COURSE)
def edit(course_id: str) -> ResponseReturnValue:
    """The form with what the course chose, and its rooms."""
    state = current_state()
    course = known_course(state, course_id)
    with state.database.read() as connection:
        choice = choice_of(connection, course_id)
    form = _form(
        state,
        provider=choice.provider if choice else "",
        room_name=choice.name if choice else "",
        room_topic=(choice.topic or "") if choice else "",
    )
    return _page(state, course, form)


@require(Permission.CONFIGURE_COURSE)
def save(course_id: str) -> ResponseReturnValue:
    """Store the choice and have the rooms looked at."""
    state = current_state()
    course = known_course(state, course_id)
    form = _form(state)
    if not form.validate():
        return _page(state, course, form, 422)
    actor = acting_person(state).id
    give_back(state)
    with state.database.write() as connection:
        _store(connection, course, form, actor)
    report(state, "course", course_id=course_id)
    state.db.session.commit()
    flash(_("Changes saved"), "success")
    return redirect(url_for("commweb.course.edit", course_id=course_id), 303)


def _store(connection: Connection, course: Course, form: CourseForm, actor: str) -> None:
    provider = form.provider.data
    name, topic = form.room_name.data.strip(), form.room_topic.data.strip()
    store_option(
        connection, course.id, course.full_name, provider=provider, name=name, topic=topic or None
    )
    audit.record(
        connection,
        actor=actor,
        action="course.saved",
        subject=course.id,
        detail={"provider": provider},
    )


def chat(course_id: str) -> ResponseReturnValue:
    """To the room in the chat client, for who is in it; otherwise a page that says why not."""
    state = current_state()
    instead = check(state, Permission.VIEW_COURSE, course_id=course_id)
    if instead is not None:
        return instead
    course = known_course(state, course_id)
    person = acting_person(state)
    mine = [room for room in rooms_of(state, course_id, person=person) if room.url]
    if not mine and state.host.can(person, Permission.CONFIGURE_COURSE, course_id):
        mine = [room for room in rooms_of(state, course_id) if room.url]
    if len(mine) == 1 and mine[0].url:
        return redirect(mine[0].url, 303)
    rooms = rooms_of(state, course_id)
    page = render_template("commweb/chat.html", course=course, mine=mine, rooms=rooms)
    return page, 200 if mine else 404
