"""The engine end to end on real databases, with a simulated homeserver."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from flask import current_app
from sqlalchemy import select, update

from commweb import DEFAULT, CourseImage, Member, Role
from commweb.errors import RateLimited, Unreachable
from commweb.models import Change, FoldRow, MemberRow, RoomRow
from commweb.providers.rooms import ObservedMember
from commweb.sync.worker import Worker
from tests.simulated import SimulatedProvider, SimulatedRoom, SimulatedServer
from tests.sites import Site, person, student, switched_on, teacher


@pytest.fixture
def school(tmp_path: Path, server: SimulatedServer, database_url: str) -> Iterator[Site]:
    provider = SimulatedProvider(server)
    with switched_on(tmp_path, provider, SQLALCHEMY_DATABASE_URI=database_url) as made:
        yield made


def report_new(school: Site, course_id: str = "1", provider: object = DEFAULT) -> None:
    with school.app.app_context():
        school.comm.course_created(course_id, provider=provider)
        school.db.session.commit()


def report(school: Site, course_id: str = "1") -> None:
    with school.app.app_context():
        school.comm.course_changed(course_id)
        school.db.session.commit()


def work(school: Site) -> int:
    return Worker(school.state).work()


def room_row(school: Site, course_id: str = "1") -> RoomRow:
    with school.app.app_context():
        row = school.db.session.execute(
            select(RoomRow).where(RoomRow.course_id == course_id)
        ).scalar_one()
        school.db.session.expunge(row)
        return row


def states(school: Site) -> dict[str, str]:
    with school.app.app_context():
        rows = school.db.session.execute(select(MemberRow.person_id, MemberRow.state))
        return {row.person_id: row.state for row in rows}


def the_room(server: SimulatedServer) -> SimulatedRoom:
    (room,) = server.rooms.values()
    return room


def inside(room: SimulatedRoom) -> set[str]:
    return {key for key, member in room.members.items() if member.membership == "join"}


def test_a_new_course_gets_its_room_with_its_people(school: Site, server: SimulatedServer) -> None:
    school.campus.add("1", teacher("ada"), student("bob"))
    report_new(school)
    work(school)
    room = the_room(server)
    assert room.name == "Algebra"
    assert inside(room) == {"@bot:sim", "@ada:sim", "@bob:sim"}
    assert room.levels == {"@ada:sim": 50}
    row = room_row(school)
    assert (row.status, row.expected, row.remote_id) == ("ready", 2, room.id)
    assert states(school) == {"ada": "in", "bob": "in"}


def test_a_second_look_does_nothing_but_observe(school: Site, server: SimulatedServer) -> None:
    school.campus.add("1", teacher("ada"), student("bob"))
    report_new(school)
    work(school)
    server.calls.clear()
    report(school)
    work(school)
    assert server.calls == ["observe"]


def test_enrolments_renames_and_suspensions_follow(school: Site, server: SimulatedServer) -> None:
    school.campus.add("1", teacher("ada"), student("bob"), student("cyd"))
    report_new(school)
    work(school)
    school.campus.add("1", student("ada"), student("bob", active=False), student("dan"), name="Geo")
    report(school)
    work(school)
    room = the_room(server)
    assert room.name == "Geo"
    assert inside(room) == {"@bot:sim", "@ada:sim", "@dan:sim"}
    assert room.levels == {}
    assert states(school) == {"ada": "in", "bob": "removed", "cyd": "removed", "dan": "in"}


def test_the_reports_are_gone_once_they_are_folded(school: Site) -> None:
    school.campus.add("1")
    report_new(school)
    work(school)
    with school.app.app_context():
        assert school.db.session.execute(select(Change)).first() is None


def test_a_course_made_while_the_subsystem_is_off_gets_no_room(
    school: Site, server: SimulatedServer
) -> None:
    with school.app.app_context():
        school.comm.set_enabled(False)
    school.campus.add("1", teacher("ada"))
    report_new(school)
    report(school)
    work(school)
    with school.app.app_context():
        school.comm.set_enabled(True)
    report(school)
    work(school)
    assert server.rooms == {}


def test_what_changes_while_the_subsystem_is_off_is_applied_when_it_is_on_again(
    school: Site, server: SimulatedServer
) -> None:
    school.campus.add("1", teacher("ada"))
    report_new(school)
    work(school)
    with school.app.app_context():
        school.comm.set_enabled(False)
    school.campus.add("1", teacher("ada"), student("bob"))
    report(school)
    server.calls.clear()
    work(school)
    assert server.calls == []
    with school.app.app_context():
        school.comm.set_enabled(True)
    work(school)
    assert "@bob:sim" in inside(the_room(server))


def test_a_host_that_fails_to_answer_changes_nothing(school: Site, server: SimulatedServer) -> None:
    school.campus.add("1", teacher("ada"))
    report_new(school)
    work(school)
    school.campus.broken = True
    report(school)
    work(school)
    assert inside(the_room(server)) == {"@bot:sim", "@ada:sim"}
    school.campus.broken = False
    school.campus.add("1", teacher("ada"), student("bob"))
    rest_is_over(school)
    work(school)
    assert "@bob:sim" in inside(the_room(server))


def test_a_fault_delays_the_work_and_says_why(school: Site, server: SimulatedServer) -> None:
    school.campus.add("1", teacher("ada"))
    report_new(school)
    server.faults = [Unreachable("The homeserver does not answer.")]
    server.answering = False
    work(school)
    row = room_row(school)
    assert (row.status, row.reason, row.lease) == (
        "failing",
        "The homeserver does not answer.",
        None,
    )
    assert row.next_attempt_at is not None
    rest_is_over(school)
    work(school)
    assert room_row(school).status == "ready"
    assert len(server.rooms) == 1


def rest_is_over(school: Site) -> None:
    with school.state.database.write() as connection:
        connection.execute(update(RoomRow).values(next_attempt_at=None))
        connection.execute(update(FoldRow).values(retry_at=None))


def test_a_pause_the_server_asks_for_is_not_an_attempt(
    school: Site, server: SimulatedServer
) -> None:
    school.campus.add("1", teacher("ada"), student("bob"))
    report_new(school)
    server.faults = [None, None, None, RateLimited("Wait.", retry_after_seconds=3.0)]
    work(school)
    row = room_row(school)
    assert row.attempts == 0
    assert row.remote_id is not None
    rest_is_over(school)
    work(school)
    assert len(inside(the_room(server))) == 3
    assert server.calls.count("create") == 1


def test_a_member_who_left_by_himself_stays_out(school: Site, server: SimulatedServer) -> None:
    school.campus.add("1", teacher("ada"), student("bob"))
    report_new(school)
    work(school)
    the_room(server).members["@bob:sim"] = ObservedMember("leave", by_self=True)
    report(school)
    work(school)
    assert "@bob:sim" not in inside(the_room(server))
    assert states(school)["bob"] == "left"


def test_a_course_that_reads_as_empty_is_held_until_somebody_confirms(
    school: Site, server: SimulatedServer
) -> None:
    school.campus.add("1", teacher("ada"), student("bob"))
    report_new(school)
    work(school)
    school.campus.add("1")
    report(school)
    work(school)
    assert room_row(school).status == "held"
    assert len(inside(the_room(server))) == 3
    with school.state.database.write() as connection:
        connection.execute(
            update(RoomRow).values(revision=RoomRow.revision + 1, confirmed_people=["ada", "bob"])
        )
    work(school)
    assert inside(the_room(server)) == {"@bot:sim"}
    assert room_row(school).status == "ready"


def test_suspending_the_only_member_asks_nobody(school: Site, server: SimulatedServer) -> None:
    school.campus.add("1", student("bob"))
    report_new(school)
    work(school)
    school.campus.add("1", Member(person("bob", active=False), Role.PARTICIPANT))
    report_person(school, "bob")
    work(school)
    assert inside(the_room(server)) == {"@bot:sim"}
    assert room_row(school).status == "ready"


def test_a_course_image_is_read_inside_the_app(school: Site, server: SimulatedServer) -> None:
    def read() -> bytes:
        return str(current_app.name).encode()

    school.campus.add("1", teacher("ada"))
    course = school.campus.course_table["1"]
    image = CourseImage("digest", "image/png", read)
    school.campus.course_table["1"] = replace(course, image=image)
    report_new(school)
    work(school)
    assert the_room(server).picture_uri is not None
    assert server.uploads == [b"campus"]


def test_a_room_deleted_on_the_server_is_made_again(school: Site, server: SimulatedServer) -> None:
    school.campus.add("1", teacher("ada"))
    report_new(school)
    work(school)
    server.rooms.clear()
    report(school)
    work(school)
    assert inside(the_room(server)) == {"@bot:sim", "@ada:sim"}
    assert room_row(school).remote_id == the_room(server).id


def test_a_deleted_course_takes_out_the_people_we_added_and_keeps_the_room(
    school: Site, server: SimulatedServer
) -> None:
    school.campus.add("1", teacher("ada"))
    report_new(school)
    work(school)
    the_room(server).members["@guest:sim"] = ObservedMember("join")
    del school.campus.course_table["1"]
    with school.app.app_context():
        school.comm.course_deleted("1")
        school.db.session.commit()
    work(school)
    assert inside(the_room(server)) == {"@bot:sim", "@guest:sim"}
    assert room_row(school).status == "off"


def test_one_account_that_cannot_be_used_stops_nobody_else(
    school: Site, server: SimulatedServer
) -> None:
    server.unusable["@bob:sim"] = "The account is deactivated."
    school.campus.add("1", teacher("ada"), student("bob"), student("cyd"))
    report_new(school)
    work(school)
    assert inside(the_room(server)) == {"@bot:sim", "@ada:sim", "@cyd:sim"}
    assert states(school) == {"ada": "in", "bob": "failing", "cyd": "in"}
    row = room_row(school)
    assert (row.status, row.reason) == ("ready", "1 person could not be added.")


def test_a_person_who_was_suspended_when_enrolled_joins_when_reinstated(
    school: Site, server: SimulatedServer
) -> None:
    away = Member(person("bob", active=False), Role.PARTICIPANT)
    school.campus.add("1", teacher("ada"), away)
    report_new(school)
    work(school)
    assert "@bob:sim" not in inside(the_room(server))
    school.campus.add("1", teacher("ada"), student("bob"))
    report_person(school, "bob")
    work(school)
    assert "@bob:sim" in inside(the_room(server))


def test_a_person_reported_while_the_room_is_worked_on_is_not_missed(
    school: Site, server: SimulatedServer
) -> None:
    school.campus.add("1", teacher("ada"), student("bob"))
    report_new(school)

    def suspend_meanwhile() -> None:
        # The worker has read the course and not written a row of bob yet.
        school.campus.add(
            "1", teacher("ada"), Member(person("bob", active=False), Role.PARTICIPANT)
        )
        report_person(school, "bob")
        Worker(school.state).fold()

    school.campus.after_members = suspend_meanwhile
    work(school)
    assert "@bob:sim" not in inside(the_room(server))


def report_person(school: Site, person_id: str) -> None:
    with school.app.app_context():
        school.comm.person_changed(person_id)
        school.db.session.commit()


def test_two_people_whose_names_map_to_one_account_get_two(
    school: Site, server: SimulatedServer
) -> None:
    school.campus.add("1", student("Bob"), student("bob"))
    report_new(school)
    work(school)
    assert inside(the_room(server)) == {"@bot:sim", "@bob:sim", "@bob-2:sim"}
