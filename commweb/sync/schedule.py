"""When rooms are looked at without a report: rests that end, leases that expire, drift.

Every question here is answered by an index, whatever the number of rooms at rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, select, update

from commweb.models import Connection as SessionRow
from commweb.models import RoomRow, now
from commweb.places import in_order

__all__ = ["ask_again", "end_rests", "not_looked_at_since", "soonest"]


def soonest(connection: Connection) -> datetime | None:
    """When the next rest, lease or pause of a server ends; None: nobody waits for anything."""
    at = now()
    dirty = RoomRow.synced_revision < RoomRow.revision
    ends: list[Any] = [
        select(func.min(RoomRow.next_attempt_at)).where(dirty, RoomRow.next_attempt_at > at),
        select(func.min(RoomRow.lease_until)).where(dirty, RoomRow.lease_until > at),
        select(func.min(SessionRow.blocked_until)).where(SessionRow.blocked_until > at),
    ]
    found = [connection.execute(end).scalar() for end in ends]
    return min((end for end in found if end is not None), default=None)


def not_looked_at_since(
    connection: Connection, provider: str, before: datetime, limit: int
) -> list[int]:
    """The rooms at rest whose last look is oldest and was ``before``; at most ``limit``."""
    statement = (
        select(RoomRow.id)
        .where(
            RoomRow.provider == provider,
            RoomRow.wanted,
            RoomRow.synced_revision >= RoomRow.revision,
            RoomRow.updated_at < before,
        )
        .order_by(RoomRow.updated_at)
        .limit(limit)
    )
    return list(connection.execute(statement).scalars())


def ask_again(connection: Connection, room_ids: Sequence[int]) -> None:
    """Ask for these rooms to be looked at, if nobody has meanwhile."""
    connection.execute(
        update(RoomRow)
        .where(in_order(RoomRow.id.in_(room_ids), RoomRow.synced_revision >= RoomRow.revision))
        .values(revision=RoomRow.revision + 1, next_attempt_at=None)
    )


def end_rests(connection: Connection, provider: str) -> None:
    """Let the provider's resting rooms be tried now: what they failed at has changed."""
    connection.execute(
        update(RoomRow)
        .where(
            in_order(
                RoomRow.provider == provider,
                RoomRow.synced_revision < RoomRow.revision,
                RoomRow.next_attempt_at.is_not(None),
                RoomRow.lease.is_(None),
            )
        )
        .values(next_attempt_at=None)
    )
