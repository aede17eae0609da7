"""A confirmation covers what it named, once, and is neither lost nor kept for later."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from commweb.models import RoomRow
from commweb.sync.confirming import confirm_choice, withdraw
from commweb.sync.worker import Worker
from tests.simulated import SimulatedProvider, SimulatedServer
from tests.sites import Site, student, switched_on, teacher


@pytest.fixture
def school(tmp_path: Path, server: SimulatedServer) -> Iterator[Site]:
    with switched_on(tmp_path, SimulatedProvider(server)) as made:
        made.campus.add("1", teacher("ada"), *(student(f"s{n:02}") for n in range(12)))
        with made.app.app_context():
            made.comm.course_created("1")
            made.db.session.commit()
        work(made)
        yield made


def work(school: Site) -> None:
    worker = Worker(school.state)
    worker.work()
    worker.close()


def enrolled(school: Site, *names: str) -> None:
    """Only these are in the course now, and the worker knows."""
    school.campus.member_table["1"] = [teacher("ada"), *map(student, names)]
    with school.app.app_context():
        school.comm.course_changed("1")
        school.db.session.commit()
    work(school)


def room(school: Site) -> Any:
    with school.state.database.read() as connection:
        return connection.execute(select(RoomRow)).one()


def confirm(school: Site, *people: str) -> None:
    with school.state.database.write() as connection:
        values = {"confirmed_people": list(people), "revision": RoomRow.revision + 1}
        connection.execute(update(RoomRow).values(**values))


def inside(server: SimulatedServer) -> set[str]:
    (only,) = server.rooms.values()
    return {key[1:-4] for key, seen in only.members.items() if seen.membership == "join"}


def test_people_who_were_confirmed_leave_while_others_are_held(
    school: Site, server: SimulatedServer
) -> None:
    enrolled(school, "s00", "new")
    assert room(school).status == "held"
    assert inside(server) >= {"s01", "s11", "new"}, "who is new is let in meanwhile"
    confirm(school, "s01", "s02")
    work(school)
    assert room(school).status == "held"
    assert not inside(server) & {"s01", "s02"}
    assert {"s03", "s11"} <= inside(server)


def test_a_confirmation_counts_once(school: Site, server: SimulatedServer) -> None:
    enrolled(school)
    confirm(school, *room(school).held_people)
    work(school)
    assert inside(server) == {"bot", "ada"}
    assert room(school).confirmed_people == []


def test_what_is_confirmed_while_the_room_is_synced_is_not_lost(
    school: Site, server: SimulatedServer
) -> None:
    def decide() -> None:
        confirm_everything(school)
        school.campus.member_table["1"] = [teacher("ada")]

    school.campus.after_members = decide
    with school.app.app_context():
        school.comm.course_changed("1")
        school.db.session.commit()
    work(school)
    assert inside(server) == {"bot", "ada"}


def confirm_everything(school: Site) -> None:
    """Somebody confirms what a choice does, just after the worker read the course."""
    with school.state.database.write() as connection:
        rooms = connection.execute(select(RoomRow.id)).scalars().all()
        confirm_choice(connection, rooms)


def test_a_choice_that_was_taken_back_confirms_nothing(
    school: Site, server: SimulatedServer
) -> None:
    confirm_everything(school)
    with school.state.database.write() as connection:
        withdraw(connection, "1", closing=())
    enrolled(school)
    assert room(school).status == "held"
    assert "s05" in inside(server)
