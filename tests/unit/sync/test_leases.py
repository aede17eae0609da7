"""Nothing is asked of a homeserver on a lease that may be over."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from commweb.errors import LeaseLost, Refused, Unreachable
from commweb.models import RoomRow, now
from commweb.sync.leases import Lease, awake_seconds
from commweb.sync.records import LEASE_SECONDS, UNSURE, claim
from tests.simulated import JOINED, SimulatedBackend, SimulatedProvider, SimulatedServer
from tests.sites import Site, student, switched_on, teacher
from tests.unit.sync.engine import Course

SIM = "simulated"


class Watched(SimulatedBackend):
    """Calls ``server.meanwhile`` (once) just before it does a joining."""

    meanwhile: Callable[[], None] | None = None

    def join(self, room: Any, action: Any) -> None:
        meanwhile, Watching.meanwhile = Watching.meanwhile, None
        if meanwhile is not None:
            meanwhile()
        super().join(room, action)


class Watching(SimulatedProvider):
    meanwhile: Callable[[], None] | None = None

    def backend(self, context: Any) -> SimulatedBackend:
        return Watched(self.server)


@pytest.fixture
def school(tmp_path: Path, server: SimulatedServer) -> Iterator[Site]:
    Watching.meanwhile = None
    with switched_on(tmp_path, Watching(server)) as made:
        yield made


@pytest.fixture
def course(school: Site, server: SimulatedServer) -> Course:
    made = Course(school, server)
    made.create(teacher("ada"))
    return made


def taken(course: Course, holder: str = "me") -> Lease:
    course.set(revision=RoomRow.revision + 1)
    with course.site.state.database.write() as connection:
        (room_id,) = claim(connection, holder, [SIM], 1)
    return Lease(course.site.state.database, room_id, holder)


def ends_in(course: Course, lease: Lease, seconds: float) -> None:
    """The lease ends so soon by the rows and by both clocks."""
    course.set(lease_until=now() + timedelta(seconds=seconds))
    lease._wall_end = now() + timedelta(seconds=seconds)
    lease._steady_end = awake_seconds() + seconds


def ends(course: Course) -> float:
    """In how many seconds the lease ends by the rows."""
    until = course.row.lease_until
    assert until is not None
    return (until - now()).total_seconds()


def test_a_lease_lasts_longer_than_any_request() -> None:
    assert LEASE_SECONDS > 30 + 5


def test_the_steady_clock_goes_on_while_the_machine_sleeps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "clock_gettime", lambda clock: clock)
    monkeypatch.setattr(time, "CLOCK_BOOTTIME", 70, raising=False)
    assert awake_seconds() == 70
    monkeypatch.delattr(time, "CLOCK_BOOTTIME")
    assert awake_seconds() == time.CLOCK_MONOTONIC


def test_a_fresh_lease_is_not_written_again(course: Course) -> None:
    lease = taken(course)
    before = course.row.lease_until
    lease.require(30)
    assert course.row.lease_until == before


@pytest.mark.parametrize("seconds", [5, 10, 33])
def test_a_lease_that_is_hardly_longer_than_an_act_is_renewed_first(
    course: Course, seconds: float
) -> None:
    lease = taken(course)
    ends_in(course, lease, seconds)
    lease.require(30)
    assert ends(course) > 50
    assert lease.left() > 50


def test_a_beat_renews_a_lease_that_is_half_over_and_no_other(course: Course) -> None:
    lease = taken(course)
    ends_in(course, lease, 31)
    lease.beat()
    assert ends(course) < 32
    ends_in(course, lease, 29)
    lease.beat()
    assert ends(course) > 50


def test_a_beat_says_that_the_lease_was_lost(course: Course) -> None:
    lease = taken(course)
    ends_in(course, lease, 29)
    course.set(lease="somebody")
    with pytest.raises(LeaseLost, match="was lost"):
        lease.beat()


@pytest.mark.parametrize("clock", ["wall", "steady"])
def test_a_lease_that_is_over_by_one_of_two_clocks_is_over(course: Course, clock: str) -> None:
    lease = taken(course)
    if clock == "wall":
        lease._wall_end = now() - timedelta(seconds=1)
    else:
        lease._steady_end = awake_seconds() - 1
    with pytest.raises(LeaseLost, match="is over"):
        lease.require(30)


def test_a_lease_that_somebody_else_has_is_not_renewed(course: Course) -> None:
    lease = taken(course)
    course.set(lease="somebody")
    lease._wall_end = now() + timedelta(seconds=10)
    with pytest.raises(LeaseLost):
        lease.require(30)


def test_a_lease_that_ran_out_in_the_database_is_not_renewed(course: Course) -> None:
    lease = taken(course)
    course.set(lease_until=now() - timedelta(seconds=1))
    lease._wall_end = now() + timedelta(seconds=10)
    with pytest.raises(LeaseLost):
        lease.require(30)


def test_a_clock_that_is_put_back_does_not_lengthen_a_lease(course: Course) -> None:
    lease = taken(course)
    lease._wall_end = now() + timedelta(hours=3)
    assert lease.left() <= LEASE_SECONDS


@contextmanager
def sleeping_workers() -> Iterator[Callable[[], None]]:
    """What is given ends every lease that a worker took since, as a long sleep does."""
    leases: list[Lease] = []
    made = Lease.__init__

    def remember(self: Lease, *given: Any, **named: Any) -> None:
        made(self, *given, **named)
        leases.append(self)

    def sleep() -> None:
        for lease in leases:
            lease._wall_end = now() - timedelta(seconds=1)

    Lease.__init__ = remember  # type: ignore[method-assign]
    try:
        yield sleep
    finally:
        Lease.__init__ = made  # type: ignore[method-assign]


def test_nothing_is_asked_once_the_lease_is_over(course: Course, server: SimulatedServer) -> None:
    """A worker that slept past its lease puts nobody back whom another has removed."""
    with sleeping_workers() as sleep:

        def sleeps() -> None:
            # As if the process had been stopped here: another worker has the room now.
            server.calls.append("asleep")
            course.set(lease="another", lease_until=now() + timedelta(seconds=60))
            sleep()

        Watching.meanwhile = sleeps
        course.enrol(teacher("ada"), student("ben"), student("cyd"))
    assert server.calls[server.calls.index("asleep") :] == ["asleep"]
    assert course.inside == {"ada"}


@pytest.mark.parametrize(
    "end",
    [LeaseLost("Its second request was refused."), Unreachable("No answer came."), Refused("No.")],
    ids=["lease", "fault", "refusal"],
)
def test_whoever_an_act_let_in_after_its_lease_is_taken_out_though_it_failed(
    course: Course, end: Exception
) -> None:
    with sleeping_workers() as sleep:

        def late() -> None:
            # The process slept with the request half sent: it does its work, and what comes
            # after it fails. Another worker has been done with the room for long.
            course.room.members["@ben:sim"] = JOINED
            course.site.campus.add("1", teacher("ada"))
            done = RoomRow.revision
            course.set(lease=None, lease_until=None, unsure=0, synced_revision=done)
            sleep()
            raise end

        Watching.meanwhile = late
        course.enrol(teacher("ada"), student("ben"))
    course.work()
    assert course.inside == {"ada"}


def test_an_act_that_outlived_its_lease_has_the_room_synced_again(course: Course) -> None:
    lease = taken(course)
    before = course.row.revision
    lease._wall_end = now() - timedelta(seconds=1)
    with pytest.raises(LeaseLost, match="before its answer came"):
        lease.confirm()
    row = course.row
    assert (row.revision, row.unsure, row.next_attempt_at) == (before + 1, UNSURE, None)


def test_an_act_within_its_lease_asks_for_nothing(course: Course) -> None:
    lease = taken(course)
    before = course.row.revision
    ends_in(course, lease, 0.5)
    lease.confirm()
    assert (course.row.revision, course.row.unsure) == (before, 0)


def test_a_room_whose_worker_was_killed_is_synced_twice(course: Course) -> None:
    taken(course, "killed")
    course.set(lease_until=now() - timedelta(seconds=1))
    course.work()
    row = course.row
    assert (row.unsure, row.lease) == (1, None)
    assert row.next_attempt_at is not None
    assert 50 < (row.next_attempt_at - now()).total_seconds() <= 60
    course.time_passes(61)
    course.work()
    row = course.row
    assert (row.unsure, row.synced_revision) == (0, row.revision)


def test_a_late_act_of_somebody_else_is_not_forgotten_by_the_run_that_finishes(
    course: Course,
) -> None:
    def late() -> None:
        with course.site.state.database.write() as connection:
            connection.execute(update(RoomRow).values(unsure=UNSURE))

    Watching.meanwhile = late
    course.enrol(teacher("ada"), student("ben"))
    assert course.row.unsure == UNSURE
