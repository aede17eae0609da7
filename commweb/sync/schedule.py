"""When rooms are synced without a report: rests that end, leases that expire, drift.

Every question here is answered by an index, whatever the number of rooms at rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, exists, func, or_, select, update

from commweb.models import Connection as SessionRow
from commweb.models import CourseChoice, FoldRow, RoomRow, now
from commweb.places import in_order
from commweb.sync.bounds import FOLD_REST, LEASE, ROOM_REST, SERVER_PAUSE, SLACK, ends
from commweb.sync.choices import insert_into
from commweb.sync.reports import append

__all__ = ["check_again", "end_pauses", "end_rests", "paused_too_long", "soonest", "unchecked"]


def soonest(connection: Connection) -> datetime | None:
    """When the next rest, lease or pause of a server ends, or a course is to be folded again;
    None: nobody waits for anything."""
    at = now()
    dirty = RoomRow.synced_revision < RoomRow.revision
    found = []
    for column, longest, more in (
        (RoomRow.next_attempt_at, ROOM_REST, [dirty]),
        (RoomRow.lease_until, LEASE, [dirty]),
        (SessionRow.blocked_until, SERVER_PAUSE, []),
        (FoldRow.retry_at, FOLD_REST, [FoldRow.failures > 0]),
    ):
        query = select(func.min(column)).where(ends(column, at, longest), *more)
        found.append(connection.execute(query).scalar())
    return min((end for end in found if end is not None), default=None)


def unchecked(
    connection: Connection, at: datetime, period: timedelta | None, limit: int
) -> list[str]:
    """Courses with a provider that nobody folded for ``period`` (None: any time will do), those
    that never were, and those that were at a time that is still to come: its clock was ahead.
    Failing ones are tried again anyway. At most ``limit`` of each kind."""
    checked = FoldRow.checked_at
    same = CourseChoice.course_id == FoldRow.course_id
    chosen = CourseChoice.provider != ""
    folded = select(FoldRow.course_id).where(FoldRow.failures == 0, exists().where(same, chosen))
    queries = [folded.where(checked > at + SLACK)]
    if period is not None:
        queries.append(folded.where(checked < at - period).order_by(checked))
        known = exists().where(same, or_(checked.is_not(None), FoldRow.failures > 0))
        never = select(CourseChoice.course_id).where(chosen, ~known)
        queries.append(never.order_by(CourseChoice.course_id))
    found: dict[str, None] = {}
    for query in queries:
        found |= dict.fromkeys(connection.execute(query.limit(limit)).scalars())
    return list(found)


def check_again(connection: Connection, course_ids: Sequence[str], at: datetime) -> None:
    """Report the courses for the drift check; whatever becomes of that, they are not reported
    again before the next one."""
    append(connection, course_ids, "drift")
    for course_id in course_ids:
        statement = insert_into(connection, FoldRow).values(course_id=course_id, checked_at=at)
        connection.execute(
            statement.on_conflict_do_update(index_elements=["course_id"], set_={"checked_at": at})
        )


def paused_too_long(connection: Connection, at: datetime) -> bool:
    """Whether a server's pause ends later than any may: a clock was ahead."""
    query = select(SessionRow.provider).where(_too_late(at)).limit(1)
    return connection.execute(query).first() is not None


def end_pauses(connection: Connection, at: datetime) -> None:
    """End the pauses that end later than any may."""
    connection.execute(update(SessionRow).where(_too_late(at)).values(blocked_until=None))


def _too_late(at: datetime) -> ColumnElement[bool]:
    return SessionRow.blocked_until > at + SERVER_PAUSE + SLACK


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
        .values(next_attempt_at=now())
    )
