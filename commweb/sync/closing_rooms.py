"""What closing a course's rooms does to people, from the record and never from the homeserver."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, select

from commweb.i18n import gettext as _
from commweb.i18n import ngettext
from commweb.models import CourseChoice, MemberRow, RoomRow
from commweb.plain import PlainFields
from commweb.state import State

__all__ = ["Consequences", "consequences_of"]

INSIDE = ("adding", "in", "invited")
Row = Any


@dataclass(frozen=True)
class Consequences(PlainFields):
    """What happens to people, for a page that asks first.

    ``people`` would be removed from ``rooms`` (names), and the messages of ``deleted_rooms``
    (names) are deleted for good; ``as_of``: when the record was last confirmed (aware UTC).
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

    @property
    def deletes_messages(self) -> bool:
        """Whether messages are deleted for good."""
        return bool(self.deleted_rooms)


def consequences_of(
    state: State,
    connection: Connection,
    course_id: str,
    closes: Callable[[Row], bool] = lambda _row: True,
) -> Consequences | None:
    """What closing the rooms does for which ``closes`` (given a row with ``provider`` and
    ``group_id``) is true; None: nobody is in them, and no messages are deleted."""
    rows = [row for row in _rooms(connection, course_id) if closes(row)]
    rows = [row for row in rows if _rule(state, row) != "leave"]
    doomed = [row for row in rows if row.remote_id and _deletes(state, row)]
    people = _people(connection, [row.id for row in rows])
    if not people and not doomed:
        return None
    concerned = [row for row in rows if row.remote_id]
    return _said(concerned, doomed, people)


def _rooms(connection: Connection, course_id: str) -> Sequence[Row]:
    query = (
        select(
            RoomRow.id,
            RoomRow.provider,
            RoomRow.group_id,
            RoomRow.remote_id,
            RoomRow.made_by_us,
            RoomRow.synced_at,
            func.coalesce(RoomRow.name, CourseChoice.course_name, RoomRow.course_id).label("name"),
        )
        .join(CourseChoice, CourseChoice.course_id == RoomRow.course_id, isouter=True)
        .where(RoomRow.course_id == course_id, RoomRow.wanted)
        .order_by(RoomRow.group_id, RoomRow.id)
    )
    return connection.execute(query).all()


def _rule(state: State, row: Row) -> str:
    """What is done to a room that is no longer wanted."""
    provider = state.registry.get(row.provider)
    values = state.values(provider).values if provider else {}
    return str(values.get("closing_rule", "remove_members"))


def _deletes(state: State, row: Row) -> bool:
    return bool(row.made_by_us) and _rule(state, row) == "delete_room"


def _people(connection: Connection, room_ids: Sequence[int]) -> frozenset[str]:
    query = select(MemberRow.person_id).where(
        MemberRow.room_id.in_(room_ids), MemberRow.state.in_(INSIDE)
    )
    return frozenset(connection.execute(query).scalars())


def _said(rows: Sequence[Row], doomed: Sequence[Row], people: frozenset[str]) -> Consequences:
    names = tuple(row.name for row in rows)
    count = len(people)
    sentences = []
    if count:
        sentences.append(
            ngettext(
                "%(count)d person will be removed from %(rooms)s.",
                "%(count)d people will be removed from %(rooms)s.",
                count,
                rooms=", ".join(f"“{name}”" for name in names),
            )
        )
    if doomed:
        sentences.append(_("The messages in these rooms are deleted for good."))
    if doomed and not count:
        button = _("Delete the messages")
    else:
        button = ngettext("Remove %(count)d person", "Remove %(count)d people", count)
    named = json.dumps([[row.id for row in rows], sorted(people), [row.id for row in doomed]])
    return Consequences(
        people=count,
        rooms=names,
        deleted_rooms=tuple(row.name for row in doomed),
        as_of=min((row.synced_at for row in rows if row.synced_at), default=None),
        sentences=tuple(sentences),
        button=button,
        key=hashlib.sha256(named.encode()).hexdigest()[:16],
        room_ids=tuple(row.id for row in rows),
    )
