"""Members of a room, for the teachers of its course: who is in, who is not, and why."""

from __future__ import annotations

from collections.abc import Sequence

from flask import abort, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import Connection, and_, select, update

from commweb import audit
from commweb.fields import PageForm, text_problem
from commweb.host import Permission
from commweb.i18n import gettext as _
from commweb.models import Account, MemberRow, RoomRow
from commweb.servers import here
from commweb.state import State, current_state
from commweb.status import RoomStatus, rooms_of
from commweb.sync.standing import OWN_CHOICE
from commweb.validators import MAX_TEXT
from commweb.web.effects import give_back
from commweb.web.flashes import flash
from commweb.web.member_lines import SORTS, Line, lines, matching, ordered
from commweb.web.permissions import acting_person, known_course, require
from commweb.web.providers import pressed

__all__ = ["add_again", "members", "try_again"]

PAGE_ROWS = 50


@require(Permission.CONFIGURE_COURSE)
def members(course_id: str) -> ResponseReturnValue:
    """The people of one room: found, sorted, a page at a time."""
    state = current_state()
    course = known_course(state, course_id)
    rooms = [room for room in rooms_of(state, course_id) if room.id]
    room = _asked_for(rooms)
    people = _people(state, course_id, room) if room else []
    query = request.args.get("q", "")[:100]
    sort = request.args.get("sort", "")
    down = request.args.get("order") == "down"
    found = ordered(matching(people, query), sort, down=down)
    pages = max(1, -(-len(found) // PAGE_ROWS))
    page = min(max(1, request.args.get("page", 1, type=int)), pages)
    return render_template(
        "commweb/course_members.html",
        course=course,
        rooms=rooms,
        room=room,
        total=len(people),
        count=len(found),
        guests=room.guests if room else (),
        may_remove=state.host.can(acting_person(state), Permission.CONFIGURE_SITE),
        people=found[(page - 1) * PAGE_ROWS : page * PAGE_ROWS],
        query=query,
        sort=sort if sort in SORTS else "name",
        down=down,
        page=page,
        pages=pages,
        button=PageForm(formdata=None),
    )


def _asked_for(rooms: Sequence[RoomStatus]) -> RoomStatus | None:
    """The room that was asked for, else the first."""
    wanted = request.args.get("room", "")
    return next((room for room in rooms if str(room.id) == wanted), rooms[0] if rooms else None)


def _people(state: State, course_id: str, room: RoomStatus) -> list[Line]:
    query = select(
        MemberRow.person_id,
        MemberRow.display_name,
        MemberRow.remote_user_id,
        MemberRow.applied_level,
        MemberRow.state,
        MemberRow.reason,
        Account.locked_at.is_not(None).label("locked"),
    ).where(MemberRow.room_id == room.id)
    query = query.join(
        Account,
        and_(
            Account.provider == room.provider,
            Account.person_id == MemberRow.person_id,
            Account.remote_user_id == MemberRow.remote_user_id,
            here(Account),
        ),
        isouter=True,
    )
    with state.database.read() as connection:
        rows = [dict(row) for row in connection.execute(query).mappings()]
    return lines(state.host.members(course_id), rows, room.group_id)


@require(Permission.CONFIGURE_COURSE)
def try_again(course_id: str) -> ResponseReturnValue:
    """Look at the room now."""
    return _look(course_id, "room.retried", _("The room is being synchronised."))


@require(Permission.CONFIGURE_COURSE)
def add_again(course_id: str) -> ResponseReturnValue:
    """Bring somebody back who left, or whom a moderator removed in the chat."""
    person_id = request.form.get("person", "")
    if len(person_id) > MAX_TEXT or text_problem(person_id):
        abort(404, description=_("There is no such person in the room."))
    return _look(course_id, "member.added_again", _("The person is added again."), person_id)


def _look(
    course_id: str, action: str, done: str, person_id: str | None = None
) -> ResponseReturnValue:
    state = current_state()
    pressed()
    wanted = request.form.get("room", "")
    rooms = rooms_of(state, course_id)
    room = next((room for room in rooms if room.id and str(room.id) == wanted), None)
    if room is None:
        abort(404, description=_("The course has no such room any more."))
    actor = acting_person(state).id
    give_back(state)
    with state.database.write() as connection:
        # The room before its members, as the worker writes them.
        connection.execute(
            update(RoomRow)
            .where(RoomRow.id == room.id)
            .values(revision=RoomRow.revision + 1, next_attempt_at=None)
        )
        if person_id is not None and not _brought_back(connection, room.id, person_id):
            # Nobody of this id had gone: sent twice, or the person came back meanwhile.
            action, done, person_id = "room.retried", _("The room is being synchronised."), None
        audit.record(
            connection,
            actor=actor,
            action=action,
            subject=str(room.id),
            detail={"person": person_id} if person_id else {},
        )
    state.wake()
    flash(done, "success")
    return redirect(url_for("commweb.course.members", course_id=course_id, room=room.id), 303)


def _brought_back(connection: Connection, room_id: int, person_id: str) -> bool:
    """Whether the person had left, or was removed in the chat. Who is about to be added is not
    touched."""
    statement = (
        update(MemberRow)
        .where(MemberRow.room_id == room_id, MemberRow.person_id == person_id)
        .where(MemberRow.state.in_(OWN_CHOICE))
        .values(state="adding", reason=None)
    )
    return connection.execute(statement).rowcount == 1
