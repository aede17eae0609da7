"""Rooms taken for a process: how many at once, each handed out once, given back at the end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, insert, select, update

from commweb.models import RoomRow
from commweb.sync.claims import Claims
from tests.simulated import SimulatedProvider, SimulatedServer
from tests.sites import Site, switched_on
from tests.unit.sync.folding import SIM, write


@pytest.fixture
def school(tmp_path: Path, server: SimulatedServer) -> Iterator[Site]:
    with switched_on(tmp_path, SimulatedProvider(server)) as made:
        yield made


def add_rooms(school: Site, count: int) -> None:
    found = [{"course_id": str(number), "provider": SIM} for number in range(count)]
    write(school, insert(RoomRow).values(found))


def test_rooms_given_back_are_free_unless_somebody_else_has_them_by_now(school: Site) -> None:
    add_rooms(school, 16)
    claims = Claims(school.state.database, "me")
    begun = claims.take([SIM])
    assert begun is not None
    assert {row.lease for row in leased(school)} == {"me-1"}
    assert len(leased(school)) == 2, "an eighth of what is due"
    another = update(RoomRow).where(RoomRow.id == begun.room_id).values(lease="another")
    write(school, another)
    claims.give_back(begun)
    claims.give_back_waiting()
    assert [(row.id, row.lease) for row in leased(school)] == [(begun.room_id, "another")]
    again = claims.take([SIM])
    assert again is not None
    assert again.holder == "me-2", "never the name of an earlier claim"


def leased(school: Site) -> list[Any]:
    with school.state.database.read() as connection:
        query = select(RoomRow.id, RoomRow.lease, RoomRow.lease_until)
        return list(connection.execute(query.where(RoomRow.lease.is_not(None))).all())


def test_a_claim_takes_an_eighth_of_a_hundred_at_most_and_each_is_handed_out_once(
    school: Site,
) -> None:
    add_rooms(school, 120)
    claims = Claims(school.state.database, "me")
    assert claims.take([]) is None
    taken = [claims.take([SIM]) for _time in range(13)]
    assert len({one.room_id for one in taken if one}) == 13
    assert len(leased(school)) == 13
    claims.take([SIM])
    assert len(leased(school)) == 26


def test_nothing_is_written_where_nothing_is_due_or_waits(school: Site) -> None:
    statements: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_more: Any) -> None:
        statements.append(statement.split(maxsplit=1)[0])

    claims = Claims(school.state.database, "me")
    event.listen(school.state.database.engine, "before_cursor_execute", note)
    assert claims.take([SIM]) is None
    claims.give_back_waiting()
    assert set(statements) <= {"SELECT", "BEGIN"}


def test_one_room_is_claimed_where_one_is_due_and_another_name_is_used_next(school: Site) -> None:
    add_rooms(school, 1)
    claims = Claims(school.state.database, "me")
    first = claims.take([SIM])
    assert first is not None
    assert first.holder == "me-1"
    assert claims.take([SIM]) is None
    claims.give_back(first)
    again = claims.take([SIM])
    assert again is not None
    assert (again.room_id, again.holder) == (first.room_id, "me-2")
