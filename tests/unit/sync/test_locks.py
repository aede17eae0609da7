"""Accounts of suspended people are locked where the administrator chose that, and unlocked again:
only accounts that commweb created, and only what it locked itself."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select, update

from commweb import Member, Role
from commweb.account_locks import take
from commweb.accounts import link, retire
from commweb.errors import Refused, Unreachable
from commweb.models import Account, Connection, Event, RoomRow, now
from commweb.settings import Setting
from commweb.sync.seats import adopt as adopt_row
from commweb.sync.worker import Worker
from tests.simulated import OWN, SimulatedProvider, SimulatedServer
from tests.sites import Site, person, student, switched_on, teacher

BOB = "@bob:sim"


@pytest.fixture
def provider(server: SimulatedServer) -> SimulatedProvider:
    made = SimulatedProvider(server)
    made.settings = (Setting("lock_suspended", False),)
    return made


@pytest.fixture
def school(tmp_path: Path, provider: SimulatedProvider, database_url: str) -> Iterator[Site]:
    """Ada teaches Bob and Cyd, and the setting is on."""
    with switched_on(tmp_path, provider, SQLALCHEMY_DATABASE_URI=database_url) as made:
        with made.state.database.write() as connection:
            connected = {"provider": "simulated", "state": "ok", "server_name": "sim"}
            connection.execute(insert(Connection).values(**connected, generation=1, set_at=now()))
        made.campus.add("1", teacher("ada"), student("bob"), student("cyd"))
        with made.app.app_context():
            made.comm.configure("simulated", {"lock_suspended": True})
            made.comm.course_created("1")
            made.db.session.commit()
        work(made)
        yield made


def work(school: Site) -> None:
    worker = Worker(school.state)
    worker.work()
    worker.close()


def says(school: Site, name: str, *, active: bool, report: bool = True) -> None:
    """The host says whether somebody is active, and reports it."""
    campus = school.campus
    if active:
        campus.suspended.discard(name)
    else:
        campus.suspended.add(name)
    campus.member_table["1"] = [
        Member(person(one.person.id, active=one.person.id not in campus.suspended), one.role)
        for one in campus.member_table["1"]
    ]
    with school.app.app_context():
        if report:
            school.comm.person_changed(name)
        school.db.session.commit()


def row(school: Site, name: str = "bob") -> Any:
    with school.state.database.read() as connection:
        return connection.execute(select(Account).where(Account.person_id == name)).one()


def set_row(school: Site, **values: Any) -> None:
    with school.state.database.write() as connection:
        connection.execute(update(Account).where(Account.person_id == "bob").values(**values))


def inside(server: SimulatedServer) -> set[str]:
    (room,) = server.rooms.values()
    return {remote for remote in room.members if room.is_in(remote)} - {OWN}


def told(school: Site) -> list[tuple[str, dict[str, Any]]]:
    with school.state.database.read() as connection:
        query = select(Event.action, Event.detail).where(Event.action.like("account.%locked"))
        return [tuple(found) for found in connection.execute(query.order_by(Event.id))]


def test_the_account_of_a_suspended_person_is_locked_and_unlocked_again(
    school: Site, server: SimulatedServer
) -> None:
    says(school, "bob", active=False)
    work(school)
    assert server.locked == {BOB}
    assert inside(server) == {"@ada:sim", "@cyd:sim"}
    assert row(school).locked_at is not None
    says(school, "bob", active=True)
    work(school)
    assert server.locked == set()
    assert inside(server) == {"@ada:sim", BOB, "@cyd:sim"}
    assert (row(school).locked_at, row(school).lock_asked, row(school).lock_until) == (
        None,
        False,
        None,
    )
    detail = {"account": BOB, "person": "bob"}
    assert told(school) == [("account.locked", detail), ("account.unlocked", detail)]


def test_as_long_as_the_setting_is_off_nobody_is_locked(
    school: Site, server: SimulatedServer
) -> None:
    with school.app.app_context():
        school.comm.configure("simulated", {"lock_suspended": False})
    says(school, "bob", active=False)
    work(school)
    assert server.locked == set()
    assert "examine" not in server.calls


def test_turning_the_setting_on_locks_who_is_suspended_and_off_unlocks_what_was_locked(
    school: Site, server: SimulatedServer
) -> None:
    with school.app.app_context():
        school.comm.configure("simulated", {"lock_suspended": False})
    says(school, "bob", active=False)
    work(school)
    with school.app.app_context():
        school.comm.configure("simulated", {"lock_suspended": True})
    work(school)
    assert server.locked == {BOB}
    with school.app.app_context():
        school.comm.configure("simulated", {"lock_suspended": False})
    work(school)
    assert server.locked == set()


@pytest.mark.parametrize(
    "values",
    [
        {"origin": "proven"},
        {"origin": "claim"},
        {"origin": "trusted_name"},
        {"origin": "host"},
        {"origin": "named"},
        {"made_user_id": None},
        {"made_user_id": "@another:sim"},
    ],
)
def test_an_account_that_commweb_did_not_create_is_never_locked(
    school: Site, server: SimulatedServer, values: dict[str, Any]
) -> None:
    set_row(school, **values, lock_asked=True)
    says(school, "bob", active=False)
    work(school)
    assert server.locked == set()
    assert "lock" not in server.calls
    assert row(school).locked_at is None


def test_an_account_that_was_proven_after_it_was_created_is_never_locked(
    school: Site, server: SimulatedServer
) -> None:
    server.accounts["@mine:sim"] = "Mine"
    with school.state.database.write() as connection:
        link(connection, "simulated", "bob", "@mine:sim", server="sim")
    says(school, "bob", active=False)
    work(school)
    assert server.locked == set()


def test_a_server_administrator_is_never_locked(school: Site, server: SimulatedServer) -> None:
    server.admins.add(BOB)
    says(school, "bob", active=False)
    work(school)
    assert "lock" not in server.calls
    assert row(school).locked_at is None


def test_the_sites_own_account_is_never_locked(school: Site, server: SimulatedServer) -> None:
    set_row(school, remote_user_id=OWN, made_user_id=OWN)
    server.accounts[OWN] = "Bot"
    says(school, "bob", active=False)
    work(school)
    assert server.locked == set()


def test_what_somebody_else_locked_stays_locked(school: Site, server: SimulatedServer) -> None:
    server.locked.add(BOB)
    says(school, "bob", active=False)
    work(school)
    assert row(school).locked_at is None
    says(school, "bob", active=True)
    work(school)
    assert server.locked == {BOB}
    assert "unlock" not in server.calls


def test_a_person_who_is_gone_is_neither_locked_nor_unlocked(
    school: Site, server: SimulatedServer
) -> None:
    says(school, "bob", active=False)
    work(school)
    school.campus.gone.add("bob")
    says(school, "bob", active=True)
    work(school)
    assert server.locked == {BOB}
    with school.state.database.write() as connection:
        retire(connection, "bob")
    with school.state.database.write() as connection:
        assert take(connection, "simulated", "sim") == []


def test_a_host_that_fails_to_answer_locks_nobody_and_is_asked_again(
    school: Site, server: SimulatedServer
) -> None:
    says(school, "bob", active=False)
    school.campus.broken = True
    work(school)
    assert server.locked == set()
    assert (row(school).lock_asked, row(school).lock_until) == (True, None)
    school.campus.broken = False
    work(school)
    assert server.locked == {BOB}


def test_a_server_that_is_down_is_asked_again_and_what_was_sent_counts_as_ours(
    school: Site, server: SimulatedServer
) -> None:
    says(school, "bob", active=False)
    server.faults = [None, Unreachable("no answer")]
    work(school)
    assert server.calls[-1] != "lock" or server.locked == set()
    assert row(school).locked_at is not None, "the server may have locked it"
    assert row(school).lock_asked
    server.locked.add(BOB)  # it has
    work(school)
    assert row(school).lock_asked is False
    says(school, "bob", active=True)
    work(school)
    assert server.locked == set()


def test_a_fault_of_locking_does_not_stop_the_rooms(
    school: Site, server: SimulatedServer, provider: SimulatedProvider
) -> None:
    def broken(*_given: object) -> None:
        raise RuntimeError("a bug")

    provider.people = broken  # type: ignore[assignment]
    school.campus.member_table["1"].append(student("dan"))
    says(school, "bob", active=False)
    with school.app.app_context():
        school.comm.course_changed("1")
        school.db.session.commit()
    work(school)
    assert inside(server) == {"@ada:sim", "@cyd:sim", "@dan:sim"}
    assert row(school).lock_asked


def test_a_definite_no_is_told_once_and_nothing_counts_as_locked(
    school: Site, server: SimulatedServer
) -> None:
    says(school, "bob", active=False)
    server.faults = [None, Refused("An authentication service does that.", status=403)]
    work(school)
    assert server.locked == set()
    assert row(school).locked_at is None
    assert row(school).lock_until > now() + timedelta(minutes=50)
    work(school)
    assert server.locked == set(), "it rests"
    (event,) = told(school)
    assert event[0] == "account.not_locked"
    assert event[1]["reason"] == "An authentication service does that."
    set_row(school, lock_until=now())
    work(school)
    assert server.locked == {BOB}


def test_a_suspension_that_nobody_reported_is_found_by_the_next_sync(
    school: Site, server: SimulatedServer
) -> None:
    says(school, "bob", active=False, report=False)
    with school.state.database.write() as connection:
        connection.execute(update(RoomRow).values(revision=RoomRow.revision + 1))
    work(school)
    work(school)
    assert server.locked == {BOB}
    says(school, "bob", active=True, report=False)
    with school.state.database.write() as connection:
        connection.execute(update(RoomRow).values(revision=RoomRow.revision + 1))
    work(school)
    work(school)
    work(school)
    assert server.locked == set()
    assert BOB in inside(server)


def test_only_one_worker_is_at_an_account_and_a_killed_one_loses_it(
    school: Site, server: SimulatedServer
) -> None:
    says(school, "bob", active=False)
    set_row(school, lock_asked=True)
    database = school.state.database
    with database.write() as connection:
        assert [one.person_id for one in take(connection, "simulated", "sim")] == ["bob"]
    set_row(school, lock_asked=True)  # reported once more meanwhile
    with database.write() as connection:
        assert take(connection, "simulated", "sim") == []
    set_row(school, lock_asked=False, lock_until=now() - timedelta(seconds=1))
    with database.write() as connection:
        assert [one.person_id for one in take(connection, "simulated", "sim")] == ["bob"]


def test_a_person_made_again_gets_the_account_back_unlocked(
    school: Site, server: SimulatedServer
) -> None:
    says(school, "bob", active=False)
    work(school)
    with school.state.database.write() as connection:
        retire(connection, "bob")
        gone = connection.execute(
            select(Account.person_id).where(Account.remote_user_id == BOB)
        ).scalar_one()
        adopt_row(connection, "simulated", gone, "robert", "sim")
    work(school)
    assert server.locked == set()


def test_a_lock_does_not_keep_a_teacher_out(school: Site, server: SimulatedServer) -> None:
    says(school, "ada", active=False)
    work(school)
    assert server.locked == {"@ada:sim"}
    assert Role.MODERATOR in {one.role for one in school.campus.member_table["1"]}
    says(school, "ada", active=True)
    work(school)
    assert "@ada:sim" in inside(server)
