"""Fold what the host reported into rooms that have to be synced.

Folding asks the host what each reported course looks like now, so that lost, doubled or reordered
reports make no difference. Whatever goes wrong with one course is that course's own: it is tried
again later, and the others are folded.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.exc import StatementError

from commweb import accounts
from commweb.account_locks import ask_people
from commweb.answers import Answer
from commweb.database import FAULTS, first_line
from commweb.errors import CommWebError, HostError
from commweb.i18n import gettext as _
from commweb.models import Change, CourseChoice, now
from commweb.state import State
from commweb.sync import reports
from commweb.sync.choices import choice_of
from commweb.sync.desired import Choice, DesiredRoom, rooms
from commweb.sync.locks import locking
from commweb.sync.marking import (
    Wanted,
    bring_back,
    close_groups,
    forget_choices,
    has_left,
    hold,
    mark,
    mark_people,
    retire,
    store_course,
)
from commweb.sync.reading import ask_host
from commweb.sync.reports import FailingFold, Turn, append, failing_folds, pending

__all__ = ["FailingFold", "append", "failing_folds", "fold", "pending"]

ROUND = 100
"""How many courses are folded before what was reported meanwhile is looked at: a new course does
not wait behind all that can wait."""
PEOPLE = 500

log = logging.getLogger(__name__)


def fold(state: State, stop: Callable[[], bool] = lambda: False) -> int:
    """Fold every report there is; the number of reports folded. ``stop``: end early.

    Raises `commweb.database.FAULTS` when the database is away.
    """
    _report_due(state)
    _bring_forward(state)
    folded = 0
    tried: dict[str, int] = {}
    while not stop():
        folded += _fold_people(state)
        with state.database.read() as connection:
            waiting = reports.waiting(connection, len(tried) + ROUND)
        new = [key for key, newest in waiting.items() if newest > tried.get(key, 0)][:ROUND]
        if not new:
            break
        for course_id in new:
            if stop():
                break
            tried[course_id] = waiting[course_id]
            folded += _attempt(state, course_id)
    return folded


def _bring_forward(state: State) -> None:
    """Failing courses of which something new was reported do not rest for long."""
    with state.database.read() as connection:
        courses = reports.with_news(connection)
    if courses:
        with state.database.write() as connection:
            reports.bring_forward(connection, courses)


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


def _attempt(state: State, course_id: str) -> int:
    """Fold one course; how many reports that were. Its own faults are kept with it."""
    turn = None
    try:
        with state.database.write() as connection:
            turn = reports.take_turn(connection, course_id)
            choice = choice_of(connection, course_id)
            left = has_left(connection, course_id)
        return _fold_course(state, turn, choice, left) if turn else 0
    except FAULTS:
        raise
    except Exception as error:  # noqa: BLE001  (whatever it is, it is this course's own)
        _keep_for_later(state, course_id, turn, error)
        return 0


def _fold_course(state: State, turn: Turn, choice: Choice | None, left: bool) -> int:
    answer = ask_host(state, turn.course_id, members=left)
    at = now()
    deleted, choice = _standing(turn, choice, answer)
    wanted = _wanted(state, answer, choice, at)
    with state.database.write() as connection:
        if not reports.is_ours(connection, turn):
            return 0  # whoever took the later ticket asked the host after this fold did
        if deleted:
            retire(connection, turn.course_id, at)
        if not deleted or choice is not None:
            store_course(connection, turn.course_id, choice, answer.course, at)
        if answer.course is not None:
            mark(connection, turn.course_id, list(wanted), at, turn.priority)
            close_groups(connection, turn.course_id, _deleted_groups(turn, answer))
        elif not deleted:
            hold(connection, turn.course_id, at, turn.priority)
        if left and answer.course is not None:
            enrolled = frozenset(member.person.id for member in answer.members)
            bring_back(connection, turn.course_id, enrolled, wanted)
        reports.store_success(connection, turn, at)
    return len(turn.reports)


def _standing(turn: Turn, choice: Choice | None, answer: Answer) -> tuple[bool, Choice | None]:
    """Whether the course that has the rooms was deleted, and what the one there is now chose.

    A deletion counts when the host has the course no longer, or when a course with the same id
    was created after it; else the host took it back.
    """
    last = max((report.id for report in turn.reports if report.kind == "deleted"), default=None)
    created = [report for report in turn.reports if report.kind == "created"]
    if last is not None:
        after = [report for report in created if report.id > last]
        if after:
            # It is there, or the host's answer is older than the report.
            return True, Choice(after[0].provider or "")
        if answer.course is None:
            return True, None
    if choice is None and created:
        return False, Choice(created[0].provider or "")
    return False, choice


def _deleted_groups(turn: Turn, answer: Answer) -> frozenset[str]:
    """Groups that were reported as deleted and that the host no longer has."""
    deleted = {report.group_id for report in turn.reports if report.kind == "group_deleted"}
    return frozenset(deleted - {group.id for group in answer.groups})


def _wanted(state: State, answer: Answer, choice: Choice | None, at: datetime) -> Wanted:
    """The rooms there should be; a provider without rooms has nothing to create."""
    provider = state.registry.get(choice.provider) if choice else None
    if provider is not None and not provider.has_rooms:
        return {}
    found = rooms(answer.course, answer.groups, answer.members, choice, at=at)
    return {(room.group_id, room.provider): _people(room) for room in found}


def _people(room: DesiredRoom) -> frozenset[str]:
    return frozenset(member.person.id for member in room.members) | frozenset(room.away)


def _keep_for_later(state: State, course_id: str, turn: Turn | None, error: Exception) -> None:
    first = turn is None or not turn.failures
    ours = isinstance(error, CommWebError) and error.__cause__ is None
    # What a database cannot hold is said in one line; its traceback would print what it was.
    bug = not ours and not isinstance(error, StatementError)
    words = "Course %s could not be folded: %s"
    log.warning(words, course_id, first_line(error), exc_info=error if first and bug else None)
    if turn is None:
        return
    try:
        with state.database.write() as connection:
            if reports.is_ours(connection, turn):
                reports.store_failure(connection, turn, _reason(error), now())
    except FAULTS:
        raise
    except Exception:
        log.exception("The fault of course %s could not be written down.", course_id)


def _reason(error: Exception) -> str:
    return (
        str(error) if isinstance(error, HostError) else _("Unexpected error. See the worker log.")
    )


def _fold_people(state: State) -> int:
    """Ask for the rooms of people who changed; forget what belonged to people who are gone."""
    folded = last = 0
    while True:
        with state.database.read() as connection:
            query = select(Change.id).where(Change.course_id == "", Change.id > last)
            ids = connection.execute(query.order_by(Change.id).limit(PEOPLE)).scalars().all()
        if not ids:
            return folded
        last = ids[-1]
        folded += _people_of(state, ids)


def _people_of(state: State, ids: Sequence[int]) -> int:
    """Fold these reports; when one of them cannot be folded, the others alone."""
    try:
        locks = locking(state)
        with state.database.write() as connection:
            query = select(Change.id, Change.person_id, Change.kind).where(Change.id.in_(ids))
            rows = connection.execute(query.with_for_update(skip_locked=True)).all()
            gone = {row.person_id for row in rows if row.kind == "person_deleted"}
            for person_id in sorted(gone):  # before rooms are locked, as everywhere
                accounts.retire(connection, person_id)
            ask_people(connection, locks, {row.person_id for row in rows})
            mark_people(connection, sorted({row.person_id for row in rows}), now())
            forget_choices(connection, gone)
            reports.forget(connection, [row.id for row in rows])
            return len(rows)
    except FAULTS:
        raise
    except Exception:
        if len(ids) > 1:
            return sum(_people_of(state, [one]) for one in ids)
        log.exception("The report %d about a person could not be folded.", ids[0])
        return 0
