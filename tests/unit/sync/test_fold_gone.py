"""Courses and people that are gone, and people who had left."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import insert, select, update

from commweb import Member, Person, Role
from commweb.models import (
    Account,
    AccountConsent,
    AccountProof,
    Change,
    CourseChoice,
    MemberRow,
    RoomRow,
    now,
)
from commweb.providers.rooms import ObservedMember
from commweb.sync.changes import fold
from commweb.sync.choices import store_choice
from commweb.sync.reports import append
from tests.simulated import SimulatedProvider, SimulatedRoom, SimulatedServer
from tests.sites import Site, student, switched_on, teacher
from tests.unit.sync.folding import SIM, counted, create, report, rows, work, write


@pytest.fixture
def school(tmp_path: Path, server: SimulatedServer, database_url: str) -> Iterator[Site]:
    provider = SimulatedProvider(server)
    with switched_on(tmp_path, provider, SQLALCHEMY_DATABASE_URI=database_url) as made:
        yield made


def room_of(server: SimulatedServer, remote_id: str) -> SimulatedRoom:
    return server.rooms[remote_id]


def test_a_course_that_is_gone_unreported_keeps_its_room_and_is_asked_about(
    school: Site, server: SimulatedServer
) -> None:
    create(school, "1")
    work(school)
    gone = school.campus.course_table.pop("1")
    report(school, "course_changed", "1")
    fold(school.state)
    assert rows(school, RoomRow.wanted, RoomRow.course_gone) == [(True, "unreported")]
    work(school)
    (room,) = server.rooms.values()
    assert room.is_in("@ada:sim")
    assert room.is_in("@bob:sim")
    assert rows(school, RoomRow.wanted, RoomRow.status) == [(True, "held")]
    school.campus.course_table["1"] = gone
    report(school, "course_changed", "1")
    work(school)
    assert rows(school, RoomRow.wanted, RoomRow.status, RoomRow.course_gone) == [
        (True, "ready", "")
    ]


def test_a_course_that_was_reported_deleted_is_closed_even_if_it_was_missed_first(
    school: Site, server: SimulatedServer
) -> None:
    create(school, "1")
    work(school)
    del school.campus.course_table["1"]
    report(school, "course_changed", "1")
    work(school)
    report(school, "course_deleted", "1")
    work(school)
    (room,) = server.rooms.values()
    assert not room.is_in("@ada:sim")
    assert not room.is_in("@bob:sim")
    assert rows(school, RoomRow.wanted, RoomRow.status, RoomRow.course_gone) == [
        (False, "off", "reported")
    ]
    assert rows(school, CourseChoice.course_id) == []


def test_a_deletion_that_the_host_took_back_closes_nothing(
    school: Site, server: SimulatedServer
) -> None:
    create(school, "1")
    work(school)
    report(school, "course_deleted", "1")
    report(school, "course_changed", "1")
    work(school)
    assert rows(school, RoomRow.wanted, RoomRow.status, RoomRow.course_gone) == [
        (True, "ready", "")
    ]


@pytest.mark.parametrize("between", [True, False], ids=["folded between", "in one fold"])
def test_a_new_course_with_the_id_of_a_deleted_one_gets_nothing_of_it(
    school: Site, server: SimulatedServer, between: bool
) -> None:
    create(school, "1")
    with school.state.database.write() as connection:
        store_choice(connection, "1", "", provider=SIM, options={SIM: {"name": "The secret room"}})
    work(school)
    ((old,),) = rows(school, RoomRow.remote_id)
    del school.campus.course_table["1"]
    report(school, "course_deleted", "1")
    if between:
        work(school)
    school.campus.add("1", teacher("cyd"), name="Botany")
    report(school, "course_created", "1")
    work(school)
    found = rows(school, RoomRow.id, RoomRow.wanted, RoomRow.status, RoomRow.remote_id)
    assert [row[1:3] for row in found] == [(False, "off"), (True, "ready")]
    assert found[1].remote_id not in (None, old)
    new = room_of(server, found[1].remote_id)
    assert new.name == "Botany"
    assert not new.is_in("@bob:sim")
    assert not room_of(server, old).is_in("@bob:sim")
    assert not room_of(server, old).is_in("@cyd:sim")


def test_a_course_created_again_without_a_room_gets_none(school: Site) -> None:
    create(school, "1")
    work(school)
    del school.campus.course_table["1"]
    report(school, "course_deleted", "1")
    school.campus.add("1", teacher("cyd"))
    with school.app.app_context():
        school.comm.course_created("1", provider=None)
        school.db.session.commit()
    work(school)
    assert rows(school, RoomRow.wanted) == [(False,)]


def test_three_courses_with_one_id_have_three_rooms(school: Site, server: SimulatedServer) -> None:
    for _time in range(3):
        create(school, "1")
        work(school)
        del school.campus.course_table["1"]
        report(school, "course_deleted", "1")
        work(school)
    assert len(server.rooms) == 3
    assert rows(school, RoomRow.status) == [("off",)] * 3


def test_a_person_who_is_gone_leaves_nothing_to_the_next_with_the_same_id(school: Site) -> None:
    create(school, "1")
    work(school)
    at = now()
    with school.state.database.write() as connection:
        agreed = {"provider": SIM, "person_id": "bob", "agreed_at": at}
        connection.execute(insert(AccountConsent).values(**agreed))
        code = {"provider": SIM, "person_id": "bob", "remote_user_id": "@x:sim", "code_hash": ""}
        connection.execute(
            insert(AccountProof).values(**code, sent_at=at, expires_at=at, tries_left=3)
        )
    revisions = rows(school, RoomRow.revision)
    report(school, "person_deleted", "bob")
    fold(school.state)
    assert rows(school, AccountConsent.person_id) == rows(school, AccountProof.person_id) == []
    kept = {row.remote_user_id: row for row in rows(school, Account.remote_user_id,
            Account.person_id, Account.retired_at)}  # fmt: skip
    assert kept["@bob:sim"].retired_at is not None
    assert kept["@bob:sim"].person_id != "bob"
    assert kept["@ada:sim"].retired_at is None
    assert rows(school, RoomRow.revision) > revisions
    assert rows(school, Change.id) == []


def test_a_person_is_looked_at_in_every_room_without_asking_the_host_for_courses(
    school: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    create(school, "1", "2")
    work(school)
    school.campus.add("3", teacher("cyd"))
    report(school, "course_created", "3")
    work(school)
    asked = counted(school, monkeypatch)
    report(school, "person_changed", "bob")
    assert fold(school.state) == 1
    due = rows(school, RoomRow.course_id, RoomRow.synced_revision < RoomRow.revision)
    assert due == [("1", True), ("2", True), ("3", False)]
    assert asked == []


@pytest.mark.parametrize("kind", ["course_changed", "person_changed"])
@pytest.mark.parametrize("left", [True, False], ids=["work left", "nothing left"])
def test_a_closed_room_is_asked_for_by_a_report_while_it_has_work_left(
    school: Site, kind: str, left: bool
) -> None:
    create(school, "1")
    work(school)
    with school.state.database.write() as connection:
        store_choice(connection, "1", "", provider="")
        append(connection, ["1"])
    work(school)
    # Closed; somebody could not be removed, and that is tried again in a while.
    rests = now() + timedelta(hours=1)
    values = {"next_attempt_at": rests, "synced_revision": RoomRow.revision - int(left)}
    write(school, update(RoomRow).values(**values))
    ((before,),) = rows(school, RoomRow.revision)
    report(school, kind, "1" if kind == "course_changed" else "bob")
    fold(school.state)
    ((revision, until, wanted),) = rows(
        school, RoomRow.revision, RoomRow.next_attempt_at, RoomRow.wanted
    )
    assert not wanted
    assert (revision > before) is left
    assert (until < rests) is left, "what waits for an hour is tried now"


def leave(server: SimulatedServer, account: str) -> SimulatedRoom:
    (room,) = server.rooms.values()
    room.members[account] = replace(room.members[account], membership="leave", by_self=True)
    return room


def enrol(school: Site, *names: str) -> None:
    school.campus.add("1", teacher("ada"), *(student(name) for name in names))
    report(school, "course_changed", "1")


def test_who_left_comes_back_by_being_enrolled_anew_although_no_sync_came_between(
    school: Site, server: SimulatedServer
) -> None:
    create(school, "1")
    work(school)
    room = leave(server, "@bob:sim")
    enrol(school, "bob", "cyd")
    work(school)
    assert dict(rows(school, MemberRow.person_id, MemberRow.state))["bob"] == "left"
    enrol(school, "cyd")
    fold(school.state)  # the homeserver is away for a while
    enrol(school, "bob", "cyd")
    work(school)
    assert room.is_in("@bob:sim")


def test_who_left_stays_out_while_nobody_enrols_them_anew(
    school: Site, server: SimulatedServer
) -> None:
    create(school, "1")
    work(school)
    room = leave(server, "@bob:sim")
    enrol(school, "bob", "cyd")
    work(school)
    enrol(school, "bob")
    work(school)
    with school.state.database.write() as connection:
        store_choice(connection, "1", "", provider="")
        append(connection, ["1"])
    work(school)
    with school.state.database.write() as connection:
        store_choice(connection, "1", "", provider=SIM)
        append(connection, ["1"])
    work(school)
    assert rows(school, RoomRow.wanted) == [(True,)]
    assert not room.is_in("@bob:sim")
    assert dict(rows(school, MemberRow.person_id, MemberRow.state))["bob"] == "left"


def test_the_members_are_read_only_if_somebody_left(
    school: Site, server: SimulatedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    create(school, "1")
    work(school)
    asked: list[str] = []
    original = school.campus.members
    monkeypatch.setattr(school.campus, "members", lambda key: asked.append(key) or original(key))
    report(school, "course_changed", "1")
    fold(school.state)
    assert asked == []


@pytest.mark.parametrize("state", ["left", "kicked"])
def test_a_new_person_with_the_id_of_one_who_had_left_comes_in(
    school: Site, server: SimulatedServer, state: str
) -> None:
    """Deleted and created again in one transaction, enrolled in the same course."""
    create(school, "1")
    work(school)
    (room,) = server.rooms.values()
    by = "@bob:sim" if state == "left" else "@ada:sim"
    room.members["@bob:sim"] = ObservedMember("leave", by_self=state == "left", by=by)
    enrol(school, "bob")
    work(school)
    assert dict(rows(school, MemberRow.person_id, MemberRow.state))["bob"] == state
    with school.app.app_context():
        school.comm.person_deleted("bob")
        school.comm.course_changed("1")
        school.db.session.commit()
    work(school)
    assert room.is_in("@bob-2:sim")
    assert not room.is_in("@bob:sim")


def test_a_new_person_whose_predecessors_end_nobody_reported_comes_in_too(
    school: Site, server: SimulatedServer
) -> None:
    campus = school.campus
    bob = Person("7", "bob", "Bob", external_id="bob@school.example")
    for course_id in ("1", "2"):
        campus.add(course_id, teacher("ada"), Member(bob, Role.PARTICIPANT))
    report(school, "course_created", "1", "2")
    work(school)
    for room in server.rooms.values():
        room.members["@bob:sim"] = ObservedMember("leave", by_self=True, by="@bob:sim")
    report(school, "course_changed", "1", "2")
    work(school)
    cyd = Person("7", "cyd", "Cyd", external_id="cyd@school.example")
    for course_id in ("1", "2"):
        campus.add(course_id, teacher("ada"), Member(cyd, Role.PARTICIPANT))
    report(school, "course_changed", "1", "2")
    work(school)
    assert [room.is_in("@cyd:sim") for room in server.rooms.values()] == [True, True]


def test_a_course_deleted_and_created_in_one_transaction_is_the_new_one(
    school: Site, server: SimulatedServer
) -> None:
    create(school, "1")
    work(school)
    ((old,),) = rows(school, RoomRow.remote_id)
    school.campus.add("1", teacher("cyd"), name="Botany")
    with school.app.app_context():
        school.comm.course_deleted("1")
        school.comm.course_created("1")
        school.db.session.commit()
    work(school)
    found = rows(school, RoomRow.id, RoomRow.wanted, RoomRow.status, RoomRow.remote_id)
    assert [row[1:3] for row in found] == [(False, "off"), (True, "ready")]
    assert not room_of(server, old).is_in("@bob:sim")
    assert room_of(server, found[1].remote_id).name == "Botany"


def test_a_course_created_again_that_the_host_does_not_show_yet_is_not_forgotten(
    school: Site, server: SimulatedServer
) -> None:
    """The host reads from a copy of its database that is behind."""
    create(school, "1")
    work(school)
    del school.campus.course_table["1"]
    report(school, "course_deleted", "1")
    report(school, "course_created", "1")
    work(school)
    assert rows(school, RoomRow.wanted, RoomRow.status) == [(False, "off")]
    assert rows(school, CourseChoice.provider) == [(SIM,)]
    school.campus.add("1", teacher("cyd"), name="Botany")
    with school.state.database.write() as connection:
        append(connection, ["1"], "drift")
    work(school)
    assert sorted(rows(school, RoomRow.wanted, RoomRow.status)) == [(False, "off"), (True, "ready")]


def test_a_person_in_five_hundred_rooms_is_looked_at_in_each(school: Site) -> None:
    with school.state.database.write() as connection:
        rooms = [
            {"course_id": str(number), "group_id": "", "provider": SIM, "wanted": True,
             "revision": 1, "synced_revision": 1}
            for number in range(1001)
        ]  # fmt: skip
        connection.execute(insert(RoomRow), rooms)
        ids = connection.execute(select(RoomRow.id)).scalars().all()
        people = [
            {"room_id": one, "person_id": "bob", "display_name": "Bob", "state": "in"}
            for one in ids
        ]
        connection.execute(insert(MemberRow), people)
    report(school, "person_changed", "bob")
    assert fold(school.state) == 1
    assert set(rows(school, RoomRow.synced_revision < RoomRow.revision)) == {(True,)}
