"""Whatever one course does is its own, and said."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta, timezone, tzinfo
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text, update

from commweb import Group, Member
from commweb.models import (
    Change,
    FoldRow,
    RoomRow,
    now,
)
from commweb.sync.changes import failing_folds, fold, pending
from commweb.sync.choices import store_choice
from commweb.sync.schedule import soonest
from commweb.sync.worker import Worker
from tests.simulated import SimulatedProvider, SimulatedServer
from tests.sites import Campus, Site, switched_on, teacher
from tests.unit.sync.folding import SIM, counted, create, report, rests_are_over, rows, work, write


@pytest.fixture
def school(tmp_path: Path, server: SimulatedServer, database_url: str) -> Iterator[Site]:
    provider = SimulatedProvider(server)
    with switched_on(tmp_path, provider, SQLALCHEMY_DATABASE_URI=database_url) as made:
        yield made


BROKEN: dict[str, Callable[[Campus], None]] = {}


def breaks(name: str) -> Callable[[Callable[[Campus], None]], Callable[[Campus], None]]:
    def keep(act: Callable[[Campus], None]) -> Callable[[Campus], None]:
        BROKEN[name] = act
        return act

    return keep


def course_1(campus: Campus, **values: Any) -> None:
    campus.course_table["1"] = replace(campus.course_table["1"], **values)


class Raising(dict[str, list[Group]]):
    """The groups of course 1 cannot be read."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def get(self, key: str, default: Any = None) -> Any:
        if key == "1":
            raise self.error
        return default


@breaks("the host raises")
def host_raises(campus: Campus) -> None:
    campus.group_table = Raising(KeyError("ada@example.org"))


class Elapsed(BaseException):
    """As libraries for greenlets raise theirs."""


@breaks("the host leaves")
def host_leaves(campus: Campus) -> None:
    campus.group_table = Raising(SystemExit("ada@example.org"))


@breaks("the host's greenlet is over its time")
def host_is_late(campus: Campus) -> None:
    campus.group_table = Raising(Elapsed())


@breaks("the host gives a wrong type")
def wrong_type(campus: Campus) -> None:
    course_1(campus, full_name=7)


@breaks("the host gives a course with an id that is too long")
def too_long(campus: Campus) -> None:
    course_1(campus, id="1" * 300)


class Turning(tzinfo):
    """A time zone that is found to be wrong only when times are compared."""

    asked = False

    def utcoffset(self, _when: datetime | None) -> timedelta:
        if self.asked:
            raise ArithmeticError("half an hour too much")
        self.asked = True
        return timedelta(0)


@breaks("pure code raises")
def bug(campus: Campus) -> None:
    course_1(campus, closes_at=datetime(2030, 1, 1, tzinfo=Turning()))


@pytest.mark.parametrize("name", BROKEN)
def test_what_one_course_does_is_its_own(
    school: Site, server: SimulatedServer, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    create(school, "1", "2")
    BROKEN[name](school.campus)
    work(school)
    assert rows(school, RoomRow.course_id, RoomRow.status) == [("2", "ready")]
    with school.state.database.read() as connection:
        (failing,) = failing_folds(connection, 10)
        assert not pending(connection)
        end = soonest(connection)
    assert (failing.course_id, failing.failures) == ("1", 1)
    assert failing.reason
    assert "ada@example.org" not in failing.reason
    assert failing.retry_at is not None
    assert timedelta(0) < failing.retry_at - now() <= timedelta(seconds=2)
    assert end == failing.retry_at
    school.campus.group_table = {}
    school.campus.add("1", teacher("ada"))
    rests_are_over(school)
    work(school)
    assert dict(rows(school, RoomRow.course_id, RoomRow.status)) == {"1": "ready", "2": "ready"}
    assert rows(school, FoldRow.failures, FoldRow.retry_at, FoldRow.reason) == [
        (0, None, None),
        (0, None, None),
    ]
    assert rows(school, Change.id) == []


@pytest.mark.parametrize(
    "closes_at",
    [
        datetime(9999, 12, 31, 23, 59, 59, tzinfo=timezone(timedelta(hours=-5))),
        datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=5))),
    ],
)
def test_a_course_that_closes_outside_of_the_calendar_gets_its_room(
    school: Site, closes_at: datetime
) -> None:
    create(school, "1")
    course_1(school.campus, closes_at=closes_at)
    school.campus.group_table["1"] = [Group("half \ud83d", "Half"), Group("x" * 300, "Long")]
    work(school)
    ((status, reason),) = rows(school, RoomRow.status, RoomRow.reason)
    assert status == ("ready" if closes_at.year > 1 else "read_only")
    assert "2 groups have an ID that cannot be used." in reason


def test_a_fault_is_logged_with_its_traceback_once(
    school: Site, caplog: pytest.LogCaptureFixture
) -> None:
    create(school, "1")
    host_raises(school.campus)
    for _time in range(3):
        work(school)
        rests_are_over(school)
    records = [one for one in caplog.records if "could not be folded" in one.getMessage()]
    assert [bool(one.exc_info) for one in records] == [True, False, False]
    assert {one.levelno for one in records} == {logging.WARNING}


def test_failing_courses_are_not_asked_for_again_after_every_room(
    school: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing = [f"bad{number}" for number in range(30)]
    for course_id in failing:
        school.campus.add(course_id)
        course = school.campus.course_table[course_id]
        school.campus.course_table[course_id] = replace(course, full_name=7)  # type: ignore[arg-type]
    asked = counted(school, monkeypatch)
    report(school, "course_created", *failing)
    create(school, *(f"good{number}" for number in range(20)))
    work(school)
    assert all(row[0] == "ready" for row in rows(school, RoomRow.status))
    # Once, and on a slow machine again after each rest; but not after each of the 20 rooms.
    assert max(asked.count(course_id) for course_id in failing) < 10


def test_a_new_report_of_a_failing_course_brings_it_forward_but_not_at_once(
    school: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    create(school, "1")
    wrong_type(school.campus)
    work(school)
    write(school, update(FoldRow).values(failures=9, retry_at=now() + timedelta(minutes=50)))
    work(school)
    ((retry_at,),) = rows(school, FoldRow.retry_at)
    assert retry_at > now() + timedelta(minutes=40)  # nothing new was reported
    asked = counted(school, monkeypatch)
    for _time in range(5):
        report(school, "course_changed", "1")
        work(school)
    ((retry_at,),) = rows(school, FoldRow.retry_at)
    assert timedelta(0) < retry_at - now() <= timedelta(seconds=5)
    assert asked == []
    school.campus.add("1", teacher("ada"))
    rests_are_over(school)
    work(school)
    assert rows(school, RoomRow.status) == [("ready",)]
    assert rows(school, Change.id) == []


def test_rests_of_failing_courses_grow_to_an_hour_and_reports_do_not_pile_up(
    school: Site,
) -> None:
    create(school, "1")
    wrong_type(school.campus)
    seconds = []
    for failures in (0, 1, 5, 11, 40):
        report(school, "course_changed", "1")
        write(school, update(FoldRow).values(failures=failures, retry_at=None))
        fold(school.state)
        ((retry_at,),) = rows(school, FoldRow.retry_at)
        seconds.append(round((retry_at - now()).total_seconds()))
    assert seconds == [2, 4, 64, 3600, 3600]
    assert rows(school, Change.kind) == [("course",), ("created",)]


def test_a_retry_that_a_fast_clock_put_far_off_is_over(school: Site) -> None:
    create(school, "1")
    wrong_type(school.campus)
    fold(school.state)
    write(school, update(FoldRow).values(retry_at=now() + timedelta(days=30)))
    school.campus.add("1", teacher("ada"))
    work(school)
    assert rows(school, RoomRow.status) == [("ready",)]


def test_a_database_that_is_away_ends_the_fold(school: Site) -> None:
    create(school, "1")
    write(school, text("ALTER TABLE commweb_room RENAME TO away"))
    if school.state.database.engine.dialect.name == "sqlite":
        Worker(school.state).try_work()
        assert rows(school, Change.kind) == [("created",)]
        assert rows(school, FoldRow.failures) in ([], [(0,)])
    write(school, text("ALTER TABLE away RENAME TO commweb_room"))
    rests_are_over(school)
    work(school)
    assert rows(school, RoomRow.status) == [("ready",)]


def test_a_lost_turn_writes_nothing_and_leaves_its_reports(school: Site) -> None:
    """Somebody takes a later ticket while the host is read."""
    create(school, "1")
    original = school.campus.groups

    def groups(course_id: str) -> Any:
        write(school, update(FoldRow).values(ticket=FoldRow.ticket + 1))
        return original(course_id)

    school.campus.groups = groups  # type: ignore[method-assign]
    assert fold(school.state) == 0
    assert rows(school, RoomRow.id) == []
    assert rows(school, Change.kind) == [("created",)]
    host_raises(school.campus)
    fold(school.state)
    assert rows(school, FoldRow.failures) == [(0,)]


def test_a_person_whose_report_cannot_be_folded_keeps_nobody_else(
    school: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    create(school, "1")
    work(school)

    def failing(_connection: Any, person_id: str) -> None:
        raise LookupError(person_id)

    monkeypatch.setattr("commweb.accounts.retire", failing)
    report(school, "person_deleted", "bob")
    report(school, "person_changed", "ada")
    assert fold(school.state) == 1
    assert rows(school, Change.person_id) == [("bob",)]
    monkeypatch.undo()
    assert fold(school.state) == 1


def twice(campus: Campus) -> None:
    campus.group_table["1"] = [Group("g", "Lab"), Group("g", "Lab again")]
    campus.member_table["1"] += campus.member_table["1"]


def no_people(campus: Campus) -> None:
    campus.member_table["1"] = None  # type: ignore[assignment]


def a_hole(campus: Campus) -> None:
    campus.member_table["1"] = [*campus.member_table["1"], None]  # type: ignore[list-item]


def half_read(campus: Campus) -> None:
    """The list breaks off: what came until then is not everybody."""

    def breaks_off() -> Iterator[Member]:
        yield campus.member_table["1"][0]
        raise TimeoutError

    campus.member_table = {**campus.member_table}
    original = campus.members
    campus.members = lambda key: breaks_off() if key == "1" else original(key)  # type: ignore[method-assign]


def other_words(campus: Campus) -> None:
    people = campus.member_table["1"]
    campus.member_table["1"] = [replace(one, role="student") for one in people]  # type: ignore[arg-type]


@pytest.mark.parametrize("answer", [no_people, a_hole, half_read, other_words])
def test_an_answer_that_is_none_takes_nobody_out(
    school: Site, server: SimulatedServer, answer: Callable[[Campus], None]
) -> None:
    create(school, "1", "2")
    work(school)
    before = [dict(room.members) for room in server.rooms.values()]
    answer(school.campus)
    report(school, "course_changed", "1", "2")
    work(school)
    assert [dict(room.members) for room in server.rooms.values()] == before
    reasons = dict(rows(school, RoomRow.course_id, RoomRow.reason))
    assert reasons["1"]
    assert not reasons["2"]


def test_what_the_host_says_twice_counts_once(school: Site, server: SimulatedServer) -> None:
    create(school, "1")
    with school.state.database.write() as connection:
        store_choice(connection, "1", "", provider=SIM, room_mode="both")
    twice(school.campus)
    for _time in range(2):
        report(school, "course_changed", "1")
        work(school)
    assert rows(school, RoomRow.group_id, RoomRow.status) == [("", "ready"), ("g", "ready")]
    assert sorted(room.name for room in server.rooms.values()) == ["Algebra", "Algebra - Lab"]
    assert all(room.is_in("@ada:sim") for room in server.rooms.values())
