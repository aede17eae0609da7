"""When rooms are looked at although nobody reported anything."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import event, insert, select, text, update

from commweb import Group
from commweb.errors import MisuseError, Refused, Unreachable
from commweb.models import Base, Connection, FoldRow, RoomRow, now
from commweb.providers import Registry
from commweb.providers.base import ProviderContext
from commweb.settings import Setting
from commweb.sync.choices import store_choice
from commweb.sync.records import claim
from commweb.sync.schedule import soonest, unchecked
from commweb.sync.sweep import Sweep
from commweb.sync.worker import Worker
from tests.simulated import SimulatedProvider, SimulatedServer
from tests.sites import Site, site, student, switched_on, teacher


class Switchable(SimulatedProvider):
    """``up``: whether the server answers at all."""

    settings = (Setting("element_web_url", ""),)
    up = True

    def answers(self, context: ProviderContext, deadline_seconds: float) -> bool:
        return self.up


@pytest.fixture
def provider(server: SimulatedServer) -> Switchable:
    return Switchable(server)


@pytest.fixture
def school(tmp_path: Path, provider: Switchable) -> Iterator[Site]:
    with switched_on(tmp_path, provider) as made:
        yield made


def new_course(school: Site, course_id: str = "1") -> None:
    school.campus.add(course_id, teacher("ada"))
    with school.app.app_context():
        school.comm.course_created(course_id)
        school.db.session.commit()


def set_rows(school: Site, **values: Any) -> None:
    with school.state.database.write() as connection:
        connection.execute(update(RoomRow).values(**values))


def row_of(school: Site, course_id: str = "1") -> RoomRow:
    with school.app.app_context():
        row = school.db.session.execute(
            select(RoomRow).where(RoomRow.course_id == course_id)
        ).scalar_one()
        school.db.session.expunge(row)
        return row


def checked(school: Site, **ago: float) -> None:
    """Every course was folded last so long ago."""
    with school.state.database.write() as connection:
        connection.execute(update(FoldRow).values(checked_at=now() - timedelta(**ago)))


def sweep_once(school: Site) -> None:
    """One look of the sweep, and the work that it asks for."""
    worker = Worker(school.state)
    Sweep(school.state, worker, lambda _threads: worker.work()).once()


def test_a_course_nobody_folded_for_six_hours_is_compared_again(
    school: Site, server: SimulatedServer
) -> None:
    new_course(school)
    sweep_once(school)
    school.campus.add("1", teacher("ada"), student("bob"))  # nobody reported it
    sweep_once(school)
    (room,) = server.rooms.values()
    assert "@bob:sim" not in room.members
    checked(school, hours=6, seconds=1)
    sweep_once(school)
    assert room.is_in("@bob:sim")
    with school.state.database.read() as connection:
        at = connection.execute(select(FoldRow.checked_at)).scalar_one()
    assert at is not None
    assert now() - at < timedelta(hours=1)


def groups(school: Site, *names: str) -> None:
    """The host's course has these groups now, and nobody reported it."""
    school.campus.group_table["1"] = [Group(name, name) for name in names]


def wanted_groups(school: Site) -> set[str]:
    with school.state.database.read() as connection:
        found = connection.execute(select(RoomRow.group_id).where(RoomRow.wanted))
        return set(found.scalars())


def test_the_drift_check_finds_new_and_deleted_groups_and_courses_that_nobody_reported(
    school: Site,
) -> None:
    new_course(school)
    sweep_once(school)
    with school.state.database.write() as connection:
        store_choice(connection, "1", "", provider="simulated", room_mode="both")
        store_choice(connection, "2", "", provider="simulated")  # its first report was lost
    school.campus.add("2", teacher("bob"))
    for names in (["red", "blue"], ["red"]):
        groups(school, *names)
        checked(school, hours=7)
        sweep_once(school)
        assert wanted_groups(school) == {"", *names}
    assert row_of(school, "2").status == "ready"


def test_courses_that_cannot_be_folded_keep_no_other_from_the_drift_check(
    school: Site, server: SimulatedServer
) -> None:
    for number in range(15):
        new_course(school, f"a{number:02}")
    new_course(school, "z")
    Worker(school.state).work()
    for number in range(15):
        broken = school.campus.course_table[f"a{number:02}"]
        object.__setattr__(broken, "full_name", None)
    school.campus.add("z", teacher("ada"), student("bob"))
    checked(school, hours=7)
    for _time in range(2):
        sweep_once(school)
    assert any(room.is_in("@bob:sim") for room in server.rooms.values())


def test_a_course_checked_at_a_time_still_to_come_is_checked_again(
    school: Site, server: SimulatedServer
) -> None:
    new_course(school)
    Worker(school.state).work()
    school.campus.add("1", teacher("ada"), student("bob"))
    checked(school, days=-400)
    sweep_once(school)
    (room,) = server.rooms.values()
    assert room.is_in("@bob:sim")


def test_the_sweep_wakes_as_many_threads_as_find_something(school: Site) -> None:
    woken: list[int] = []
    worker = Worker(school.state)
    sweep = Sweep(school.state, worker, woken.append)
    assert sweep.once() == 10
    new_course(school, "1")
    new_course(school, "2")
    sweep.once()
    worker.fold()
    sweep.once()
    assert woken == [1, 2]  # a report to fold, then two rooms


def test_a_fault_of_the_database_only_delays_the_sweep(school: Site) -> None:
    with school.state.database.write() as connection:
        connection.execute(text("ALTER TABLE commweb_change RENAME TO away"))
    worker = Worker(school.state)
    assert Sweep(school.state, worker, lambda _threads: None).once() == 1
    worker.try_work()
    with school.state.database.write() as connection:
        connection.execute(text("ALTER TABLE away RENAME TO commweb_change"))
    new_course(school)
    sweep_once(school)
    assert row_of(school).status == "ready"


def test_drift_is_looked_for_a_few_courses_at_a_time(school: Site, server: SimulatedServer) -> None:
    for number in range(13):
        new_course(school, f"c{number}")
    Worker(school.state).work()
    checked(school, days=1)
    server.calls.clear()
    sweep_once(school)
    assert server.calls == ["observe"] * 10


def test_the_drift_check_can_be_turned_off(tmp_path: Path, server: SimulatedServer) -> None:
    registry = Registry([SimulatedProvider(server)])
    with site(tmp_path, registry, COMMWEB_DRIFT_CHECK_HOURS=0) as school:
        with school.app.app_context():
            school.comm.set_enabled(True)
        new_course(school)
        Worker(school.state).work()
        checked(school, days=400)
        server.calls.clear()
        sweep_once(school)
    assert server.calls == []


def test_a_drift_period_that_is_no_number_is_refused(tmp_path: Path) -> None:
    with (
        pytest.raises(MisuseError, match="COMMWEB_DRIFT_CHECK_HOURS"),
        site(tmp_path, COMMWEB_DRIFT_CHECK_HOURS="often"),
    ):
        pass


def test_looking_for_drift_reads_indexes_whatever_the_number_of_courses(school: Site) -> None:
    statements: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, given: Any, *_more: Any) -> None:
        statements.append((statement, given))

    with school.state.database.read() as connection:
        event.listen(connection, "before_cursor_execute", note)
        assert unchecked(connection, now(), timedelta(hours=6), 10) == []
        event.remove(connection, "before_cursor_execute", note)
        steps = [
            row[3]
            for statement, given in statements
            for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", given)
            if row[3].startswith(("SCAN", "SEARCH"))
        ]
    assert [step for step in steps if "commweb_fold" in step and step.startswith("SCAN")] == []
    assert sum("ix_commweb_fold_checked_at" in step for step in steps) == 2


def test_the_sweep_rests_until_the_next_thing_ends(school: Site) -> None:
    new_course(school)
    Worker(school.state).work()
    with school.state.database.write() as connection:
        assert soonest(connection) is None
        soon, later = now() + timedelta(seconds=3), now() + timedelta(seconds=7)
        connection.execute(update(RoomRow).values(revision=9, lease="dead", lease_until=soon))
        assert soonest(connection) == soon
        connection.execute(update(RoomRow).values(lease_until=None, next_attempt_at=later))
        assert soonest(connection) == later
        blocked = {"provider": "simulated", "blocked_until": soon}
        connection.execute(insert(Connection).values(**blocked))
        assert soonest(connection) == soon


def test_the_lease_of_a_killed_worker_ends_after_a_minute(
    school: Site, server: SimulatedServer
) -> None:
    new_course(school)
    Worker(school.state).fold()
    killed_at = now()
    with school.state.database.write() as connection:
        assert claim(connection, "killed", ["simulated"], 4)
    Worker(school.state).work()
    assert server.rooms == {}
    until = row_of(school).lease_until
    assert until is not None
    assert timedelta(seconds=59) < until - killed_at < timedelta(seconds=61)
    set_rows(school, lease_until=now() - timedelta(seconds=1))
    Worker(school.state).work()
    assert len(server.rooms) == 1


def test_saved_settings_end_every_rest(school: Site, server: SimulatedServer) -> None:
    new_course(school)
    worker = Worker(school.state)
    # The account, the room.
    server.faults = [None, Refused("The account is no administrator.", status=403)]
    worker.work()
    set_rows(school, attempts=9, next_attempt_at=now() + timedelta(minutes=15))
    worker.work()
    assert server.rooms == {}
    with school.app.app_context():
        school.comm.configure("simulated", {"element_web_url": "https://app.example"})
    worker.work()
    assert len(server.rooms) == 1


def test_a_fault_of_one_room_makes_its_rests_longer_and_holds_up_no_other(
    school: Site, server: SimulatedServer
) -> None:
    new_course(school)
    for attempts, least, most in (
        (0, 0, 1),
        (3, 7, 8),
        (9, 500, 512),
        (10, 899, 900),
        (40, 899, 900),
    ):
        server.faults, server.answering = [Unreachable("A fault.", status=500)], False
        set_rows(school, attempts=attempts, next_attempt_at=None)
        Worker(school.state).work()
        row = row_of(school)
        assert row.next_attempt_at is not None
        assert least < (row.next_attempt_at - now()).total_seconds() <= most
        assert row.attempts == attempts + 1
    new_course(school, "2")
    Worker(school.state).work()
    assert row_of(school, "2").status == "ready"


def test_while_the_server_answers_nobody_rooms_rest_shortly_and_keep_their_attempts(
    school: Site, server: SimulatedServer, provider: Switchable
) -> None:
    with school.app.app_context():
        school.comm.configure("simulated", {}, access_token="not a real one")
    new_course(school)
    new_course(school, "2")
    provider.up = server.answering = False
    server.down = True
    set_rows(school, attempts=9)
    Worker(school.state).work()
    assert server.calls == ["own_rooms", "ensure_account"], "the other room is not even tried"
    row = row_of(school)
    assert (row.attempts, row.status) == (0, "failing")
    assert row.reason == "The homeserver does not answer."
    assert row.next_attempt_at is not None
    assert (row.next_attempt_at - now()).total_seconds() <= 15
    with school.state.database.read() as connection:
        end = soonest(connection)
    assert end is not None
    assert (end - now()).total_seconds() <= 15


def test_what_was_reported_meanwhile_does_not_wait_for_what_failed_before(
    school: Site, server: SimulatedServer
) -> None:
    new_course(school)
    worker = Worker(school.state)

    original = server.called

    def called(name: str) -> None:
        if name == "create" and not server.rooms and "reported" not in server.calls:
            server.calls.append("reported")
            with school.app.app_context():
                school.comm.course_changed("1")
                school.db.session.commit()
            Worker(school.state).fold()
            raise Refused("Not this name.", status=400)
        original(name)

    server.called = called  # type: ignore[method-assign]
    worker.work()
    assert len(server.rooms) == 1


def test_migrations_make_the_tables_the_models_describe(school: Site) -> None:
    with school.state.database.read() as connection:
        context = MigrationContext.configure(
            connection, opts={"include_object": lambda _o, name, *_r: "alembic" not in str(name)}
        )
        assert compare_metadata(context, Base.metadata) == []
        made = {
            row[0]: row[1]
            for row in connection.execute(
                text("SELECT name, sql FROM sqlite_master WHERE name LIKE 'ix_commweb_room_%'")
            )
        }
    assert set(made) == {"ix_commweb_room_due"}
    assert "WHERE synced_revision < revision" in made["ix_commweb_room_due"]
