"""What is about to be done is on record before the homeserver is asked to do it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from commweb.models import Account, MemberRow, PastAccount, RoomRow, now
from commweb.settings import Setting
from commweb.sync.worker import Worker
from tests.simulated import SimulatedBackend, SimulatedProvider, SimulatedServer
from tests.sites import Site, student, switched_on, teacher
from tests.unit.sync.engine import Course

Look = Callable[[str], None]


class Observed(SimulatedBackend):
    """Tells ``look`` of each call before it is done."""

    def __init__(self, server: SimulatedServer, look: list[Look]) -> None:
        super().__init__(server)
        self.look = look

    def _called(self, name: str) -> None:
        for look in self.look:
            look(name)
        super()._called(name)


class ObservedProvider(SimulatedProvider):
    settings = (Setting("closing_rule", "delete_room"),)

    def __init__(self, server: SimulatedServer) -> None:
        super().__init__(server)
        self.look: list[Look] = []

    def backend(self, context: Any) -> SimulatedBackend:
        return Observed(self.server, self.look)


@pytest.fixture
def provider(server: SimulatedServer) -> ObservedProvider:
    return ObservedProvider(server)


@pytest.fixture
def school(tmp_path: Path, provider: ObservedProvider) -> Iterator[Site]:
    with switched_on(tmp_path, provider) as made:
        yield made


@pytest.fixture
def course(school: Site, server: SimulatedServer) -> Course:
    made = Course(school, server)
    made.create(teacher("ada"), student("ben"))
    return made


def read(course: Course, query: Any) -> list[Any]:
    with course.site.state.database.read() as connection:
        return list(connection.execute(query).all())


def test_somebody_is_recorded_as_being_added_before_they_join(
    course: Course, provider: ObservedProvider
) -> None:
    seen: list[tuple[str, bool]] = []

    def look(name: str) -> None:
        if name == "join":
            past = read(course, select(PastAccount.person_id))
            seen.append((course.states["cyd"], ("cyd",) in past))

    provider.look.append(look)
    course.enrol(teacher("ada"), student("ben"), student("cyd"))
    assert seen == [("adding", True)]


def move_ben(course: Course) -> None:
    """Ben has another account now."""
    with course.site.state.database.write() as connection:
        moved = update(Account).where(Account.person_id == "ben")
        values = {"remote_user_id": "@new:sim", "origin": "external_id", "checked_at": None}
        connection.execute(moved.values(**values))


def test_the_new_account_is_on_record_as_inside_before_the_old_one_goes(
    course: Course, provider: ObservedProvider
) -> None:
    move_ben(course)
    seen: list[tuple[str, list[Any]]] = []

    def look(name: str) -> None:
        if name in ("join", "remove"):
            query = select(MemberRow.remote_user_id, MemberRow.state)
            seen.append((name, read(course, query.where(MemberRow.person_id == "ben"))))

    provider.look.append(look)
    course.sync()
    assert seen == [("join", [("@new:sim", "adding")]), ("remove", [("@new:sim", "in")])]
    assert course.inside == {"ada", "new"}


def test_an_old_account_stays_until_the_new_one_is_inside(
    course: Course, server: SimulatedServer
) -> None:
    move_ben(course)
    server.unusable["@new:sim"] = "The account is locked."
    course.sync()
    assert course.inside == {"ada", "ben"}
    assert course.reason("ben") == "The account is locked."
    server.unusable.clear()
    course.time_passes(5 * 3600)
    course.work()
    assert course.inside == {"ada", "new"}


def test_a_half_made_room_is_on_record_as_going_before_its_deletion_is_asked_for(
    course: Course, provider: ObservedProvider, server: SimulatedServer
) -> None:
    seen: list[Any] = []
    course.set(remote_id=None, creation_key="half", creation_started_at=now() - timedelta(hours=1))
    server.half_made["half"] = "!half"

    def look(name: str) -> None:
        if name == "delete":
            seen.extend(read(course, select(RoomRow.pending_delete)))

    provider.look.append(look)
    course.sync()
    assert seen[0] == ("!half",)


def test_a_deletion_is_on_record_before_it_is_asked_for(
    course: Course, provider: ObservedProvider, server: SimulatedServer
) -> None:
    room = course.row.remote_id
    seen: list[Any] = []

    def look(name: str) -> None:
        if name == "delete":
            seen.extend(read(course, select(RoomRow.pending_delete, RoomRow.remote_id)))

    provider.look.append(look)
    del course.site.campus.course_table["1"]
    course.report("course_deleted")
    course.work()
    assert seen[0] == (room, None)
    assert server.deleted == [room]


def test_a_worker_that_stops_gives_back_what_it_claimed_and_did_not_begin(
    school: Site, server: SimulatedServer, provider: ObservedProvider
) -> None:
    for number in range(40):
        school.campus.add(str(number), teacher("ada"))
        with school.app.app_context():
            school.comm.course_created(str(number))
            school.db.session.commit()
    calls: list[str] = []
    provider.look.append(calls.append)
    Worker(school.state, stop=lambda: "create" in calls).work()
    with school.state.database.read() as connection:
        held = select(RoomRow.id).where(RoomRow.lease.is_not(None))
        assert connection.execute(held).all() == []
    assert 0 < len(server.rooms) < 40


def test_a_closed_room_that_still_has_people_is_synced_until_nobody_is_inside(
    course: Course, provider: ObservedProvider
) -> None:
    provider.settings = (Setting("closing_rule", "remove_members"),)
    room = course.room
    room.levels["@ben:sim"] = 100
    room.creator = None
    room.levels["@bot:sim"] = 100
    del course.site.campus.course_table["1"]
    course.report("course_deleted")
    course.work()
    row = course.row
    assert (row.status, row.undone) == ("failing", ["person:ben"])
    assert row.synced_revision < row.revision, "somebody is still inside"
    room.levels["@ben:sim"] = 0
    course.time_passes(5 * 3600)
    course.work()
    assert not room.is_in("@ben:sim")
    row = course.row
    assert (row.status, row.synced_revision) == ("off", row.revision)
