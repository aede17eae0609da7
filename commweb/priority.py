"""Which due room is synced first. A smaller number goes first; within one, who waits longest."""

from __future__ import annotations

from datetime import datetime
from enum import IntEnum
from typing import Any

from sqlalchemy import and_, case, func, literal

from commweb.models import RoomRow

__all__ = ["DUE", "Priority", "asked"]

DUE = RoomRow.synced_revision < RoomRow.revision
"""There is something to do for the room."""


class Priority(IntEnum):
    """``commweb_room.priority``. What is later than `REPORTED` can wait, and does not wait for
    ever: see `commweb.sync.records.claim`."""

    NEW = -1
    """A course or group that has no room yet."""
    REPORTED = 0
    """The host reported it, or a person asked for it."""
    SETTINGS = 10
    """A provider's settings changed."""
    DRIFT = 20
    """Nobody reported anything; it may have drifted."""
    FAILING = 30
    """It failed by itself before."""
    BACKFILL = 40
    """Rooms for courses that were there before."""


def asked(at: datetime, priority: Priority) -> dict[str, Any]:
    """For an UPDATE of rooms: each is due, for a reason of this ``priority``.

    ``next_attempt_at`` says since when: who waits keeps the place, and what is asked for ends a
    rest, unless it can wait itself. What failed does not come before what did not.
    """
    waits = DUE if priority > Priority.REPORTED else and_(DUE, RoomRow.next_attempt_at <= at)
    more_urgent = and_(DUE, RoomRow.priority < int(priority))
    moment = literal(at, RoomRow.next_attempt_at.type)
    return {
        "revision": RoomRow.revision + 1,
        "priority": case(
            (RoomRow.attempts > 0, int(Priority.FAILING)),
            (more_urgent, RoomRow.priority),
            else_=int(priority),
        ),
        "next_attempt_at": case(
            (waits, func.coalesce(RoomRow.next_attempt_at, moment)), else_=moment
        ),
    }
