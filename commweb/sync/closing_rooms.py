"""What closing a course's rooms does to people, from the record and never from the homeserver."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, select

from commweb.i18n import gettext as _
from commweb.i18n import ngettext
from commweb.models import CourseChoice, MemberRow, RoomRow
from commweb.plain import PlainFields
from commweb.servers import here
from commweb.state import State, provider_scope

__all__ = ["DELETE_ROOM", "INSIDE", "Consequences", "consequences_of"]

INSIDE = ("adding", "in", "invited")
MOST_NAMES = 5
"""So many rooms are named in a sentence."""
PLAIN_RULE = "remove_members"
DELETE_ROOM = "delete_room"
Row = Any


@dataclass(frozen=True)
class Consequences(PlainFields):
    """What happens to people, for a page that asks first.

    ``people`` would be removed from ``rooms`` (names), and the messages of ``deleted_rooms``
    (names) are deleted for good, with ``guests`` whom no course put there; ``as_of``: when the
    record was last confirmed (aware UTC).
    ``sentences`` say it, ``button`` is what the confirming button says. ``key`` names exactly
    this: a confirmation sent with another one is for something else.
    """

    people: int
    rooms: tuple[str, ...]
    deleted_rooms: tuple[str, ...]
    as_of: datetime | None
    sentences: tuple[str, ...]
    button: str
    key: str
    room_ids: tuple[int, ...] = ()
    guests: int = 0

    @property
    def deletes_messages(self) -> bool:
        """Whether messages are deleted for good."""
        return bool(self.deleted_rooms)


def consequences_of(
    state: State,
    connection: Connection,
    course_id: str,
    closes: Callable[[Row], bool] = lambda _row: True,
    *,
    deleted: bool = False,
    lock: bool = False,
) -> Consequences | None:
    """What closing the rooms does for which ``closes`` (given a row with ``provider`` and
    ``group_id``) is true; None: nobody is in them, and no messages are deleted.

    ``deleted``: the course is, so that nobody is asked about the rooms that it left before and
    that still wait for a confirmation. ``lock``: what was read stays true until the transaction
    ends."""
    rows = [row for row in _rooms(connection, course_id, deleted=deleted, lock=lock) if closes(row)]
    rules = {row.provider: _rule(state, connection, row.provider) for row in rows}
    rows = [row for row in rows if rules[row.provider] != "leave"]
    people = _people(connection, [row.id for row in rows])
    there = [row for row in rows if row.remote_id]
    doomed = [row for row in there if _deletes(rules, row)]
    if not people and not doomed:
        return None
    return _said(there, doomed, people)


def _rooms(connection: Connection, course_id: str, *, deleted: bool, lock: bool) -> Sequence[Row]:
    query = (
        select(
            RoomRow.id,
            RoomRow.provider,
            RoomRow.group_id,
            RoomRow.remote_id,
            RoomRow.made_by_us,
            RoomRow.synced_at,
            RoomRow.guests,
            func.coalesce(RoomRow.name, CourseChoice.course_name, RoomRow.course_id).label("name"),
        )
        .join(CourseChoice, CourseChoice.course_id == RoomRow.course_id, isouter=True)
        .where(RoomRow.course_id == course_id, here(), RoomRow.course_gone != "reported")
        .order_by(RoomRow.group_id, RoomRow.id)
    )
    if not deleted:
        query = query.where(RoomRow.wanted)
    if lock:
        # The worker writes a room before its members, so that those stay as they are, too.
        rooms = select(RoomRow.id).where(RoomRow.course_id == course_id).order_by(RoomRow.id)
        connection.execute(rooms.with_for_update())
    return connection.execute(query).all()


def _rule(state: State, connection: Connection, provider_id: str) -> str:
    """What is done to a room that is no longer wanted."""
    provider = state.registry.get(provider_id)
    if provider is None:
        return PLAIN_RULE
    read = state.settings.read_in(connection, provider_scope(provider_id), provider.settings)
    return str(read.values.get("closing_rule", PLAIN_RULE))


def _deletes(rules: Mapping[str, str], row: Row) -> bool:
    return bool(row.made_by_us) and rules[row.provider] == DELETE_ROOM


def _people(connection: Connection, room_ids: Sequence[int]) -> frozenset[tuple[int, str]]:
    """Who is in these rooms: (room id, person id)."""
    query = select(MemberRow.room_id, MemberRow.person_id).where(
        MemberRow.room_id.in_(room_ids), MemberRow.state.in_(INSIDE)
    )
    return frozenset((row[0], row[1]) for row in connection.execute(query))


def _said(
    there: Sequence[Row], doomed: Sequence[Row], people: frozenset[tuple[int, str]]
) -> Consequences:
    inside = {room_id for room_id, _person in people}
    names = tuple(row.name for row in there if row.id in inside)
    persons = frozenset(person for _room, person in people)
    guests = sorted({guest["id"] for row in doomed for guest in row.guests or ()})
    named = [
        [row.id for row in there],
        sorted(persons),
        [row.id for row in doomed],
        guests,
    ]
    return Consequences(
        people=len(persons),
        rooms=names,
        deleted_rooms=tuple(row.name for row in doomed),
        as_of=min((row.synced_at for row in there if row.synced_at), default=None),
        sentences=tuple(_sentences(names, doomed, len(persons), len(guests))),
        button=_button(len(persons), deletes=bool(doomed)),
        key=hashlib.sha256(json.dumps(named).encode()).hexdigest()[:16],
        room_ids=tuple(row.id for row in there),
        guests=len(guests),
    )


def _sentences(
    names: Sequence[str], doomed: Sequence[Row], count: int, guests: int
) -> Iterator[str]:
    if count:
        yield ngettext(
            "%(count)d person will be removed from %(rooms)s.",
            "%(count)d people will be removed from %(rooms)s.",
            count,
            rooms=_quoted(names),
        )
    if not doomed:
        return
    lost = [row.name for row in doomed]
    if len(names) == 1 and lost == list(names):
        yield _("Its messages are deleted for good.")
    else:
        yield _("The messages of %(rooms)s are deleted for good.", rooms=_quoted(lost))
    if guests:
        yield ngettext(
            "%(count)d guest will be removed, too.",
            "%(count)d guests will be removed, too.",
            guests,
        )


def _quoted(names: Sequence[str]) -> str:
    shown = ", ".join(f"“{name}”" for name in names[:MOST_NAMES])
    more = len(names) - MOST_NAMES
    return _("%(rooms)s and %(count)d more", rooms=shown, count=more) if more > 0 else shown


def _button(count: int, *, deletes: bool) -> str:
    if deletes and not count:
        return _("Delete the messages")
    if deletes:
        return ngettext(
            "Remove %(count)d person and delete the messages",
            "Remove %(count)d people and delete the messages",
            count,
        )
    return ngettext("Remove %(count)d person", "Remove %(count)d people", count)
