"""Which due room is claimed first, and rests that end later than any may."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, insert, select, update

from commweb.models import Connection, FoldRow, RoomRow, now
from commweb.priority import Priority
from commweb.sync.changes import fold
from commweb.sync.claims import Claims
from commweb.sync.records import PATIENCE, claim, due
from commweb.sync.schedule import soonest
from commweb.sync.sweep import Sweep
from commweb.sync.worker import Worker
from tests.simulated import SimulatedProvider, SimulatedServer
from tests.sites import Site, switched_on
from tests.unit.sync.folding import SIM, create, rows, work, write

WAITING = {
    "changed": {"priority": Priority.REPORTED},
    "just added, by a version that knew no priorities": {"next_attempt_at": None},
    "settings changed": {"priority": Priority.SETTINGS},
    "drift": {"priority": Priority.DRIFT},
    "failing": {"priority": Priority.FAILING, "attempts": 3},
    "backfill": {"priority": Priority.BACKFILL},
    "backfill, for hours": {
        "priority": Priority.BACKFILL,
        "next_attempt_at": now() - timedelta(hours=3),
    },
}


@pytest.fixture
def school(tmp_path: Path, server: SimulatedServer, database_url: str) -> Iterator[Site]:
    provider = SimulatedProvider(server)
    with switched_on(tmp_path, provider, SQLALCHEMY_DATABASE_URI=database_url) as made:
        yield made


def add_rooms(school: Site, count: int, name: str = "old", **values: Any) -> None:
    given = {"next_attempt_at": now() - timedelta(minutes=5), "priority": 0, "attempts": 0}
    given |= {
        key: int(value) if isinstance(value, Priority) else value for key, value in values.items()
    }
    found = [{"course_id": f"{name}{number}", "provider": SIM, **given} for number in range(count)]
    with school.state.database.write() as connection:
        connection.execute(insert(RoomRow), found)


def claimed(school: Site, limit: int) -> list[str]:
    """The courses of the rooms that a claim takes, in its order."""
    with school.state.database.write() as connection:
        ids = claim(connection, "me", [SIM], limit)
        found = select(RoomRow.id, RoomRow.course_id).where(RoomRow.id.in_(ids))
        names = {row.id: row.course_id for row in connection.execute(found)}
    return [names[room_id] for room_id in ids]


@pytest.mark.parametrize("waiting", WAITING)
def test_a_new_course_is_in_the_first_claim_although_10000_rooms_are_due(
    school: Site, waiting: str
) -> None:
    add_rooms(school, 10_000, **WAITING[waiting])
    create(school, "new")
    fold(school.state)
    claims = Claims(school.state.database, "me")
    taken = [claims.take([SIM]) for _place in range(2)]  # the second of 13 that are claimed
    ((new,),) = rows_of_new(school)
    assert new in [one.room_id for one in taken if one]


def rows_of_new(school: Site) -> list[Any]:
    with school.state.database.read() as connection:
        query = select(RoomRow.id).where(RoomRow.course_id == "new")
        return list(connection.execute(query).all())


def test_rooms_are_claimed_by_priority_and_then_by_who_waits_longest(school: Site) -> None:
    at = now()
    for name, priority, minutes in (
        ("backfill", Priority.BACKFILL, 9),
        ("failing", Priority.FAILING, 9),
        ("drift", Priority.DRIFT, 9),
        ("settings", Priority.SETTINGS, 9),
        ("late", Priority.REPORTED, 1),
        ("early", Priority.REPORTED, 2),
        ("new", Priority.NEW, 0),
    ):
        waited = at - timedelta(minutes=minutes)
        add_rooms(school, 1, name, priority=priority, next_attempt_at=waited)
    assert claimed(school, 5) == ["new0", "early0", "late0", "settings0", "drift0"]
    assert claimed(school, 5) == ["failing0", "backfill0"]


def test_what_can_wait_does_not_wait_for_ever(school: Site) -> None:
    add_rooms(school, 100, "urgent")
    long_ago = now() - PATIENCE - timedelta(seconds=1)
    add_rooms(school, 2, "backfill", priority=Priority.BACKFILL, next_attempt_at=long_ago)
    assert claimed(school, 1) == ["backfill0"]
    assert claimed(school, 3) == ["backfill1", "urgent0", "urgent1"]
    assert claimed(school, 2) == ["urgent2", "urgent3"]


def test_claiming_reads_the_index_in_its_order(tmp_path: Path, server: SimulatedServer) -> None:
    statements: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, given: Any, *_more: Any) -> None:
        if statement.startswith("WITH"):
            statements.append((statement, given))

    with switched_on(tmp_path, SimulatedProvider(server)) as school:
        add_rooms(school, 10_000)
        with school.state.database.write() as connection:
            event.listen(connection, "before_cursor_execute", note)
            claim(connection, "me", [SIM], 13)
            event.remove(connection, "before_cursor_execute", note)
            statement, given = statements[-1]
            steps = [
                row[3]
                for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", given)
            ]
    assert [step for step in steps if "SCAN commweb_room" in step] == []
    assert [step for step in steps if "TEMP B-TREE FOR ORDER BY" in step] == []
    assert any("ix_commweb_room_due" in step for step in steps)


FAR = timedelta(days=30)


@pytest.mark.parametrize("column", ["next_attempt_at", "lease_until"])
def test_a_rest_that_ends_later_than_any_may_is_over(school: Site, column: str) -> None:
    """As when it was written by a clock that was ahead."""
    add_rooms(school, 1, lease="me", lease_until=now() - timedelta(seconds=1))
    longest = {"next_attempt_at": timedelta(hours=4), "lease_until": timedelta(seconds=60)}
    for rest, is_due in ((longest[column] - timedelta(seconds=1), False), (FAR, True)):
        write(school, update(RoomRow).values(**{column: now() + rest}))
        with school.state.database.read() as connection:
            assert bool(due(connection, [SIM])) is is_due
            end = soonest(connection)
        assert (end is not None) is not is_due
        assert bool(claimed(school, 1)) is is_due


def test_a_lease_without_an_end_is_over(school: Site) -> None:
    add_rooms(school, 1, lease="me", lease_until=None)
    assert claimed(school, 1) == ["old0"]


def test_a_servers_pause_that_ends_later_than_any_may_is_over_and_forgotten(
    school: Site,
) -> None:
    write(
        school,
        insert(Connection).values(provider=SIM, access="x", generation=1, state="ok", set_at=now()),
    )
    sweep = Sweep(school.state, Worker(school.state), lambda _threads: None)
    for pause, waits in ((timedelta(hours=23), True), (FAR, False)):
        write(school, update(Connection).values(blocked_until=now() + pause))
        with school.state.database.read() as connection:
            assert (soonest(connection) is not None) is waits
    sweep.once()
    assert rows(school, Connection.blocked_until) == [(None,)]


def test_rooms_go_on_after_a_clock_was_ahead_for_a_moment(
    school: Site, server: SimulatedServer
) -> None:
    create(school, "1")
    work(school)
    create(school, "2")
    fold(school.state)
    # All that is written while the clock is 30 days ahead.
    write(school, update(RoomRow).values(next_attempt_at=now() + FAR, revision=9))
    write(school, update(RoomRow).values(lease="killed", lease_until=now() + FAR))
    write(school, update(FoldRow).values(checked_at=now() + FAR, retry_at=now() + FAR))
    work(school)
    assert rows(school, RoomRow.status, RoomRow.lease) == [("ready", None)] * 2
