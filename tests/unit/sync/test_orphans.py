"""Rooms that our account made and no course has: found once a day, closed only if given up here."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import insert, select, update

from commweb.errors import Unreachable
from commweb.models import Connection, CreationAttempt, RoomRow, UnclaimedRoom, now
from commweb.sync.orphans import due_for_orphans, unclaimed
from commweb.sync.records import UNSURE
from tests.simulated import JOINED, OWN, SimulatedProvider, SimulatedRoom, SimulatedServer
from tests.sites import Site, student, switched_on, teacher
from tests.unit.sync.engine import Course

SIM = "simulated"


@pytest.fixture
def school(tmp_path: Path, server: SimulatedServer) -> Iterator[Site]:
    with switched_on(tmp_path, SimulatedProvider(server)) as made:
        yield made


@pytest.fixture
def course(school: Site, server: SimulatedServer) -> Course:
    made = Course(school, server)
    made.connect()
    made.create(teacher("ada"), student("ben"))
    return made


def orphan(server: SimulatedServer, key: str, instance: str = "default") -> SimulatedRoom:
    room = SimulatedRoom(f"!{key}", key, "Lost", "", members={OWN: JOINED})
    room.origin = {"instance": instance, "course": "7", "group": ""}
    server.rooms[room.id] = room
    return room


def given_up(course: Course, key: str) -> None:
    with course.site.state.database.write() as connection:
        connection.execute(
            insert(CreationAttempt).values(
                creation_key=key, provider=SIM, course_id="7", abandoned_at=now()
            )
        )


def a_day_passes(course: Course) -> None:
    with course.site.state.database.write() as connection:
        connection.execute(update(Connection).values(orphans_sought_at=now() - timedelta(hours=25)))


def listed(course: Course) -> list[tuple[str, str, bool]]:
    with course.site.state.database.read() as connection:
        return [(room.remote_id, room.course_id, room.closing) for room in unclaimed(connection)]


def test_a_room_whose_key_was_given_up_here_is_closed(
    course: Course, server: SimulatedServer
) -> None:
    orphan(server, "late")
    given_up(course, "late")
    a_day_passes(course)
    course.work()
    assert server.deleted == ["!late"]
    assert listed(course) == []
    assert course.inside == {"ada", "ben"}


def test_a_room_whose_key_nobody_here_knows_is_listed_and_left_alone(
    course: Course, server: SimulatedServer
) -> None:
    orphan(server, "other")
    a_day_passes(course)
    course.work()
    assert server.deleted == []
    assert listed(course) == [("!other", "7", False)]
    del server.rooms["!other"]
    a_day_passes(course)
    course.work()
    assert listed(course) == []


def test_a_room_of_another_installation_is_nobodys_business(
    course: Course, server: SimulatedServer
) -> None:
    orphan(server, "theirs", instance="elsewhere")
    given_up(course, "theirs")
    a_day_passes(course)
    course.work()
    assert (server.deleted, listed(course)) == ([], [])


def test_the_rooms_of_courses_and_of_their_past_are_no_orphans(
    course: Course, server: SimulatedServer
) -> None:
    old = orphan(server, "old")
    course.set(chain=[old.id])
    doomed = orphan(server, "doomed")
    server.deleting = 99
    course.set(pending_delete=f"{doomed.id} 1")
    given_up(course, "old")
    given_up(course, "doomed")
    a_day_passes(course)
    course.work()
    assert old.id in server.rooms
    assert listed(course) == []


def test_a_room_that_a_course_still_waits_for_is_adopted(
    course: Course, server: SimulatedServer
) -> None:
    key = course.row.creation_key
    assert key is not None
    room = course.room
    room.origin = {"instance": "default"}
    course.set(remote_id=None, creation_started_at=now(), synced_revision=RoomRow.revision)
    a_day_passes(course)
    course.work()
    assert course.row.remote_id == room.id
    assert server.deleted == []


def test_a_homeserver_that_does_not_answer_is_asked_again_in_an_hour(
    course: Course, server: SimulatedServer
) -> None:
    a_day_passes(course)
    server.faults = [Unreachable("No answer.")]
    course.work()
    with course.site.state.database.write() as connection:
        assert not due_for_orphans(connection, SIM)
        at = connection.execute(select(Connection.orphans_sought_at)).scalar_one()
        assert timedelta(hours=22) < now() - at < timedelta(hours=24)


def test_only_one_process_looks(course: Course) -> None:
    a_day_passes(course)
    with course.site.state.database.write() as connection:
        assert due_for_orphans(connection, SIM)
        assert not due_for_orphans(connection, SIM)


def test_a_clock_that_was_ahead_does_not_put_it_off(course: Course) -> None:
    with course.site.state.database.write() as connection:
        ahead = update(Connection).values(orphans_sought_at=now() + timedelta(days=400))
        connection.execute(ahead)
        assert due_for_orphans(connection, SIM)


def test_a_room_created_late_for_a_course_that_is_gone_is_found_and_closed(
    course: Course, server: SimulatedServer
) -> None:
    """The homeserver stands still with a createRoom on its way; meanwhile the course is deleted."""
    server.rooms.clear()
    course.set(
        remote_id=None,
        creation_key="late",
        creation_slug="algebra",
        creation_started_at=now() - timedelta(seconds=95),
        unsure=UNSURE,
        revision=RoomRow.revision + 1,
        wanted=False,
        course_gone="reported",
    )
    with course.site.state.database.write() as connection:
        connection.execute(
            insert(CreationAttempt).values(creation_key="late", provider=SIM, course_id="1")
        )
    del course.site.campus.course_table["1"]
    course.work()
    row = course.row
    assert row.creation_key == "late", "it may still be created"
    assert row.unsure == 1
    course.time_passes(61)
    course.work()
    assert course.row.creation_key is None
    # Only now, long after, the server creates it.
    orphan(server, "late")
    with course.site.state.database.read() as connection:
        assert connection.execute(select(Connection.orphans_sought_at)).scalar_one() is None
    course.work()
    assert "!late" in server.deleted
    with course.site.state.database.read() as connection:
        assert connection.execute(select(UnclaimedRoom.remote_id)).all() == []
