"""Blueprint "api": JSON web services v1. Errors are problems (RFC 9457)."""

from __future__ import annotations

from flask import Blueprint, Response, jsonify, make_response, request
from flask.typing import ResponseReturnValue
from sqlalchemy import func, select, text
from sqlalchemy.exc import SQLAlchemyError

from commweb.host import Permission
from commweb.i18n import gettext as _
from commweb.models import Connection as SessionRow
from commweb.models import FoldRow
from commweb.state import State, current_state
from commweb.status import RoomStatus, rooms_of, worst
from commweb.sync.confirming import held_rooms
from commweb.web.course_status import remember_ready
from commweb.web.permissions import off_sentence

__all__ = ["build"]


def build() -> Blueprint:
    """A new blueprint for one app."""
    blueprint = Blueprint("api", __name__, url_prefix="/api")
    blueprint.add_url_rule("/v1/courses/<course_id>/room", "room", room)
    blueprint.add_url_rule("/healthz", "healthz", healthz)
    blueprint.add_url_rule("/readyz", "readyz", readyz)
    return blueprint


def problem(status: int, title: str) -> Response:
    """A problem document."""
    response = make_response(jsonify({"status": status, "title": str(title)}), status)
    response.content_type = "application/problem+json"
    return response


def room(course_id: str) -> ResponseReturnValue:
    """The state of a course's rooms; ``status`` null when no room is wanted."""
    state = current_state()
    person = state.host.current_person()
    if person is None:
        return problem(401, _("Log in first."))
    if not state.host.can(person, Permission.VIEW_COURSE, course_id):
        # Only for who may know: whether there is such a course must not even take longer.
        admin = state.host.can(person, Permission.CONFIGURE_SITE)
        if admin and state.host.course(course_id) is None:
            return problem(404, _("There is no such course."))
        return problem(403, _("You are not allowed to see this course."))
    if state.host.course(course_id) is None:
        return problem(404, _("There is no such course."))
    if not state.subsystem_on():
        return problem(404, off_sentence())
    configures = state.host.can(person, Permission.CONFIGURE_COURSE, course_id)
    rooms = rooms_of(state, course_id, viewer=person)
    if not configures:
        rooms = [room.for_members() for room in rooms if room.mine]
    document = _document(rooms)
    if configures and document["status"] == "ready" and "shown" in request.args:
        # Asked by a page that says so at once: it is not news any more.
        remember_ready(course_id, person, rooms)
    return jsonify(document)


def _document(rooms: list[RoomStatus]) -> dict[str, object]:
    leading = worst(rooms)
    keys = ("status", "message", "reason", "remote_id", "url", "members", "expected")
    head = leading.as_dict() if leading else {}
    return {
        **{key: head.get(key) for key in keys},
        "members": leading.members if leading else 0,
        "expected": leading.expected if leading else 0,
        "rooms": [dict(room.as_dict()) for room in rooms],
    }


def healthz() -> ResponseReturnValue:
    """The process answers."""
    return jsonify({"status": "ok"})


def readyz() -> ResponseReturnValue:
    """The database answers and has our tables; what stops providers, and how many courses cannot
    be read, in words for programs. Says nothing about anybody."""
    state = current_state()
    if _database_ready(state):
        return jsonify(_health(state))
    return problem(503, _("The database does not answer, or its tables are not made."))


def _health(state: State) -> dict[str, object]:
    """``stopped``: the providers that wait, each with the code of why; ``courses_failing`` and
    ``rooms_held`` are numbers. What is well is not named."""
    stopped = select(SessionRow.provider, SessionRow.trouble_code)
    failing = select(func.count()).select_from(FoldRow).where(FoldRow.failures > 0)
    with state.database.read() as connection:
        rows = connection.execute(stopped.where(SessionRow.trouble.is_not(None))).all()
        counts = {
            "courses_failing": connection.execute(failing).scalar_one(),
            "rooms_held": held_rooms(connection),
        }
    troubles: dict[str, object] = {name: count for name, count in counts.items() if count}
    if rows:
        troubles["stopped"] = {row.provider: row.trouble_code or "unknown" for row in rows}
    return {"status": "degraded" if troubles else "ok", **troubles}


def _database_ready(state: State) -> bool:
    try:
        with state.database.read() as connection:
            connection.execute(text("SELECT 1 FROM commweb_setting LIMIT 1"))
    except SQLAlchemyError:
        return False
    return True
