"""Whose account it is, from the rows to the room: proofs, claims and single sign-on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select, update

from commweb import Member
from commweb.account_rows import account_of
from commweb.accounts import CLAIM, link
from commweb.models import Account, now
from commweb.sync.worker import Worker
from tests.simulated import SimulatedProvider, SimulatedServer
from tests.sites import Site, student, switched_on, teacher
from tests.unit.sync.engine import Course

X = "@x:sim"
SIM = "simulated"


@pytest.fixture
def course(tmp_path: Path, server: SimulatedServer) -> Iterator[Course]:
    server.accounts[X] = "Somebody"
    with switched_on(tmp_path, SimulatedProvider(server)) as made:
        yield Course(made, server)


def given(course: Course, person_id: str, origin: str, **values: Any) -> None:
    """The person has the account X from there."""
    row = {"provider": SIM, "server_name": "sim", "person_id": person_id, "display_name": ""}
    row |= {"remote_user_id": X, "origin": origin, "checked_at": now(), **values}
    row["made_user_id"] = X if origin == "created" else None
    with course.site.state.database.write() as connection:
        connection.execute(insert(Account).values(**row))


def proves(course: Course, person_id: str, origin: str = "proven") -> bool:
    with course.site.state.database.write() as connection:
        return link(connection, SIM, person_id, X, server="sim", origin=origin)


def account(course: Course, person_id: str) -> tuple[str, str]:
    with course.site.state.database.read() as connection:
        record = account_of(connection, SIM, person_id, "sim")
    assert record is not None
    return record.remote_user_id, record.source


def a_day_passes(site: Site) -> None:
    with site.state.database.write() as connection:
        long_ago = now() - timedelta(days=2)
        has = Account.checked_at.is_not(None)
        connection.execute(update(Account).where(has).values(checked_at=long_ago))


def signing_on(member: Member, external_id: str) -> Member:
    return replace(member, person=replace(member.person, external_id=external_id))


@pytest.mark.parametrize("origin", ["linked", "external_id", "created", "claim", "trusted_name"])
def test_a_proof_moves_account_seat_and_level_and_the_other_person_gets_another(
    course: Course, server: SimulatedServer, origin: str
) -> None:
    given(course, "ada", origin)
    server.single_sign_on = {"7": X} if origin == "external_id" else {}
    everybody = signing_on(teacher("ada"), "7"), student("bob")
    course.create(*everybody)
    assert course.room.levels == {X: 50}
    assert proves(course, "bob")
    course.work()
    course.sync()
    assert account(course, "bob") == (X, "proven")
    assert account(course, "ada") == ("@ada:sim", "created")
    assert course.inside == {"ada", "x"}
    assert course.room.levels == {"@ada:sim": 50}
    assert course.states == {"ada": "in", "bob": "in"}


@pytest.mark.parametrize("origin", ["claim", "trusted_name"])
def test_the_account_of_a_single_sign_on_is_taken_from_whoever_only_guessed(
    course: Course, server: SimulatedServer, origin: str
) -> None:
    given(course, "bob", origin)
    server.single_sign_on = {"7": X}
    course.create(student("bob"))
    assert course.inside == {"x"}
    course.enrol(signing_on(teacher("ada"), "7"), student("bob"))
    course.sync()
    assert account(course, "ada") == (X, "external_id")
    assert account(course, "bob") == ("@bob:sim", "created")
    assert course.inside == {"x", "bob"}
    assert course.room.levels == {X: 50}


def test_a_single_sign_on_that_opens_what_somebody_proved_keeps_nobody_out(
    course: Course, server: SimulatedServer
) -> None:
    proves(course, "bob")
    server.single_sign_on = {"7": X}
    course.create(signing_on(student("ada"), "7"), student("bob"))
    assert course.states == {"ada": "in", "bob": "in"}
    assert (account(course, "ada")[0], account(course, "bob")[0]) == ("@ada:sim", X)
    said = "The single sign-on of Ada already opens another account than @ada:sim."
    assert said in (course.row.reason or "")


def test_a_claimed_account_that_becomes_an_administrators_is_given_up(
    course: Course, server: SimulatedServer
) -> None:
    proves(course, "ada", CLAIM)
    course.create(teacher("ada"))
    assert course.inside == {"x"}
    server.admins.add(X)
    a_day_passes(course.site)
    course.sync()
    course.sync()
    assert account(course, "ada") == ("@ada:sim", "created")
    assert course.inside == {"ada"}
    assert course.room.levels == {"@ada:sim": 50}


def test_an_administrators_account_that_was_claimed_before_comes_into_no_room(
    course: Course, server: SimulatedServer
) -> None:
    server.admins.add(X)
    given(course, "ada", CLAIM)
    course.create(teacher("ada"))
    assert X not in course.room.members
    course.sync()
    course.sync()
    assert course.inside == {"ada"}
    assert X not in course.room.levels


def test_a_claim_is_looked_at_once_a_day(course: Course, server: SimulatedServer) -> None:
    proves(course, "ada", CLAIM)
    course.create(student("ada"))
    a_day_passes(course.site)
    server.calls.clear()
    for _again in range(3):
        course.sync()
    assert server.calls.count("ensure_account") == 1


def test_a_trusted_name_that_became_an_administrators_waits_for_a_proof(
    course: Course, server: SimulatedServer
) -> None:
    given(course, "ada", "trusted_name", checked_at=None)
    server.admins.add(X)
    course.create(student("ada"))
    assert account(course, "ada") == (X, "named")
    assert course.inside == set()
    course.sync()
    assert course.states == {"ada": "waiting"}
    assert X in (course.reason("ada") or "")


def test_who_proves_the_account_of_somebody_gone_gets_it(course: Course) -> None:
    given(course, "ada", "created")
    with course.site.app.app_context():
        course.site.comm.person_deleted("ada")
        course.site.db.session.commit()
    Worker(course.site.state).work()
    assert not proves(course, "bob", CLAIM)
    assert proves(course, "bob")
    with course.site.state.database.read() as connection:
        people = connection.execute(select(Account.person_id)).scalars().all()
    assert people == ["bob"]
