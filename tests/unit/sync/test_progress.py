"""What a flush writes, and on what lease."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from commweb.errors import LeaseLost
from commweb.models import RoomRow, now
from commweb.sync.known import Applied
from commweb.sync.leases import Lease, awake_seconds
from commweb.sync.progress import Progress
from commweb.sync.records import claim
from tests.simulated import SimulatedProvider, SimulatedServer
from tests.sites import Site, switched_on, teacher
from tests.unit.sync.engine import Course

SIM = "simulated"


@pytest.fixture
def school(tmp_path: Path, server: SimulatedServer) -> Iterator[Site]:
    with switched_on(tmp_path, SimulatedProvider(server)) as made:
        yield made


@pytest.fixture
def course(school: Site, server: SimulatedServer) -> Course:
    made = Course(school, server)
    made.create(teacher("ada"))
    made.set(revision=RoomRow.revision + 1)
    return made


def nearly_over(course: Course) -> tuple[Lease, Progress]:
    """A run whose lease ends in ten seconds, by the rows and by both clocks."""
    database = course.site.state.database
    with database.write() as connection:
        (room_id,) = claim(connection, "me", [SIM], 1)
    lease = Lease(database, room_id, "me")
    lease._wall_end = now() + timedelta(seconds=10)
    lease._steady_end = awake_seconds() + 10
    course.set(lease_until=lease._wall_end)
    return lease, Progress(database, lease, SIM, Applied())


def left(course: Course) -> float:
    until = course.row.lease_until
    assert until is not None
    return (until - now()).total_seconds()


def test_every_flush_extends_the_lease_for_others_and_for_the_run_itself(course: Course) -> None:
    lease, progress = nearly_over(course)
    assert lease.left() < 11
    progress.flush()
    assert left(course) > 50
    assert lease.left() > 50


def test_a_flush_without_the_lease_writes_nothing_and_extends_nothing(course: Course) -> None:
    lease, progress = nearly_over(course)
    course.set(lease="another")
    progress.failed("ada", "The server refused it.")
    progress.room(name="Geometry")
    with pytest.raises(LeaseLost):
        progress.flush()
    assert course.row.name == "Algebra"
    assert course.states == {"ada": "in"}
    assert left(course) < 11
    assert lease.left() < 11
