"""Append what the host reports, and fold it into rooms that have to be looked at.

Appending is one insert in the host's own transaction. Folding asks the host what each reported
course looks like now, so that lost, doubled or reordered reports make no difference.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, and_, delete, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from commweb.errors import HostError
from commweb.models import Change, CourseChoice, CourseOption, MemberRow, RoomRow, now
from commweb.state import State
from commweb.sync.desired import Choice, rooms

__all__ = ["choice_of", "fold", "pending"]

BATCH = 500

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Report:
    id: int
    course_id: str
    person_id: str
    kind: str
    provider: str | None


def pending(connection: Connection) -> bool:
    """Whether there is anything to fold."""
    return connection.execute(select(Change.id).limit(1)).first() is not None


def choice_of(connection: Connection, course_id: str) -> Choice | None:
    """What the course chose, with the options kept for the chosen provider."""
    row = connection.execute(
        select(
            CourseChoice.provider,
            CourseChoice.room_mode,
            CourseChoice.group_template,
            CourseOption.values,
        )
        .join(
            CourseOption,
            and_(
                CourseOption.course_id == CourseChoice.course_id,
                CourseOption.provider == CourseChoice.provider,
            ),
            isouter=True,
        )
        .where(CourseChoice.course_id == course_id)
    ).first()
    if row is None:
        return None
    options = row[3] or {}
    return Choice(row[0], row[1], row[2], options.get("name", ""), options.get("topic"))


def fold(state: State) -> int:
    """Fold every report there is; the number of reports folded.

    A course the host fails to answer for keeps its reports for the next time.
    """
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
            except HostError as error:
                failed.add(course_id)
                log.warning("Course %s is kept for later: %s", course_id, error)
        folded += _forget(state, reports, courses, failed)


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
    if people:
        rows = connection.execute(
            select(RoomRow.course_id, MemberRow.person_id)
            .join(MemberRow, MemberRow.room_id == RoomRow.id)
            .where(MemberRow.person_id.in_(list(people)))
            .distinct()
        )
        for course_id, person_id in rows:
            courses.setdefault(course_id, []).extend(people[person_id])
    return courses


def _fold_course(state: State, course_id: str, reports: Sequence[_Report]) -> None:
    with state.database.read() as connection:
        choice = choice_of(connection, course_id)
    created = [report for report in reports if report.kind == "created"]
    if choice is None and created:
        choice = Choice(created[0].provider or "")
    with state.app.app_context():
        try:
            course = state.host.course(course_id)
            groups = list(state.host.groups(course_id)) if course else []
        except Exception as error:
            raise HostError(f"the host failed to answer ({type(error).__name__})") from error
    wanted = [
        (room.group_id, room.provider) for room in rooms(course, groups, (), choice, at=now())
    ]
    name = course.full_name if course else None
    with state.database.write() as connection:
        _store_choice(connection, course_id, choice, name, gone=course is None)
        _mark(connection, course_id, wanted)


def _store_choice(
    connection: Connection, course_id: str, choice: Choice | None, name: str | None, *, gone: bool
) -> None:
    values = {"deleted_at": now() if gone else None}
    if name is not None:
        values["course_name"] = name[:255]  # type: ignore[assignment]
    changed = connection.execute(
        update(CourseChoice).where(CourseChoice.course_id == course_id).values(**values)
    )
    if not changed.rowcount and choice is not None:
        insert = _insert(connection)(CourseChoice).values(
            course_id=course_id,
            provider=choice.provider,
            room_mode=choice.room_mode,
            group_template=choice.group_template,
            version=1,
            **values,
        )
        connection.execute(insert.on_conflict_do_nothing())


def _mark(connection: Connection, course_id: str, wanted: Iterable[tuple[str, str]]) -> None:
    """Upsert the wanted rooms, and ask for every room of the course to be looked at."""
    wanted = list(wanted)
    connection.execute(
        update(RoomRow)
        .where(RoomRow.course_id == course_id)
        .where(or_(RoomRow.wanted, RoomRow.synced_revision < RoomRow.revision))
        .values(revision=RoomRow.revision + 1, wanted=False, next_attempt_at=None)
    )
    for group_id, provider in wanted:
        statement = _insert(connection)(RoomRow).values(
            course_id=course_id, group_id=group_id, provider=provider, wanted=True
        )
        connection.execute(
            statement.on_conflict_do_update(
                index_elements=["course_id", "group_id", "provider"],
                set_={
                    "wanted": True,
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


def _insert(connection: Connection):  # type: ignore[no-untyped-def]
    return (postgresql if connection.dialect.name == "postgresql" else sqlite).insert


def store_option(
    connection: Connection,
    course_id: str,
    course_name: str,
    *,
    provider: str,
    name: str = "",
    topic: str | None = None,
) -> None:
    """What the course chose on its Communication page; what was entered for another provider
    before is kept."""
    choice = _insert(connection)(CourseChoice).values(
        course_id=course_id,
        provider=provider,
        room_mode="course",
        group_template="{room} - {group}",
        course_name=course_name[:255],
        version=1,
    )
    connection.execute(
        choice.on_conflict_do_update(
            index_elements=["course_id"],
            set_={
                "provider": provider,
                "course_name": course_name[:255],
                "version": CourseChoice.version + 1,
            },
        )
    )
    if not provider:
        return
    values = {"name": name, "topic": topic}
    option = _insert(connection)(CourseOption).values(
        course_id=course_id, provider=provider, values=values
    )
    connection.execute(
        option.on_conflict_do_update(
            index_elements=["course_id", "provider"], set_={"values": values}
        )
    )
