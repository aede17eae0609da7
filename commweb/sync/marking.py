"""What a fold writes: what is known of the course, which rooms it should have, and that they have
to be synced. Every function is part of the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Connection,
    String,
    case,
    cast,
    delete,
    func,
    insert,
    literal,
    or_,
    select,
    update,
)

from commweb.host import Course
from commweb.models import Connection as SessionRow
from commweb.models import (
    CourseChoice,
    CourseOption,
    MemberRow,
    RoomRow,
)
from commweb.places import in_order
from commweb.priority import DUE, Priority, asked
from commweb.sync.choices import insert_into
from commweb.sync.desired import Choice
from commweb.sync.guard import ANYTHING
from commweb.sync.known import RETIRED
from commweb.sync.standing import OWN_CHOICE

__all__ = [
    "RETIRED",
    "Wanted",
    "bring_back",
    "close_groups",
    "forget_choices",
    "has_left",
    "hold",
    "mark",
    "mark_people",
    "retire",
    "store_course",
]

BATCH = 500
LIVING = RoomRow.course_gone != "reported"

Wanted = Mapping[tuple[str, str], frozenset[str]]
"""The rooms a course should have, by group and provider: the people enrolled, suspended or not."""


def store_course(
    connection: Connection,
    course_id: str,
    choice: Choice | None,
    course: Course | None,
    at: datetime,
) -> None:
    """Keep the course's name and when it opens or closes next; the first time what it chose."""
    values: dict[str, Any] = {"look_at": None}
    if course is not None:
        values = {"course_name": course.full_name[:255], "look_at": _next_boundary(course, at)}
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


def retire(connection: Connection, course_id: str, at: datetime) -> None:
    """The course was deleted: its rooms are closed, what it chose is forgotten, and nothing of it
    is ever used for another course with the same id."""
    number = cast(RoomRow.id, String)
    group_id = func.substr(RoomRow.group_id, 1, 200).concat(literal(RETIRED)).concat(number)
    values = {"group_id": group_id, "course_gone": "reported"}
    rows = _rows(connection, course_id, _servers(connection))
    closed = {"wanted": False, **asked(at, Priority.REPORTED)}
    _set(connection, [row.id for row in rows if not row.elsewhere], values | closed)
    _set(connection, [row.id for row in rows if row.elsewhere], values | _no_work())
    for table in (CourseOption, CourseChoice):
        connection.execute(delete(table).where(table.course_id == course_id))


def hold(connection: Connection, course_id: str, at: datetime, priority: Priority) -> None:
    """The host no longer has the course and nobody said that it was deleted: its rooms stay as
    they are, and a person is asked."""
    connection.execute(
        update(RoomRow)
        .where(in_order(RoomRow.course_id == course_id, LIVING, RoomRow.wanted))
        .values(course_gone="unreported", **asked(at, priority))
    )


def mark(
    connection: Connection,
    course_id: str,
    wanted: Collection[tuple[str, str]],
    at: datetime,
    priority: Priority,
) -> None:
    """Create the rows of wanted rooms that have none, and ask for every room of the course to be
    synced. A closed room with nothing left to do stays as it is."""
    servers = _servers(connection)
    rows = _rows(connection, course_id, servers)
    chosen = {key: row.id for key in wanted if (row := _best(rows, key)) is not None}
    others = [row for row in rows if row.id not in set(chosen.values())]
    _set(connection, [row.id for row in others if row.elsewhere], _no_work())
    due = asked(at, priority)
    left = [row.id for row in others if not row.elsewhere and (row.wanted or row.due)]
    _set(connection, left, {"wanted": False, "course_gone": "", **due})
    status = case((RoomRow.status == "off", "pending"), else_=RoomRow.status)
    again = {"wanted": True, "course_gone": "", "status": status, **due}
    _set(connection, list(chosen.values()), again)
    new = [
        {
            "course_id": course_id,
            "group_id": group_id,
            "provider": provider,
            "server_name": servers.get(provider) or "",
            "wanted": True,
            "next_attempt_at": at,
            "priority": int(priority if priority > Priority.REPORTED else Priority.NEW),
        }
        for group_id, provider in wanted
        if (group_id, provider) not in chosen
    ]
    if new:
        connection.execute(insert(RoomRow), new)


def close_groups(connection: Connection, course_id: str, group_ids: Collection[str]) -> None:
    """The host said that these groups are deleted: closing their rooms asks nobody."""
    if group_ids:
        going = in_order(
            RoomRow.course_id == course_id,
            RoomRow.group_id.in_(sorted(group_ids)),
            RoomRow.wanted.is_(False),
            DUE,
        )
        connection.execute(update(RoomRow).where(going).values(confirmed_people=[ANYTHING]))


@dataclass(frozen=True)
class _Row:
    """A room's row. ``elsewhere``: it was made on a homeserver that is not connected now."""

    id: int
    group_id: str
    provider: str
    server_name: str
    wanted: bool
    due: bool
    elsewhere: bool


def _servers(connection: Connection) -> dict[str, str | None]:
    """The server that each provider is connected to."""
    query = select(SessionRow.provider, SessionRow.server_name)
    return {row[0]: row[1] for row in connection.execute(query)}


def _rows(connection: Connection, course_id: str, servers: Mapping[str, str | None]) -> list[_Row]:
    found = connection.execute(
        select(
            RoomRow.id, RoomRow.group_id, RoomRow.provider, RoomRow.server_name, RoomRow.wanted,
            RoomRow.revision, RoomRow.synced_revision,
        )
        .where(RoomRow.course_id == course_id, LIVING)
        .order_by(RoomRow.id)
        .with_for_update()
    )  # fmt: skip
    rows = []
    for row in found:
        connected = servers.get(row.provider)
        elsewhere = bool(connected) and row.server_name not in ("", connected)
        due = row.synced_revision < row.revision
        rows.append(
            _Row(row.id, row.group_id, row.provider, row.server_name, row.wanted, due, elsewhere)
        )
    return rows


def _best(rows: Iterable[_Row], key: tuple[str, str]) -> _Row | None:
    """The row to use: rather one made on the connected homeserver than one not made yet."""
    fitting = [row for row in rows if (row.group_id, row.provider) == key and not row.elsewhere]
    return max(fitting, key=lambda row: (bool(row.server_name), row.wanted, row.id), default=None)


def _set(connection: Connection, room_ids: Sequence[int], values: Mapping[str, Any]) -> None:
    for start in range(0, len(room_ids), BATCH):
        part = room_ids[start : start + BATCH]
        connection.execute(update(RoomRow).where(RoomRow.id.in_(part)).values(**values))


def _no_work() -> dict[str, Any]:
    return {"wanted": False, "synced_revision": RoomRow.revision}


def has_left(connection: Connection, course_id: str) -> bool:
    """Whether somebody left a room of the course, or was taken out of it in the chat."""
    query = (
        select(MemberRow.person_id)
        .join(RoomRow, RoomRow.id == MemberRow.room_id)
        .where(RoomRow.course_id == course_id, LIVING, MemberRow.state.in_(OWN_CHOICE))
        .limit(1)
    )
    return connection.execute(query).first() is not None


def bring_back(
    connection: Connection, course_id: str, enrolled: frozenset[str], wanted: Wanted
) -> None:
    """People who left a room and are not enrolled now count as removed, so that enrolling
    anew brings them back. In a room that is not wanted only those who are not in the course do."""
    rows = connection.execute(
        select(MemberRow.room_id, MemberRow.person_id, RoomRow.group_id, RoomRow.provider)
        .join(RoomRow, RoomRow.id == MemberRow.room_id)
        .where(RoomRow.course_id == course_id, LIVING, MemberRow.state.in_(OWN_CHOICE))
        .order_by(MemberRow.room_id, MemberRow.person_id)
    ).all()
    for row in rows:
        if row.person_id not in wanted.get((row.group_id, row.provider), enrolled):
            connection.execute(
                update(MemberRow)
                .where(
                    MemberRow.room_id == row.room_id,
                    MemberRow.person_id == row.person_id,
                    MemberRow.state.in_(OWN_CHOICE),
                )
                .values(state="removed", reason=None)
            )


def forget_choices(connection: Connection, person_ids: Collection[str]) -> None:
    """These people are gone: somebody else with the same id did not leave any room, and was taken
    out of none in the chat. After rooms are locked, as everywhere."""
    connection.execute(
        update(MemberRow)
        .where(MemberRow.person_id.in_(sorted(person_ids)), MemberRow.state.in_(OWN_CHOICE))
        .values(state="removed", reason=None)
    )


def mark_people(connection: Connection, person_ids: Sequence[str], at: datetime) -> None:
    """Ask for every room that has a row of one of these people to be synced, and for those being
    worked on now, whose rows are not written yet."""
    recorded = select(MemberRow.room_id).where(MemberRow.person_id.in_(person_ids)).distinct()
    busy = select(RoomRow.id).where(DUE, RoomRow.lease.is_not(None))
    found = {*connection.execute(recorded).scalars(), *connection.execute(busy).scalars()}
    room_ids = sorted(found)
    for start in range(0, len(room_ids), BATCH):
        part = room_ids[start : start + BATCH]
        connection.execute(
            update(RoomRow)
            .where(in_order(RoomRow.id.in_(part), or_(RoomRow.wanted, DUE)))
            .values(**asked(at, Priority.REPORTED))
        )
