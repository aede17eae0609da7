"""A worker was killed while it made a room: the server made it, with its invitations, and nobody
wrote that down."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, update

from commweb.errors import Unreachable
from commweb.models import MemberRow, RoomRow, now
from commweb.sync.worker import Worker
from tests.simulated import INVITED, SimulatedProvider, SimulatedRoom, SimulatedServer
from tests.sites import Site, student, switched_on, teacher


@pytest.fixture
def school(tmp_path: Path, server: SimulatedServer) -> Iterator[Site]:
    """A course with a teacher and a student who are invited, in a room nobody knows of."""
    with switched_on(tmp_path, SimulatedProvider(server)) as made:
        made.campus.add("1", teacher("ada"), student("bob"))
        report(made, "course_created")
        work(made)
        for name in ("ada", "bob"):
            the_room(server).members[f"@{name}:sim"] = INVITED
        with made.state.database.write() as connection:
            started = now() - timedelta(minutes=2)
            lost = {"remote_id": None, "name": None, "creation_started_at": started}
            connection.execute(update(RoomRow).values(status="working", **lost))
            connection.execute(update(MemberRow).values(state="adding", applied_level=None))
        yield made


def report(school: Site, what: str = "course_changed") -> None:
    with school.app.app_context():
        getattr(school.comm, what)("1")
        school.db.session.commit()


def work(school: Site) -> None:
    """Until nothing is due."""
    for _time in range(3):
        Worker(school.state).work()


def the_room(server: SimulatedServer) -> SimulatedRoom:
    (room,) = server.rooms.values()
    return room


def members(server: SimulatedServer) -> dict[str, str]:
    room = the_room(server)
    return {key: one.membership for key, one in room.members.items() if key != "@bot:sim"}


def states(school: Site) -> dict[str, str]:
    with school.state.database.read() as connection:
        rows = connection.execute(select(MemberRow.person_id, MemberRow.state))
        return {row[0]: row[1] for row in rows}


@pytest.mark.parametrize(
    ("enrolled", "membership", "state"), [(True, "join", "in"), (False, "leave", "removed")]
)
def test_the_room_is_found_and_who_was_unenrolled_meanwhile_is_invited_no_more(
    school: Site, server: SimulatedServer, enrolled: bool, membership: str, state: str
) -> None:
    school.campus.add("1", teacher("ada"), *([student("bob")] if enrolled else []))
    report(school)
    work(school)
    assert members(server) == {"@ada:sim": "join", "@bob:sim": membership}
    assert states(school) == {"ada": "in", "bob": state}


def test_the_invitation_of_an_account_not_used_any_more_is_taken_back(
    school: Site, server: SimulatedServer
) -> None:
    server.accounts["@robert:sim"] = "Robert"
    bob = student("bob")
    person = replace(bob.person, accounts={"simulated": "@robert:sim"})
    school.campus.add("1", teacher("ada"), replace(bob, person=person))
    report(school)
    work(school)
    assert members(server) == {
        "@ada:sim": "join",
        "@bob:sim": "leave",
        "@robert:sim": "join",
    }
    assert states(school) == {"ada": "in", "bob": "in"}


def test_a_level_is_set_though_a_fault_came_between_finding_the_room_and_setting_it(
    school: Site, server: SimulatedServer
) -> None:
    # What is left on record when two more workers were killed after bob became a teacher.
    with school.state.database.write() as connection:
        bob = update(MemberRow).where(MemberRow.person_id == "bob")
        connection.execute(bob.values(applied_level=50, intended_level=50))
    school.campus.add("1", teacher("ada"), teacher("bob"))
    report(school)
    server.calls.clear()
    # It is found and both join; then it is looked at, and its levels are set.
    server.faults = [None, None, None, None, Unreachable("No answer.")]
    work(school)
    assert server.calls[:5] == ["find", "join", "join", "observe", "set_levels"]
    assert "@bob:sim" not in the_room(server).levels
    with school.state.database.write() as connection:
        connection.execute(update(RoomRow).values(next_attempt_at=None))
    work(school)
    assert the_room(server).levels == {"@ada:sim": 50, "@bob:sim": 50}


def test_the_invitations_of_a_course_deleted_meanwhile_are_taken_back(
    school: Site, server: SimulatedServer
) -> None:
    del school.campus.course_table["1"]
    report(school, "course_deleted")
    work(school)
    assert members(server) == {"@ada:sim": "leave", "@bob:sim": "leave"}
    assert set(states(school).values()) == {"removed"}
