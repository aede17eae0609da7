"""What a person is told about a course's rooms, on the host's own pages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from flask import session, url_for

from commweb.host import Permission, Person
from commweb.plain import PlainFields
from commweb.state import State
from commweb.status import RoomStatus, rooms_of, worst

__all__ = ["CourseStatus", "course_status", "course_status_once", "remember_ready"]

TOLD = "commweb_told"
TOLD_COURSES = 40


@dataclass(frozen=True)
class CourseStatus(PlainFields):
    """What a person is told about a course's rooms.

    ``status`` None: no room is wanted, or nothing is told to this person yet. ``chat_url`` is
    set when there is a room to open, ``settings_url`` for who may configure the course.
    """

    status: str | None
    message: str | None
    rooms: tuple[RoomStatus, ...]
    chat_url: str | None
    settings_url: str | None


def course_status(state: State, course_id: str, person: Person | None) -> CourseStatus:
    """See `commweb.CommWeb.course_status`. Students are told nothing until there is a room they
    are in."""
    nothing = CourseStatus(None, None, (), None, None)
    if person is None or not state.subsystem_on():
        return nothing
    if not state.host.can(person, Permission.VIEW_COURSE, course_id):
        return nothing
    configures = state.host.can(person, Permission.CONFIGURE_COURSE, course_id)
    rooms = rooms_of(state, course_id, viewer=person)
    if not configures:
        rooms = [room.for_members() for room in rooms if room.mine and room.url]
    settings = url_for("commweb.course.edit", course_id=course_id) if configures else None
    leading = worst(rooms)
    if leading is None:
        return CourseStatus(None, None, (), None, settings)
    ready = any(room.url for room in rooms)
    chat_url = url_for("commweb.course.chat", course_id=course_id) if ready else None
    return CourseStatus(leading.status, leading.message, tuple(rooms), chat_url, settings)


def course_status_once(state: State, course_id: str, person: Person | None) -> CourseStatus:
    """`course_status` for a page: that the rooms are ready is said once to each person (in one
    browser), and after that there is only the way into the chat. Needs a request."""
    told = course_status(state, course_id, person)
    if person is None or told.status != "ready":
        return told
    if told.settings_url is None or not remember_ready(course_id, person, told.rooms):
        return replace(told, message=None)
    return told


def remember_ready(course_id: str, person: Person, rooms: Sequence[RoomStatus]) -> bool:
    """Note that the person reads now that the rooms are ready; False: it was known before.

    Kept in the host's session, like a flash message: the newest room by person and course.
    """
    key = f"{person.id} {course_id}"
    newest = max((room.id for room in rooms), default=0)
    told = dict(session.get(TOLD) or {})
    if told.get(key, -1) >= newest:
        return False
    told.pop(key, None)
    told[key] = newest
    session[TOLD] = dict(list(told.items())[-TOLD_COURSES:])
    return True
