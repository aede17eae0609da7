"""Blueprint "rooms": every room, its state, trying again, confirming, backfill."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import Blueprint, abort, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import Connection, func, or_, select, update

from commweb import audit
from commweb.fields import PageForm
from commweb.hooks import report
from commweb.host import Course, Permission
from commweb.i18n import gettext as _
from commweb.i18n import ngettext
from commweb.models import CourseChoice, MemberRow, RoomRow
from commweb.state import State, current_state
from commweb.status import sentence
from commweb.sync.choices import store_choice
from commweb.web.effects import give_back
from commweb.web.flashes import flash
from commweb.web.permissions import acting_person, require
from commweb.web.providers import pressed

__all__ = ["backfill", "build", "courses_without_room"]

PAGE_ROWS = 50
LAST_PAGE = 100_000
# Larger than any id that every database can hold: no such room, instead of a fault of the database.
ROOM = "<int(max=2147483647):room_id>"


def build() -> Blueprint:
    """A new blueprint for one app."""
    blueprint = Blueprint("rooms", __name__)
    path = "/admin/communication/rooms"
    blueprint.add_url_rule(path, "index", index)
    blueprint.add_url_rule(f"{path}/{ROOM}", "show", show)
    for name, view in (("retry", retry), ("confirm", confirm)):
        blueprint.add_url_rule(f"{path}/{ROOM}/{name}", name, view, methods=["POST"])
    blueprint.add_url_rule(f"{path}/backfill", "backfill", backfill_all, methods=["POST"])
    return blueprint


def _without_choice(state: State) -> list[Course]:
    with state.database.read() as connection:
        chosen = set(connection.execute(select(CourseChoice.course_id)).scalars())
    return [course for course in state.host.courses() if course.id not in chosen]


def courses_without_room(state: State) -> int:
    """How many courses never chose a provider, because they are older than the connection."""
    return len(_without_choice(state))


def default_rooms_provider(state: State) -> str:
    """The provider backfill uses: the first active one with rooms; empty: none."""
    for provider in state.registry:
        if provider.has_rooms and state.provider_state(provider).active:
            return provider.id
    return ""


def backfill(state: State, *, actor: str) -> int:
    """Ask for a room for every course that never chose; how many."""
    provider = default_rooms_provider(state)
    if not provider:
        return 0
    courses = _without_choice(state)
    give_back(state)
    with state.database.write() as connection:
        for course in courses:
            store_choice(connection, course.id, course.full_name, provider=provider)
        audit.record(
            connection, actor=actor, action="rooms.backfilled", detail={"courses": len(courses)}
        )
    for course in courses:
        report(state, "backfill", course_id=course.id)
    state.db.session.commit()
    return len(courses)


@require(Permission.CONFIGURE_SITE)
def index() -> ResponseReturnValue:
    """Every room with its state, a page at a time."""
    state = current_state()
    page = min(max(1, request.args.get("page", 1, type=int)), LAST_PAGE)
    query = (
        select(RoomRow, CourseChoice.course_name)
        .join(CourseChoice, CourseChoice.course_id == RoomRow.course_id, isouter=True)
        .order_by(CourseChoice.course_name, RoomRow.id)
        .limit(PAGE_ROWS + 1)
        .offset((page - 1) * PAGE_ROWS)
    )
    with state.database.read() as connection:
        rows = [dict(row) for row in connection.execute(query).mappings()]
        total = connection.execute(select(func.count()).select_from(RoomRow)).scalar()
    lines = [_line(state, row) for row in rows[:PAGE_ROWS]]
    return render_template(
        "commweb/rooms.html",
        rooms=lines,
        total=total,
        page=page,
        more=len(rows) > PAGE_ROWS,
        without=courses_without_room(state) if default_rooms_provider(state) else 0,
        button=PageForm(),
    )


def _line(state: State, row: Mapping[str, Any]) -> dict[str, Any]:
    provider = state.registry.get(row["provider"])
    name = str(provider.name) if provider else row["provider"]
    return {
        **row,
        "provider_name": name,
        "message": sentence(row["status"], name, row["reason"]),
    }


def _room(state: State, room_id: int) -> dict[str, Any]:
    query = (
        select(RoomRow, CourseChoice.course_name)
        .join(CourseChoice, CourseChoice.course_id == RoomRow.course_id, isouter=True)
        .where(RoomRow.id == room_id)
    )
    with state.database.read() as connection:
        row = connection.execute(query).mappings().first()
    if row is None:
        abort(404, description=_("There is no such room."))
    return _line(state, dict(row))


@require(Permission.CONFIGURE_SITE)
def show(room_id: int) -> ResponseReturnValue:
    """One room: its state, and everybody who is in it or should be."""
    state = current_state()
    room = _room(state, room_id)
    query = (
        select(MemberRow)
        .where(MemberRow.room_id == room_id, MemberRow.state != "removed")
        .order_by(MemberRow.display_name)
    )
    with state.database.read() as connection:
        members = [dict(row) for row in connection.execute(query).mappings()]
    return render_template("commweb/room.html", room=room, members=members, button=PageForm())


@require(Permission.CONFIGURE_SITE)
def retry(room_id: int) -> ResponseReturnValue:
    """Look at the room now."""
    return _ask(room_id, confirmed=False)


@require(Permission.CONFIGURE_SITE)
def confirm(room_id: int) -> ResponseReturnValue:
    """Do what the room was held for."""
    return _ask(room_id, confirmed=True)


def _ask(room_id: int, *, confirmed: bool) -> ResponseReturnValue:
    state = current_state()
    pressed()
    _room(state, room_id)
    actor = acting_person(state).id
    give_back(state)
    with state.database.write() as connection:
        asked = _mark(connection, room_id, confirmed=confirmed)
        if asked:
            action = "room.confirmed" if confirmed else "room.retried"
            audit.record(connection, actor=actor, action=action, subject=str(room_id))
    if asked:
        state.wake()
        flash(_("The room will be looked at now."), "success")
    else:
        flash(_("The room does not wait for a confirmation any more."), "info")
    return redirect(url_for("commweb.rooms.show", room_id=room_id), 303)


def _mark(connection: Connection, room_id: int, *, confirmed: bool) -> bool:
    """Ask for the room to be looked at. False: it is not held, or was confirmed a moment ago, so
    there is nothing to confirm; a confirmation sent twice must not stand for what comes later."""
    statement = update(RoomRow).where(RoomRow.id == room_id)
    values: dict[str, Any] = {"revision": RoomRow.revision + 1, "next_attempt_at": None}
    if confirmed:
        waits = or_(
            RoomRow.confirmed_revision < RoomRow.revision,
            RoomRow.synced_revision >= RoomRow.revision,
        )
        statement = statement.where(RoomRow.status == "held", waits)
        values["confirmed_revision"] = RoomRow.revision + 1
    return connection.execute(statement.values(**values)).rowcount == 1


@require(Permission.CONFIGURE_SITE)
def backfill_all() -> ResponseReturnValue:
    """Ask for rooms for every course that has none."""
    state = current_state()
    pressed()
    count = backfill(state, actor=acting_person(state).id)
    flash(
        ngettext(
            "A room was asked for, for %(count)d course.",
            "Rooms were asked for, for %(count)d courses.",
            count,
        ),
        "success",
    )
    return redirect(url_for("commweb.rooms.index"), 303)
