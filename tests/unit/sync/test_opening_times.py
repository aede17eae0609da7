"""Courses that open and close by themselves: nobody reports that, and the rooms follow."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from commweb.models import CourseChoice, FoldRow, RoomRow, now
from commweb.sync.changes import pending
from commweb.sync.worker import Worker
from tests.simulated import SimulatedProvider, SimulatedServer
from tests.sites import Site, student, switched_on, teacher

HOUR = timedelta(hours=1)


@pytest.fixture
def school(tmp_path: Path, server: SimulatedServer) -> Iterator[Site]:
    with switched_on(tmp_path, SimulatedProvider(server)) as made:
        made.campus.add("1", teacher("ada"), student("bob"))
        yield made


def times(school: Site, **given: datetime | None) -> None:
    """The host's course has these times; nobody is told."""
    table = school.campus.course_table
    table["1"] = replace(table["1"], **given)  # type: ignore[arg-type]


def report(school: Site) -> None:
    with school.app.app_context():
        school.comm.course_created("1")
        school.db.session.commit()
    work(school)


def work(school: Site) -> None:
    worker = Worker(school.state)
    worker.work()
    worker.close()


def stored(school: Site, column: Any) -> Any:
    with school.state.database.read() as connection:
        return connection.execute(select(column)).scalar_one()


def pass_time(school: Site) -> None:
    """The moment the course was to be looked at is now."""
    with school.state.database.write() as connection:
        connection.execute(update(CourseChoice).values(look_at=now()))


def test_the_next_time_a_course_opens_or_closes_is_remembered(school: Site) -> None:
    opens, closes = now() + HOUR, now() + 2 * HOUR
    times(school, opens_at=opens, closes_at=closes)
    report(school)
    assert stored(school, CourseChoice.look_at) == opens
    times(school, opens_at=now() - HOUR)
    report(school)
    assert stored(school, CourseChoice.look_at) == closes


def test_a_course_that_is_open_for_ever_is_not_looked_at_for_its_time(school: Site) -> None:
    times(school, opens_at=now() - HOUR, closes_at=None)
    report(school)
    assert stored(school, CourseChoice.look_at) is None
    with school.state.database.read() as connection:
        assert not pending(connection)


def test_a_course_that_closes_by_itself_gets_a_read_only_room(
    school: Site, server: SimulatedServer
) -> None:
    times(school, closes_at=now() + HOUR)
    report(school)
    (room,) = server.rooms.values()
    assert not room.read_only
    times(school, closes_at=now())
    pass_time(school)
    work(school)
    assert room.read_only
    assert stored(school, RoomRow.status) == "read_only"
    assert stored(school, CourseChoice.look_at) is None


def test_a_course_that_opens_by_itself_gets_its_room_opened(
    school: Site, server: SimulatedServer
) -> None:
    times(school, opens_at=now() + HOUR)
    report(school)
    (room,) = server.rooms.values()
    assert room.read_only
    times(school, opens_at=now())
    pass_time(school)
    work(school)
    assert not room.read_only
    assert stored(school, RoomRow.status) == "ready"


def test_a_host_that_cannot_answer_then_is_asked_again(
    school: Site, server: SimulatedServer
) -> None:
    times(school, closes_at=now() + HOUR)
    report(school)
    times(school, closes_at=now())
    pass_time(school)
    school.campus.broken = True
    work(school)
    school.campus.broken = False
    with school.state.database.write() as connection:
        connection.execute(update(FoldRow).values(retry_at=now()))
    work(school)
    (room,) = server.rooms.values()
    assert room.read_only


def test_a_deleted_course_has_no_time_any_more(school: Site) -> None:
    times(school, closes_at=now() + HOUR)
    report(school)
    del school.campus.course_table["1"]
    pass_time(school)
    work(school)
    assert stored(school, CourseChoice.look_at) is None
