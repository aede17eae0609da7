"""Append what the host reports, and fold it into rooms that have to be looked at.

Appending is one insert in the host's own transaction. Folding asks the host what each reported
course looks like now, so that lost, doubled or reordered reports make no difference.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, case, delete, insert, or_, select, update
from sqlalchemy.exc import DBAPIError

from commweb.database import FAULTS, first_line
from commweb.errors import HostError
from commweb.host import Course, Group
from commweb.models import Change, CourseChoice, MemberRow, RoomRow, now
from commweb.places import in_order
from commweb.servers import connected, here
from commweb.state import State
from commweb.sync.choices import choice_of, insert_into
from commweb.sync.desired import Choice, rooms

__all__ = ["append", "fold", "pending"]

BATCH = 500

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Report:
    id: int
    course_id: str
    person_id: str
    kind: str
    provider: str | None


def append(connection: Connection, course_ids: Sequence[str]) -> None:
    """Report courses in a write of our own: what was chosen and the report of it are one."""
    if course_ids:
        rows = [{"course_id": course_id, "kind": "course"} for course_id in course_ids]
        connection.execute(insert(Change), rows)


def pending(connection: Connection) -> bool:
    """Whether there is anything to fold: a report, or a course whose time has come."""
    if connection.execute(select(Change.id).limit(1)).first() is not None:
        return True
    due = select(CourseChoice.course_id).where(CourseChoice.look_at <= now()).limit(1)
    return connection.execute(due).first() is not None


def fold(state: State) -> int:
    """Fold every report there is; the number of reports folded.

    A course the host fails to answer for keeps its reports for the next time.
    """
    _report_due(state)
    folded = 0
    last = 0
    while True:
        with state.database.read() as connection:
            reports = _reports(connection, last)
            courses = _courses(connection, reports)
        if not reports:
            return folded
        last = reports[-1].id
        failed: set[str] = set()
        for course_id, own in courses.items():
            try:
                _fold_course(state, course_id, own)
            except FAULTS:
                raise
            except (HostError, DBAPIError) as error:
                # A value that the database cannot hold is the course's own trouble.
                failed.add(course_id)
                log.warning("Course %s is kept for later: %s", course_id, first_line(error))
        folded += _forget(state, reports, courses, failed)


def _report_due(state: State) -> None:
    """Report the courses that open or close about now: nobody else does."""
    at = now()
    due = CourseChoice.look_at <= at
    with state.database.read() as connection:
        if connection.execute(select(CourseChoice.course_id).where(due).limit(1)).first() is None:
            return
    with state.database.write() as connection:
        found = select(CourseChoice.course_id).where(due).order_by(CourseChoice.course_id)
        courses = connection.execute(found.with_for_update()).scalars().all()
        append(connection, courses)
        connection.execute(update(CourseChoice).where(due).values(look_at=None))


def _reports(connection: Connection, after: int) -> list[_Report]:
    rows = connection.execute(
        select(Change.id, Change.course_id, Change.person_id, Change.kind, Change.provider)
        .where(Change.id > after)
        .order_by(Change.id)
        .limit(BATCH)
    )
    return [_Report(*row) for row in rows]


def _courses(connection: Connection, reports: Sequence[_Report]) -> dict[str, list[_Report]]:
    """The courses to look at, each with its reports in order."""
    courses: dict[str, list[_Report]] = {}
    people: dict[str, list[_Report]] = {}
    for report in reports:
        target = courses if report.course_id else people
        target.setdefault(report.course_id or report.person_id, []).append(report)
    for course_id, person_id in _courses_of(connection, list(people)):
        courses.setdefault(course_id, []).extend(people[person_id])
    return courses


def _courses_of(connection: Connection, person_ids: list[str]) -> list[tuple[str, str]]:
    """(course, person) for each reported person and each course he may be in: the rooms that
    have a row of him, and those being worked on now, whose rows are not written yet."""
    if not person_ids:
        return []
    recorded = connection.execute(
        select(RoomRow.course_id, MemberRow.person_id)
        .join(MemberRow, MemberRow.room_id == RoomRow.id)
        .where(MemberRow.person_id.in_(person_ids))
        .distinct()
    )
    found = {(row.course_id, row.person_id) for row in recorded}
    busy = connection.execute(
        select(RoomRow.course_id).where(RoomRow.lease.is_not(None)).distinct()
    ).scalars()
    found |= {(course_id, person_id) for course_id in busy for person_id in person_ids}
    return sorted(found)


def _fold_course(state: State, course_id: str, reports: Sequence[_Report]) -> None:
    with state.database.read() as connection:
        choice = choice_of(connection, course_id)
    created = [report for report in reports if report.kind == "created"]
    if choice is None and created:
        choice = Choice(created[0].provider or "")
    course, groups = _ask_host(state, course_id)
    at = now()
    wanted = _wanted(state, course, groups, choice, at)
    with state.database.write() as connection:
        _store_course(connection, course_id, choice, course, at)
        _mark(connection, course_id, wanted)


def _ask_host(state: State, course_id: str) -> tuple[Course | None, list[Group]]:
    with state.app.app_context():
        try:
            course = state.host.course(course_id)
            return course, list(state.host.groups(course_id)) if course else []
        except HostError:
            raise
        except Exception as error:
            raise HostError(f"the host failed to answer ({type(error).__name__})") from error


def _wanted(
    state: State, course: Course | None, groups: list[Group], choice: Choice | None, at: datetime
) -> list[tuple[str, str]]:
    """The group and provider of each room; a provider without rooms has nothing to make."""
    provider = state.registry.get(choice.provider) if choice else None
    if provider is not None and not provider.has_rooms:
        return []
    return [(room.group_id, room.provider) for room in rooms(course, groups, (), choice, at=at)]


def _store_course(
    connection: Connection,
    course_id: str,
    choice: Choice | None,
    course: Course | None,
    at: datetime,
) -> None:
    values: dict[str, Any] = {"look_at": None}
    if course is not None:
        values = {
            "course_name": course.full_name[:255],
            "look_at": _next_boundary(course, at),
        }
    changed = connection.execute(
        update(CourseChoice).where(CourseChoice.course_id == course_id).values(**values)
    )
    if not changed.rowcount and choice is not None:
        statement = insert_into(connection, CourseChoice).values(
            course_id=course_id,
            provider=choice.provider,
            room_mode=choice.room_mode,
            group_template=choice.group_template,
            version=1,
            **values,
        )
        connection.execute(statement.on_conflict_do_nothing())


def _next_boundary(course: Course, at: datetime) -> datetime | None:
    """When the course opens or closes next: then its rooms change without a report."""
    times = (course.opens_at, course.closes_at)
    return min((time for time in times if time is not None and time > at), default=None)


def _mark(connection: Connection, course_id: str, wanted: Iterable[tuple[str, str]]) -> None:
    """Upsert the wanted rooms, on the server that is connected now, and ask for every room of
    the course there to be looked at."""
    connection.execute(
        update(RoomRow)
        .where(
            in_order(
                RoomRow.course_id == course_id,
                here(),
                or_(RoomRow.wanted, RoomRow.synced_revision < RoomRow.revision),
            )
        )
        .values(revision=RoomRow.revision + 1, wanted=False, next_attempt_at=None)
    )
    for group_id, provider in wanted:
        statement = insert_into(connection, RoomRow).values(
            course_id=course_id,
            group_id=group_id,
            provider=provider,
            server_name=connected(provider),
            wanted=True,
        )
        connection.execute(
            statement.on_conflict_do_update(
                index_elements=["course_id", "group_id", "provider", "server_name"],
                set_={
                    "wanted": True,
                    "status": case((RoomRow.status == "off", "pending"), else_=RoomRow.status),
                    "revision": RoomRow.revision + 1,
                    "next_attempt_at": None,
                },
            )
        )


def _forget(
    state: State,
    reports: Sequence[_Report],
    courses: dict[str, list[_Report]],
    failed: set[str],
) -> int:
    kept = {report.id for course_id in failed for report in courses[course_id]}
    done = [report.id for report in reports if report.id not in kept]
    with state.database.write() as connection:
        for start in range(0, len(done), BATCH):
            part = done[start : start + BATCH]
            connection.execute(delete(Change).where(Change.id.in_(part)))
    return len(done)
