"""What was reported and not folded yet: the rows of ``commweb_change``, and the turns in which
they are folded.

Each fold of a course takes a ticket before the host is asked. Whoever finds at the end that a
later ticket was taken writes nothing: the later fold had read the reports and the host after it,
so that an older answer never overwrites a newer one. Nothing is locked while the host is read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    and_,
    case,
    delete,
    func,
    insert,
    or_,
    select,
    update,
)

from commweb.models import Change, CourseChoice, FoldRow, now
from commweb.priority import Priority
from commweb.sync.bounds import FOLD_REST, over
from commweb.sync.choices import insert_into

__all__ = [
    "FailingFold",
    "Report",
    "Turn",
    "append",
    "bring_forward",
    "failing_folds",
    "forget",
    "is_ours",
    "pending",
    "store_failure",
    "store_success",
    "take_turn",
    "waiting",
    "with_news",
]

BATCH = 500
SOON = timedelta(seconds=5)
"""How soon a failing course is tried again when something new is reported of it."""
LASTING = ("created", "deleted", "group_deleted")
"""What each report of says something that no later one does."""
PRIORITIES = {"drift": Priority.DRIFT, "backfill": Priority.BACKFILL}


@dataclass(frozen=True)
class Report:
    """``kind``: created (with the provider), course, deleted, group_deleted, drift or backfill for
    a course; person or person_deleted for a person. ``group_id``: of the deleted group."""

    id: int
    kind: str
    provider: str | None
    group_id: str = ""


@dataclass(frozen=True)
class Turn:
    """One fold of a course: its ticket and the reports there were when it was taken.
    ``failures``: how often in a row it failed before."""

    course_id: str
    ticket: int
    failures: int
    reports: tuple[Report, ...]

    @property
    def priority(self) -> Priority:
        """How urgent the most urgent report is."""
        return min(PRIORITIES.get(report.kind, Priority.REPORTED) for report in self.reports)


@dataclass(frozen=True)
class FailingFold:
    """A course that cannot be folded: nothing that is reported of it has an effect."""

    course_id: str
    course_name: str
    failures: int
    retry_at: datetime | None
    reason: str


def append(connection: Connection, course_ids: Sequence[str], kind: str = "course") -> None:
    """Report courses in a write of our own: what was chosen and the report of it are one."""
    if course_ids:
        rows = [{"course_id": course_id, "kind": kind} for course_id in course_ids]
        connection.execute(insert(Change), rows)


def pending(connection: Connection) -> bool:
    """Whether there is anything to fold now: a report whose course does not rest after a fault,
    or a course whose time has come."""
    at = now()
    reported = _reported().where(or_(_may_be_folded(at), _is_new(at))).limit(1)
    if connection.execute(reported).first() is not None:
        return True
    due = select(CourseChoice.course_id).where(CourseChoice.look_at <= at).limit(1)
    return connection.execute(due).first() is not None


def waiting(connection: Connection, limit: int) -> dict[str, int]:
    """Courses to fold, each with its newest report: those of the host first, then the oldest."""
    rank = case((Change.kind == "created", 0), (Change.kind.in_(list(PRIORITIES)), 2), else_=1)
    query = (
        select(Change.course_id, func.max(Change.id))
        .join(FoldRow, FoldRow.course_id == Change.course_id, isouter=True)
        .where(Change.course_id != "", _may_be_folded(now()))
        .group_by(Change.course_id)
        .order_by(func.min(rank), func.min(Change.id))
        .limit(limit)
    )
    return {row[0]: row[1] for row in connection.execute(query)}


def with_news(connection: Connection) -> list[str]:
    """Failing courses that rest although something new was reported of them."""
    return list(connection.execute(_reported().where(_is_new(now())).distinct()).scalars())


def bring_forward(connection: Connection, course_ids: Sequence[str]) -> None:
    """Let these failing courses be tried soon: not at once, so that a host that cannot answer is
    not asked for every report."""
    soon = now() + SOON
    connection.execute(
        update(FoldRow)
        .where(FoldRow.course_id.in_(course_ids), FoldRow.retry_at > soon)
        .values(retry_at=soon)
    )


def _reported() -> Any:
    return select(Change.course_id).join(
        FoldRow, FoldRow.course_id == Change.course_id, isouter=True
    )


def _may_be_folded(at: datetime) -> ColumnElement[bool]:
    return over(FoldRow.retry_at, at, FOLD_REST)


def _is_new(at: datetime) -> ColumnElement[bool]:
    """A failing course's report that no fold has seen, and that waits for long."""
    return and_(Change.id > FoldRow.tried_id, FoldRow.retry_at > at + SOON)


def take_turn(connection: Connection, course_id: str) -> Turn | None:
    """Take the course's next ticket. None: somebody else folded what there was."""
    taking = insert_into(connection, FoldRow).values(course_id=course_id, ticket=1, failures=0)
    ticket, failures = connection.execute(
        taking.on_conflict_do_update(
            index_elements=["course_id"], set_={"ticket": FoldRow.ticket + 1}
        ).returning(FoldRow.ticket, FoldRow.failures)
    ).one()
    # Only now: an earlier fold that ended while this waited for it has taken its reports along.
    rows = connection.execute(
        select(Change.id, Change.kind, Change.provider, Change.person_id)
        .where(Change.course_id == course_id)
        .order_by(Change.id)
    )
    reports = tuple(Report(*row) for row in rows)
    return Turn(course_id, ticket, failures, reports) if reports else None


def is_ours(connection: Connection, turn: Turn) -> bool:
    """Whether nobody took a later ticket; nobody can until the transaction ends."""
    query = select(FoldRow.ticket).where(FoldRow.course_id == turn.course_id)
    return connection.execute(query.with_for_update()).scalar() == turn.ticket


def store_success(connection: Connection, turn: Turn, at: datetime) -> None:
    """The turn's reports are folded."""
    forget(connection, [report.id for report in turn.reports])
    values = {"failures": 0, "retry_at": None, "reason": None, "checked_at": at}
    connection.execute(update(FoldRow).where(FoldRow.course_id == turn.course_id).values(**values))


def store_failure(connection: Connection, turn: Turn, reason: str, at: datetime) -> float:
    """The course could not be folded; what was reported stays, said once. In how many seconds it
    is tried again: 2 at first, an hour at most."""
    forget(connection, _said_twice(turn))
    seconds = min(FOLD_REST.total_seconds(), 2.0 ** min(turn.failures + 1, 12))
    connection.execute(
        update(FoldRow)
        .where(FoldRow.course_id == turn.course_id)
        .values(
            failures=turn.failures + 1,
            retry_at=at + timedelta(seconds=seconds),
            reason=reason,
            tried_id=turn.reports[-1].id,
            checked_at=at,
        )
    )
    return seconds


def _said_twice(turn: Turn) -> list[int]:
    plain = [report for report in turn.reports if report.kind not in LASTING]
    hosts = [report for report in plain if report.kind not in PRIORITIES]
    kept = (hosts or plain)[-1:]
    return [report.id for report in plain if report not in kept]


def forget(connection: Connection, ids: Sequence[int]) -> None:
    """The reports are done with."""
    for start in range(0, len(ids), BATCH):
        part = ids[start : start + BATCH]
        connection.execute(delete(Change).where(Change.id.in_(part)))


def failing_folds(connection: Connection, limit: int) -> list[FailingFold]:
    """The courses that cannot be folded, those that failed most often first."""
    rows = connection.execute(
        select(
            FoldRow.course_id,
            func.coalesce(CourseChoice.course_name, ""),
            FoldRow.failures,
            FoldRow.retry_at,
            FoldRow.reason,
        )
        .join(CourseChoice, CourseChoice.course_id == FoldRow.course_id, isouter=True)
        .where(FoldRow.failures > 0)
        .order_by(FoldRow.failures.desc(), FoldRow.course_id)
        .limit(limit)
    )
    return [FailingFold(*row[:4], reason=row[4] or "") for row in rows]
