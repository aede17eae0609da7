"""Requests that lie somewhere between commweb and the homeserver, and get there much later.

The homeserver answers everything else meanwhile, so that the room is synced, and even found right,
before the late request is processed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from sqlalchemy import select

from commweb.models import RoomRow, UnclaimedRoom
from commweb.site.homeserver import Homeserver
from tests.live.conftest import AdminSession
from tests.live.crew import A_MINUTE, Scene, connect
from tests.live.fault_proxy import Fault, FaultProxy
from tests.sites import site, student, teacher
from tests.synapse_eyes import SynapseEyes

ALLOW = {"COMMWEB_ALLOWED_PRIVATE_HOSTS": "127.0.0.0/8"}
JOIN = "POST .*/v1/join/"
CREATE = "POST .*/createRoom"
KICK = "POST .*/kick"
DELETE = "DELETE .*/v2/rooms/"
A_DAY = 25 * 3600.0


@dataclass
class Late:
    """One course, whose next request like ``pattern`` gets stuck until it is let go."""

    scene: Scene
    name: str
    stuck: Fault | None = None
    way_free: threading.Event | None = None

    def enrol(self, *letters: str) -> None:
        """These people are in the course, the first as its teacher; it is reported."""
        first, *others = (f"{self.name}-{letter}" for letter in letters)
        people = (teacher(first), *map(student, others))
        known = self.name in self.scene.school.campus.course_table
        self.scene.school.campus.add(self.name, *people, name=f"Algebra {self.name}")
        self.scene.report("course_changed" if known else "course_created", self.name)

    def delete_course(self) -> None:
        del self.scene.school.campus.course_table[self.name]
        self.scene.report("course_deleted", self.name)

    def work_with_stuck(self, pattern: str) -> None:
        """The same, and the first request like ``pattern`` gets stuck."""
        free = self.way_free = threading.Event()
        self.stuck = Fault("passed on", pattern, first=lambda: free.wait(60))
        self.scene.proxy.script(self.stuck)
        self.scene.work()
        assert self.stuck.times == 0, "it was not asked"
        assert not self.stuck.over.is_set()

    def let_go(self) -> None:
        """The stuck request gets through, and the homeserver has processed it."""
        assert self.way_free is not None
        assert self.stuck is not None
        self.way_free.set()
        assert self.stuck.over.wait(30)

    @property
    def row(self) -> RoomRow:
        return self.scene.row(self.name)

    def rooms(self) -> set[str]:
        """The rooms that this test has on the homeserver."""
        return self.scene.eyes.room_ids() - self.scene.before

    def inside(self) -> set[str]:
        """The letters of the people who are in the course's room, or invited."""
        assert self.row.remote_id is not None
        found = self.scene.eyes.room(self.row.remote_id).inside("@admin:localhost")
        return {one.partition(":")[0].rpartition("-")[2] for one in found}


@pytest.fixture
def late(
    tmp_path: Path,
    homeserver: Homeserver,
    admin_session: AdminSession,
    lift_limits: Callable[[Homeserver], None],
    unique: str,
) -> Iterator[Late]:
    lift_limits(homeserver)
    with FaultProxy.before(homeserver.base_url) as proxy, site(tmp_path, **ALLOW) as school:
        school.state.network = replace(school.state.network, call_seconds=2.0)
        connect(school, admin_session, proxy.url)
        found = Late(Scene(school, proxy, SynapseEyes(homeserver)), unique)
        yield found
        if found.way_free is not None:
            found.way_free.set()


def test_somebody_who_comes_in_after_the_room_was_found_right_is_taken_out(late: Late) -> None:
    late.enrol("a", "b")
    late.scene.work()
    late.enrol("a", "b", "c")
    late.work_with_stuck(JOIN)
    late.enrol("a", "b")
    late.scene.time_passes(A_MINUTE)
    late.scene.work()
    assert late.inside() == {"a", "b"}
    late.let_go()
    assert late.inside() == {"a", "b", "c"}
    late.scene.come_to_rest()
    assert late.inside() == {"a", "b"}
    assert late.scene.differences() == []


def test_somebody_who_is_taken_out_after_the_room_was_found_right_is_put_back(late: Late) -> None:
    late.enrol("a", "b", "c")
    late.scene.work()
    late.enrol("a", "b")
    late.work_with_stuck(KICK)
    late.enrol("a", "b", "c")
    late.scene.time_passes(A_MINUTE)
    late.scene.work()
    assert late.inside() == {"a", "b", "c"}
    late.let_go()
    assert late.inside() == {"a", "b"}
    late.scene.come_to_rest()
    assert late.inside() == {"a", "b", "c"}
    assert late.scene.differences() == []


def test_a_room_created_while_its_course_is_being_given_up_keeps_nobody_in(late: Late) -> None:
    late.enrol("a", "b")
    late.work_with_stuck(CREATE)
    late.delete_course()
    late.scene.time_passes(A_MINUTE)
    late.scene.work()
    assert late.rooms() == set()
    late.let_go()
    assert len(late.rooms()) == 1
    late.scene.come_to_rest()
    assert late.scene.differences() == []
    assert (late.row.status, late.row.creation_started_at) == ("off", None)


def test_a_room_created_after_its_course_was_given_up_is_found_and_closed(late: Late) -> None:
    late.enrol("a", "b")
    late.work_with_stuck(CREATE)
    late.delete_course()
    late.scene.come_to_rest()
    assert (late.row.status, late.rooms()) == ("off", set())
    late.let_go()
    (room,) = late.rooms()
    late.scene.time_passes(A_DAY)
    late.scene.work()
    assert_soon_gone(late)
    with late.scene.school.state.database.read() as connection:
        # Those of other tests are: their keys are not written down in this database.
        assert room not in connection.execute(select(UnclaimedRoom.remote_id)).scalars().all()


def assert_soon_gone(late: Late) -> None:
    for _try in range(100):
        if late.rooms() == set():
            return
        threading.Event().wait(0.1)
    raise AssertionError(f"{late.rooms()} belongs to no course and is still there.")


def test_a_course_that_stays_has_one_room_although_its_creation_came_late(late: Late) -> None:
    late.enrol("a", "b")
    late.work_with_stuck(CREATE)
    late.enrol("a", "c")
    late.scene.time_passes(A_MINUTE)
    late.scene.work()
    late.let_go()
    late.scene.come_to_rest()
    assert late.rooms() == {late.row.remote_id}
    assert late.scene.differences() == []


@pytest.mark.parametrize("comes_back", [False, True], ids=["for good", "and comes back"])
def test_a_deletion_that_comes_late_deletes_that_room_and_no_other(
    late: Late, *, comes_back: bool
) -> None:
    with late.scene.school.app.app_context():
        late.scene.school.comm.configure("matrix", {"closing_rule": "delete_room"})
    late.enrol("a", "b")
    late.scene.work()
    old = late.row.remote_id
    late.delete_course()
    late.work_with_stuck(DELETE)
    assert late.row.pending_delete is not None
    if comes_back:
        late.enrol("a", "b")
    late.scene.time_passes(A_MINUTE)
    late.scene.work()
    late.let_go()
    late.scene.come_to_rest()
    assert old not in late.scene.eyes.room_ids()
    if comes_back:
        assert late.scene.differences() == []
        assert len(late.rooms()) == 1
    else:
        assert late.rooms() == set()
