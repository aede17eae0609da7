"""What held rooms ask, and confirming it: for the people that were named, and no others.

Every function is part of the caller's transaction.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, func, select, update

from commweb.models import RoomRow
from commweb.places import in_order
from commweb.sync.guard import ANYTHING, MESSAGES, ROOM_GONE, UPGRADED

__all__ = [
    "Question",
    "confirm",
    "confirm_choice",
    "confirm_courses",
    "confirm_gone",
    "gone_key",
    "gone_rooms",
    "held_key",
    "held_rooms",
    "question",
    "withdraw",
]

NOT_PEOPLE = (ANYTHING, MESSAGES, ROOM_GONE, UPGRADED)


@dataclass(frozen=True)
class Question:
    """What a held room waits for. ``kind`` as in `Hold`; ``people``: the person ids and guests'
    accounts that would be removed, in order; ``messages``: the room is deleted with them.
    ``key`` names exactly this: who confirms, confirms what was shown with it."""

    kind: str
    people: tuple[str, ...]
    messages: bool
    key: str


def held_key(kind: str, people: Sequence[object]) -> str:
    """Names exactly what a room of this kind asks about these people."""
    named = json.dumps([kind, sorted(str(one) for one in people)])
    return hashlib.sha256(named.encode()).hexdigest()[:16]


def question(connection: Connection, room_id: int, *, lock: bool = False) -> Question | None:
    """What the room asks; None: it is not held, or somebody confirmed it a moment ago."""
    query = select(
        RoomRow.status, RoomRow.held_kind, RoomRow.held_people, RoomRow.confirmed_people
    ).where(RoomRow.id == room_id)
    row = connection.execute(query.with_for_update() if lock else query).first()
    if row is None or row.status != "held":
        return None
    asked = [str(one) for one in row.held_people]
    covered = set(row.confirmed_people)
    if ANYTHING in covered or (asked and covered.issuperset(asked)):
        return None
    people = tuple(one for one in asked if one not in NOT_PEOPLE)
    return Question(row.held_kind, people, MESSAGES in asked, held_key(row.held_kind, asked))


def confirm(connection: Connection, room_id: int, key: str | None = None) -> int | None:
    """Let the room do what it asks; how many people that is about. None: it asks nothing, or
    something else than ``key`` names, and nothing is changed."""
    asked = question(connection, room_id, lock=True)
    if asked is None or (key is not None and asked.key != key):
        return None
    held = connection.execute(select(RoomRow.held_people).where(RoomRow.id == room_id)).scalar()
    # A person whose id reads as "everything" confirms nothing for others.
    covered = [one for one in held or () if one != ANYTHING]
    _ask_for([room_id], connection, confirmed_people=covered)
    return len(asked.people)


def confirm_courses(connection: Connection, course_ids: Iterable[str]) -> list[tuple[int, int]]:
    """`confirm` each held room of these courses as it asks now; (room id, people) of each."""
    query = select(RoomRow.id).where(
        RoomRow.course_id.in_(list(course_ids)), RoomRow.status == "held"
    )
    rooms = connection.execute(query.order_by(RoomRow.id)).scalars().all()
    counted = [(room_id, confirm(connection, room_id)) for room_id in rooms]
    return [(room_id, count) for room_id, count in counted if count is not None]


def confirm_choice(connection: Connection, room_ids: Sequence[int]) -> None:
    """Somebody was told what a choice does to these rooms, and confirmed it in the same
    transaction: the next sync does it unasked."""
    _ask_for(room_ids, connection, confirmed_people=[ANYTHING])


def withdraw(connection: Connection, course_id: str, closing: Sequence[int]) -> None:
    """The course chose again: what was confirmed for a choice before does not count for its rooms
    any more, but for those that are ``closing`` now."""
    query = select(RoomRow.id, RoomRow.confirmed_people).where(
        RoomRow.course_id == course_id, RoomRow.id.not_in(closing)
    )
    rows = connection.execute(query.order_by(RoomRow.id).with_for_update()).all()
    free = [row.id for row in rows if ANYTHING in row.confirmed_people]
    if free:
        connection.execute(update(RoomRow).where(RoomRow.id.in_(free)).values(confirmed_people=[]))


def held_rooms(connection: Connection) -> int:
    """How many rooms wait for an administrator."""
    query = select(func.count()).where(RoomRow.status == "held")
    return connection.execute(query).scalar_one()


def gone_rooms(connection: Connection) -> list[int]:
    """The rooms that are held because the homeserver has none of them, and nobody confirmed
    since that they are created anew."""
    rows = connection.execute(
        select(RoomRow.id, RoomRow.confirmed_people)
        .where(RoomRow.status == "held", RoomRow.held_kind == "room_gone")
        .order_by(RoomRow.id)
    )
    return [row.id for row in rows if not {ROOM_GONE, ANYTHING} & set(row.confirmed_people)]


def gone_key(room_ids: Sequence[int]) -> str:
    """Names exactly these rooms: who confirms, confirms them."""
    return held_key("room_gone", room_ids)


def confirm_gone(connection: Connection, key: str | None = None) -> int | None:
    """Let the rooms that are gone be created anew; how many. None: there are none, or others
    than ``key`` names."""
    rooms = gone_rooms(connection)
    if not rooms or (key is not None and key != gone_key(rooms)):
        return None
    _ask_for(rooms, connection, confirmed_people=[ROOM_GONE])
    return len(rooms)


def _ask_for(room_ids: Sequence[int], connection: Connection, **values: Any) -> None:
    connection.execute(
        update(RoomRow)
        .where(in_order(RoomRow.id.in_(room_ids)))
        .values(
            revision=RoomRow.revision + 1,
            confirmed_revision=RoomRow.revision + 1,
            next_attempt_at=None,
            **values,
        )
    )
