"""Blueprint "rooms": every room with its state, rooms that are gone, backfill."""

from __future__ import annotations

from dataclasses import dataclass

from flask import Blueprint, abort, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import select, true

from commweb import audit
from commweb.fields import PageForm
from commweb.hooks import report
from commweb.host import Course, Permission
from commweb.i18n import gettext as _
from commweb.i18n import ngettext
from commweb.models import Connection as SessionRow
from commweb.models import CourseChoice, FoldRow, RoomRow
from commweb.state import State, current_state
from commweb.sync.choices import store_choice
from commweb.sync.confirming import confirm_gone, gone_key, gone_rooms
from commweb.sync.orphans import unclaimed
from commweb.web import room
from commweb.web.effects import give_back
from commweb.web.flashes import flash
from commweb.web.permissions import acting_person, require
from commweb.web.providers import pressed

__all__ = ["backfill", "build", "courses_without_room", "troubles", "unread_courses"]

PAGE_ROWS = 50
LAST_PAGE = 100_000
# Larger than any id that every database can hold: no such room, instead of a fault of the database.
ROOM = "<int(max=2147483647):room_id>"


def build() -> Blueprint:
    """A new blueprint for one app."""
    blueprint = Blueprint("rooms", __name__)
    path = "/admin/communication/rooms"
    blueprint.add_url_rule(path, "index", index)
    blueprint.add_url_rule(f"{path}/{ROOM}", "show", room.show)
    for name, view in (
        ("retry", room.retry),
        ("confirm", room.confirm_room),
        ("remove_guest", room.remove_guest),
    ):
        address = f"{path}/{ROOM}/{name.replace('_', '-')}"
        blueprint.add_url_rule(address, name, view, methods=["POST"])
    blueprint.add_url_rule(f"{path}/backfill", "backfill", backfill_all, methods=["POST"])
    blueprint.add_url_rule(f"{path}/gone", "gone", decide_gone, methods=["POST"])
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


@dataclass(frozen=True)
class Trouble:
    """What stops a provider, or a course, in words. ``name`` is the provider's or course's."""

    name: str
    reason: str


def troubles(state: State) -> list[Trouble]:
    """What stops whole providers: the server, or the account that acts there."""
    query = select(SessionRow.provider, SessionRow.trouble).where(SessionRow.trouble.is_not(None))
    with state.database.read() as connection:
        rows = connection.execute(query.order_by(SessionRow.provider)).all()
    providers = ((state.registry.get(row[0]), row) for row in rows)
    return [Trouble(str(one.name) if one else row[0], row[1] or "") for one, row in providers]


def unread_courses(state: State) -> list[Trouble]:
    """Courses that could not be read from the site when they changed last."""
    query = (
        select(FoldRow.course_id, CourseChoice.course_name, FoldRow.reason)
        .join(CourseChoice, CourseChoice.course_id == FoldRow.course_id, isouter=True)
        .where(FoldRow.reason.is_not(None))
        .order_by(FoldRow.course_id)
        .limit(PAGE_ROWS)
    )
    with state.database.read() as connection:
        rows = connection.execute(query).all()
    return [Trouble(row.course_name or row.course_id, row.reason or "") for row in rows]


@require(Permission.CONFIGURE_SITE)
def index() -> ResponseReturnValue:
    """Every room with its state, a page at a time."""
    return _page(current_state())


def _page(state: State, status: int = 200) -> ResponseReturnValue:
    page = min(max(1, request.args.get("page", 1, type=int)), LAST_PAGE)
    held = "held" in request.args
    shown = RoomRow.status == "held" if held else true()
    query = (
        select(RoomRow, CourseChoice.course_name)
        .join(CourseChoice, CourseChoice.course_id == RoomRow.course_id, isouter=True)
        .where(shown)
        .order_by(CourseChoice.course_name, RoomRow.id)
        .limit(PAGE_ROWS + 1)
        .offset((page - 1) * PAGE_ROWS)
    )
    with state.database.read() as connection:
        rows = [dict(row) for row in connection.execute(query).mappings()]
        gone = gone_rooms(connection)
        without_course = unclaimed(connection)
    text = render_template(
        "commweb/rooms.html",
        rooms=[room.line(state, row) for row in rows[:PAGE_ROWS]],
        held=held,
        page=page,
        more=len(rows) > PAGE_ROWS,
        gone=len(gone),
        gone_key=gone_key(gone),
        changed=status == 422,
        troubles=troubles(state),
        unread=unread_courses(state),
        unclaimed=without_course,
        without=courses_without_room(state) if default_rooms_provider(state) else 0,
        button=PageForm(formdata=None),
    )
    return text, status


@require(Permission.CONFIGURE_SITE)
def decide_gone() -> ResponseReturnValue:
    """Create the rooms anew that are gone from the homeserver, or let them wait."""
    state = current_state()
    pressed()
    actor = acting_person(state).id
    create = request.form.get("create") == "1"
    if not create and request.form.get("wait") != "1":
        abort(400, description=_("Choose whether to create the rooms anew or to wait."))
    give_back(state)
    with state.database.write() as connection:
        if create:
            count = confirm_gone(connection, request.form.get("key", ""))
        else:
            count = len(gone_rooms(connection))
        if count:
            action = "rooms.gone_created_anew" if create else "rooms.gone_wait"
            audit.record(connection, actor=actor, action=action, detail={"rooms": count})
    if count is None:
        return _page(state, 422)
    if create:
        state.wake()
        said = ngettext("Creating %(count)d room anew.", "Creating %(count)d rooms anew.", count)
    else:
        said = _("The rooms wait. They go on by themselves when the homeserver has them again.")
    flash(said, "success")
    return redirect(url_for("commweb.rooms.index"), 303)


@require(Permission.CONFIGURE_SITE)
def backfill_all() -> ResponseReturnValue:
    """Ask for rooms for every course that has none."""
    state = current_state()
    pressed()
    count = backfill(state, actor=acting_person(state).id)
    flash(
        ngettext(
            "Creating a room for %(count)d course …",
            "Creating rooms for %(count)d courses …",
            count,
        ),
        "success",
    )
    return redirect(url_for("commweb.rooms.index"), 303)
