"""A request that got no answer may be worked by the server all the same, a moment later."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, update

from commweb.errors import ProviderError, Unreachable
from commweb.models import MemberRow, RoomRow, now
from commweb.sync.worker import Worker
from tests.simulated import JOINED, SimulatedProvider, SimulatedRoom, SimulatedServer
from tests.sites import Site, student, switched_on, teacher


@pytest.fixture
def school(tmp_path: Path, server: SimulatedServer) -> Iterator[Site]:
    """A course whose teacher is in; the joining of its student got no answer, and the student
    is enrolled no more."""
    with switched_on(tmp_path, SimulatedProvider(server)) as made:
        made.campus.add("1", teacher("ada"))
        report(made, new=True)
        work(made)
        made.campus.add("1", teacher("ada"), student("bob"))
        report(made)
        # The room, the account; then the joining.
        breaks(made, server, [None, None, Unreachable("The homeserver did not answer.")])
        assert state_of(made, "bob") == "adding"
        made.campus.add("1", teacher("ada"))
        report(made)
        work(made)
        yield made


def breaks(school: Site, server: SimulatedServer, faults: list[ProviderError | None]) -> None:
    """Work while the line breaks and nothing is answered."""
    server.faults, server.answering = faults, False
    work(school)
    server.answering = True


def report(school: Site, *, new: bool = False) -> None:
    with school.app.app_context():
        (school.comm.course_created if new else school.comm.course_changed)("1")
        school.db.session.commit()


def work(school: Site) -> None:
    Worker(school.state).work()


def state_of(school: Site, person_id: str) -> str | None:
    with school.state.database.read() as connection:
        found = select(MemberRow.state).where(MemberRow.person_id == person_id)
        return connection.execute(found).scalar()


def room_row(school: Site) -> RoomRow:
    with school.app.app_context():
        row = school.db.session.execute(select(RoomRow)).scalar_one()
        school.db.session.expunge(row)
        return row


def a_minute_passes(school: Site) -> None:
    with school.state.database.write() as connection:
        past = now() - timedelta(seconds=1)
        connection.execute(update(RoomRow).values(unsure_until=past, next_attempt_at=past))


def the_room(server: SimulatedServer) -> SimulatedRoom:
    (room,) = server.rooms.values()
    return room


def test_whoever_comes_in_after_all_is_taken_out(school: Site, server: SimulatedServer) -> None:
    the_room(server).members["@bob:sim"] = JOINED
    a_minute_passes(school)
    work(school)
    assert not the_room(server).is_in("@bob:sim")
    assert state_of(school, "bob") == "removed"


def test_until_then_the_room_is_ready_and_will_be_looked_at_again(school: Site) -> None:
    row = room_row(school)
    assert (row.status, state_of(school, "bob")) == ("ready", "adding")
    assert row.synced_revision < row.revision
    assert row.next_attempt_at == row.unsure_until


def test_whoever_does_not_come_is_forgotten_and_the_room_rests(school: Site) -> None:
    a_minute_passes(school)
    work(school)
    row = room_row(school)
    assert (row.unsure_until, row.synced_revision) == (None, row.revision)
    assert state_of(school, "bob") == "removed"


def test_a_removal_that_is_worked_late_is_mended(school: Site, server: SimulatedServer) -> None:
    a_minute_passes(school)
    work(school)
    school.campus.add("1", student("bob"))
    report(school)
    breaks(school, server, [None, Unreachable("The homeserver did not answer.")])
    # The teacher is back before anybody looks; then the server works the removal.
    school.campus.add("1", teacher("ada"), student("bob"))
    report(school)
    work(school)
    del the_room(server).members["@ada:sim"]
    a_minute_passes(school)
    work(school)
    assert the_room(server).is_in("@ada:sim")
