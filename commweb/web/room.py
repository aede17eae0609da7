"""One room for administrators: its state, its people and guests, and what it waits for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flask import abort, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import Connection, select, update

from commweb import audit
from commweb.fields import PageForm, text_problem
from commweb.host import Permission
from commweb.i18n import gettext as _
from commweb.i18n import ngettext
from commweb.models import CourseChoice, MemberRow, PastAccount, RoomRow
from commweb.room_access import access_facts, access_notes
from commweb.state import State, current_state
from commweb.status import status_word, undone_sentence
from commweb.sync.choices import insert_into
from commweb.sync.confirming import Question, confirm, question
from commweb.validators import MAX_TEXT
from commweb.web.effects import give_back
from commweb.web.flashes import flash
from commweb.web.permissions import acting_person, require
from commweb.web.providers import pressed

__all__ = ["confirm_room", "line", "remove_guest", "retry", "show"]


@dataclass(frozen=True)
class Asked:
    """What a held room asks, for its page. ``names``: of the people that would be removed.
    ``word`` has to be typed, because messages die; empty: nothing has."""

    key: str
    names: tuple[str, ...]
    button: str
    word: str


def line(state: State, row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of ``commweb_room`` with the words for it."""
    provider = state.registry.get(row["provider"])
    more = row["reason"]
    if row["status"] in ("ready", "read_only"):
        more = undone_sentence(row["undone"] or (), row["reason"])
    return {
        **row,
        "provider_name": str(provider.name) if provider else row["provider"],
        "word": status_word(row["status"], created=bool(row["remote_id"])),
        "more": more,
    }


def _row(connection: Connection, room_id: int) -> dict[str, Any] | None:
    query = (
        select(RoomRow, CourseChoice.course_name)
        .join(CourseChoice, CourseChoice.course_id == RoomRow.course_id, isouter=True)
        .where(RoomRow.id == room_id)
    )
    row = connection.execute(query).mappings().first()
    return dict(row) if row else None


@require(Permission.CONFIGURE_SITE)
def show(room_id: int) -> ResponseReturnValue:
    """One room: its state, everybody who is in it or should be, and what has to be confirmed."""
    return _page(current_state(), room_id)


def _page(state: State, room_id: int, problem: str | None = None) -> ResponseReturnValue:
    query = select(MemberRow).where(MemberRow.room_id == room_id).order_by(MemberRow.display_name)
    with state.database.read() as connection:
        row = _row(connection, room_id)
        members = [dict(member) for member in connection.execute(query).mappings()]
        asks = question(connection, room_id)
    if row is None:
        abort(404, description=_("There is no such room."))
    names = {member["person_id"]: member["display_name"] for member in members}
    names |= {guest["id"]: guest.get("name") for guest in row["guests"] or ()}
    page = render_template(
        "commweb/room.html",
        room=line(state, row),
        members=[member for member in members if member["state"] != "removed"],
        inside=sum(1 for member in members if member["state"] == "in"),
        guests=list(row["guests"] or ()),
        access=access_facts(row["access"] or {}),
        notes=access_notes(row["access"] or {}),
        asked=_asked(state, row, asks, names) if asks else None,
        problem=problem,
        button=PageForm(formdata=None),
    )
    return page, 422 if problem else 200


def _asked(
    state: State, row: Mapping[str, Any], asks: Question, names: Mapping[str, str | None]
) -> Asked:
    """The question in words: whom it is about, what the button says, what has to be typed."""
    count = len(asks.people)
    button = ngettext("Remove %(count)d person", "Remove %(count)d people", count)
    if asks.messages:
        button = _("Delete the room and its messages")
    elif asks.kind == "room_gone":
        button = _("Create the room anew")
    elif asks.kind == "upgraded":
        button = _("Go on with the old room")
    elif not asks.people:
        button = _("Confirm")
    word = _word(state, row) if asks.messages else ""
    return Asked(asks.key, tuple(names.get(key) or key for key in asks.people), button, word)


def _word(state: State, row: Mapping[str, Any]) -> str:
    """What is typed where messages die: the course's short name, or what is left of it."""
    course = state.host.course(row["course_id"])
    if course is not None:
        return course.short_name
    return str(row["course_name"] or row["name"] or row["course_id"])


@require(Permission.CONFIGURE_SITE)
def retry(room_id: int) -> ResponseReturnValue:
    """Sync the room now."""
    state = current_state()
    pressed()
    actor = acting_person(state).id
    give_back(state)
    with state.database.write() as connection:
        _ask(connection, room_id)
        audit.record(connection, actor=actor, action="room.retried", subject=str(room_id))
    state.wake()
    flash(_("The room is being synced."), "success")
    return _back(room_id)


@require(Permission.CONFIGURE_SITE)
def confirm_room(room_id: int) -> ResponseReturnValue:
    """Do what the room was held for, if it is still what the page showed."""
    state = current_state()
    pressed()
    with state.database.read() as connection:
        row = _row(connection, room_id)
        asks = question(connection, room_id)
    if row is None:
        abort(404, description=_("There is no such room."))
    if asks is None:
        flash(_("This room no longer waits for a confirmation."), "info")
        return _back(room_id)
    if asks.messages and request.form.get("word", "").strip() != _word(state, row):
        return _page(state, room_id, _("Type the name as it is shown. Nothing was done."))
    actor = acting_person(state).id
    give_back(state)
    with state.database.write() as connection:
        count = confirm(connection, room_id, request.form.get("key", ""))
        if count is not None:
            detail = {"kind": asks.kind, "people": count, "messages": asks.messages}
            audit.record(
                connection,
                actor=actor,
                action="room.confirmed",
                subject=str(room_id),
                detail=detail,
            )
    if count is None:
        return _page(state, room_id, _("The list has changed. Read it again and confirm."))
    state.wake()
    flash(_("Confirmed. The room is being synced."), "success")
    return _back(room_id)


@require(Permission.CONFIGURE_SITE)
def remove_guest(room_id: int) -> ResponseReturnValue:
    """Take out somebody whom the course does not have, once. The account is written down as one
    that is not wanted, and this removal as one that somebody confirmed."""
    state = current_state()
    pressed()
    account = request.form.get("account", "")
    if not account or len(account) > MAX_TEXT or text_problem(account):
        abort(404, description=_("There is no such guest in the room."))
    actor = acting_person(state).id
    give_back(state)
    with state.database.write() as connection:
        found, asked = _not_wanted(connection, room_id, account)
        if asked:
            audit.record(
                connection,
                actor=actor,
                action="room.guest_removed",
                subject=str(room_id),
                detail={"account": account},
            )
    if not found:
        abort(404, description=_("There is no such guest in the room."))
    state.wake()
    flash(_("%(account)s is being removed.", account=account), "success")
    return _back(room_id)


def _not_wanted(connection: Connection, room_id: int, account: str) -> tuple[bool, bool]:
    """Whether the account is a guest there, and whether its removal was not asked for yet."""
    room = connection.execute(
        select(RoomRow.guests, RoomRow.confirmed_people)
        .where(RoomRow.id == room_id)
        .with_for_update()
    ).first()
    if room is None or account not in [guest["id"] for guest in room.guests or ()]:
        return False, False
    if account in room.confirmed_people:
        return True, False
    past = insert_into(connection, PastAccount).values(room_id=room_id, remote_user_id=account)
    _ask(connection, room_id, confirmed_people=sorted({*room.confirmed_people, account}))
    connection.execute(past.on_conflict_do_nothing())
    return True, True


def _ask(connection: Connection, room_id: int, **values: Any) -> None:
    found = connection.execute(
        update(RoomRow)
        .where(RoomRow.id == room_id)
        .values(revision=RoomRow.revision + 1, next_attempt_at=None, **values)
    )
    if not found.rowcount:
        abort(404, description=_("There is no such room."))


def _back(room_id: int) -> ResponseReturnValue:
    return redirect(url_for("commweb.rooms.show", room_id=room_id), 303)
