"""A clock that was ahead for a day makes nothing rest longer than it may."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from commweb.accounts import account_of
from commweb.models import Account, now
from commweb.settings import Setting
from commweb.sync.records import UNSURE
from commweb.sync.seats import _fresh
from tests.simulated import SimulatedProvider, SimulatedServer
from tests.sites import Site, student, switched_on, teacher
from tests.unit.sync.engine import Course

A_DAY = timedelta(days=1)


class Closing(SimulatedProvider):
    settings = (Setting("closing_rule", "delete_room"),)


@pytest.fixture
def school(tmp_path: Path, server: SimulatedServer) -> Iterator[Site]:
    with switched_on(tmp_path, Closing(server)) as made:
        yield made


@pytest.fixture
def course(school: Site, server: SimulatedServer) -> Course:
    made = Course(school, server)
    made.create(teacher("ada"), student("bob"))
    return made


def syncs(server: SimulatedServer, act: Any) -> int:
    """How often the room is read while ``act`` is done."""
    before = server.calls.count("observe")
    act()
    return server.calls.count("observe") - before


def test_a_late_act_is_waited_for_a_minute_and_not_a_day(
    course: Course, server: SimulatedServer
) -> None:
    tomorrow = now() + A_DAY
    course.set(unsure=1, unsure_until=tomorrow, next_attempt_at=tomorrow, synced_revision=0)
    assert syncs(server, course.work) == 1
    row = course.row
    assert (row.unsure, row.unsure_until) == (0, None)
    assert row.synced_revision == row.revision


def test_two_syncs_are_left_after_a_late_act_whatever_the_clock_says(
    course: Course, server: SimulatedServer
) -> None:
    course.set(unsure=UNSURE, unsure_until=now() + A_DAY, synced_revision=0)
    assert syncs(server, course.work) == 1
    until = course.row.unsure_until
    assert until is not None
    assert until < now() + timedelta(seconds=61)
    course.time_passes(61)
    assert syncs(server, course.work) == 1
    assert course.row.unsure == 0


def begun_tomorrow(course: Course, **more: Any) -> None:
    course.set(
        creation_started_at=now() + A_DAY,
        creation_key="k" * 32,
        creation_slug="algebra",
        remote_id=None,
        synced_revision=0,
        next_attempt_at=None,
        **more,
    )


def test_a_room_that_may_still_be_created_is_waited_for_a_minute_and_not_a_day(
    course: Course, server: SimulatedServer
) -> None:
    course.site.campus.course_table.clear()
    begun_tomorrow(course, wanted=False, course_gone="reported")
    course.work()
    row = course.row
    assert row.next_attempt_at is not None
    assert row.next_attempt_at <= now() + timedelta(seconds=60)
    asked = len(server.calls)
    course.work()
    assert len(server.calls) == asked  # it rests
    course.time_passes(61)
    course.work()
    assert (course.row.status, course.row.creation_started_at) == ("off", None)


def test_a_room_whose_creation_began_at_a_time_to_come_is_created(
    course: Course, server: SimulatedServer
) -> None:
    server.rooms.clear()
    begun_tomorrow(course)
    course.work()
    assert course.inside == {"ada", "bob"}
    assert course.row.creation_started_at is None


@pytest.mark.parametrize(
    ("ago", "fresh"), [(-A_DAY, False), (timedelta(0), True), (timedelta(hours=25), False)]
)
def test_an_account_that_was_looked_at_tomorrow_is_looked_at_again(
    course: Course, ago: timedelta, fresh: bool
) -> None:
    with course.site.state.database.write() as connection:
        connection.execute(update(Account).values(checked_at=now() - ago))
        record = account_of(connection, "simulated", "bob", "sim")
    assert record is not None
    assert _fresh(record) is fresh
