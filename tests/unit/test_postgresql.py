"""What SQLite's one writer at a time hides: several writers at once on a real PostgreSQL."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from datetime import timedelta
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import func, insert, inspect, select, text, update

from commweb import Member, Person, Role
from commweb.accounts import agree
from commweb.connection import StoredTokens, TokenPair
from commweb.database import Database
from commweb.encryption import Secret
from commweb.errors import StaleSettings
from commweb.models import Account, Base, Connection, Event, MemberRow, RoomRow, now
from commweb.places import look_again, look_at_all
from commweb.proofs import may_ask, may_try_password
from commweb.providers import Registry
from commweb.providers.rooms import AccountFacts, EnsureAccount
from commweb.rekey import rekey
from commweb.state import SITE_SETTINGS
from commweb.sync.gone import decide_gone
from commweb.sync.guard import Hold
from commweb.sync.known import Applied
from commweb.sync.leases import Lease
from commweb.sync.progress import Progress
from commweb.sync.records import claim
from commweb.sync.worker import Worker
from tests.postgres import Cluster
from tests.simulated import SimulatedProvider, SimulatedServer
from tests.sites import Site, site, switched_on, teacher

SIM = "simulated"
AGREED = "account.agreed"
PEOPLE = ("bob", "ada")
Blocked = Callable[[Callable[[], Any]], Future[Any]]


@pytest.fixture
def school(tmp_path: Path, postgres_url: str) -> Iterator[Site]:
    provider = SimulatedProvider(SimulatedServer())
    with switched_on(tmp_path, provider, SQLALCHEMY_DATABASE_URI=postgres_url) as made:
        yield made


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as pool:
        yield pool


@pytest.fixture
def blocked(postgres: Cluster, pool: ThreadPoolExecutor) -> Blocked:
    """Run something in another thread, and go on when it waits for a lock."""
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"

    def start(act: Callable[[], Any]) -> Future[Any]:
        before = postgres.run(waiting)
        running = pool.submit(act)
        ends = time.monotonic() + 30
        while not running.done() and postgres.run(waiting) == before:
            assert time.monotonic() < ends, "It neither waits nor ends."
            threading.Event().wait(0.02)
        return running

    return start


def add_rooms(database: Database, count: int) -> None:
    rows = [
        {"course_id": str(number), "provider": SIM, "revision": 1} for number in range(1, count + 1)
    ]
    with database.write() as connection:
        connection.execute(insert(RoomRow), rows)


def test_migrations_make_the_tables_the_models_describe(school: Site) -> None:
    with school.state.database.read() as connection:
        context = MigrationContext.configure(
            connection, opts={"include_object": lambda _o, name, *_r: "alembic" not in str(name)}
        )
        assert compare_metadata(context, Base.metadata) == []
        found = {
            one["name"]: one["dialect_options"].get("postgresql_where")
            for one in inspect(connection).get_indexes("commweb_room")
        }
    assert found["ix_commweb_room_due"] == "(synced_revision < revision)"
    assert "ix_commweb_room_rest" not in found


def started(folder: Path, postgres_url: str) -> str:
    """Start a site in the folder; the version of its tables."""
    folder.mkdir()
    with (
        site(folder, Registry([]), SQLALCHEMY_DATABASE_URI=postgres_url) as made,
        made.state.database.read() as connection,
    ):
        found = connection.execute(text("SELECT version_num FROM commweb_alembic_version"))
        return str(found.scalar_one())


def test_processes_that_migrate_at_the_same_moment_wait_for_each_other(
    tmp_path: Path, postgres_url: str
) -> None:
    folders = [tmp_path / str(number) for number in range(4)]
    with ProcessPoolExecutor(4, get_context("spawn")) as processes:
        versions = list(processes.map(started, folders, [postgres_url] * 4))
    assert len(set(versions)) == 1


def test_a_reading_transaction_sees_one_moment(school: Site) -> None:
    count = select(func.count()).select_from(RoomRow)
    with school.state.database.read() as connection:
        assert connection.execute(count).scalar() == 0
        add_rooms(school.state.database, 1)
        assert connection.execute(count).scalar() == 0


def test_agreeing_is_told_once(school: Site) -> None:
    for _time in range(2):
        with school.state.database.write() as connection:
            agree(connection, SIM, "ada")
    with school.state.database.read() as connection:
        assert connection.execute(select(Event.action)).scalars().all().count(AGREED) == 1


def test_claims_at_the_same_moment_neither_wait_nor_take_the_same_room(school: Site) -> None:
    database = school.state.database
    add_rooms(database, 5)
    with database.write() as one, database.write() as two:
        two.execute(text("SET LOCAL lock_timeout TO '5s'"))
        mine = claim(one, "one", [SIM], 2)
        others = claim(two, "two", [SIM], 16)
    assert (mine, others) == ([1, 2], [3, 4, 5])


def test_two_first_saves_of_the_same_settings_are_one_after_the_other(
    school: Site, blocked: Blocked
) -> None:
    late: list[Future[int]] = []

    def save(expected: int | None, also: Callable[[Any], None] | None = None) -> int:
        return school.state.settings.save(
            "new", SITE_SETTINGS, {}, expected_version=expected, actor="", also=also
        )

    def others_save(_connection: Any) -> None:
        late.extend((blocked(lambda: save(0)), blocked(lambda: save(None))))

    assert save(0, others_save) == 1
    with pytest.raises(StaleSettings):
        late[0].result()
    assert late[1].result() == 2


def store_tokens(school: Site) -> StoredTokens:
    tokens = school.state.tokens(SimulatedProvider(SimulatedServer()))
    with school.state.database.write() as connection:
        tokens.replace(
            connection, base_url="", access=Secret("a1"), refresh=Secret("r1"), actor="admin"
        )
    return tokens


def test_a_refresh_that_is_stored_while_secrets_are_sealed_again_stays(
    school: Site, blocked: Blocked
) -> None:
    state, tokens = school.state, store_tokens(school)
    sealed = state.sealer.seal(Secret("a2"), (SIM, "", "access"))
    with state.database.write() as connection:
        connection.execute(update(Connection).values(access=sealed, generation=2))
        sealing = blocked(lambda: rekey(state))
    assert sealing.result() == 2
    session = tokens.read()
    assert session is not None
    assert session.pair.access == Secret("a2")


def test_one_of_many_that_want_to_refresh_gets_the_lease(
    school: Site, pool: ThreadPoolExecutor
) -> None:
    tokens, start = store_tokens(school), threading.Barrier(8)

    def take(number: int) -> bool:
        start.wait(30)
        return tokens.take_lease(f"holder{number}", 1, 30)

    taken = list(pool.map(take, range(8)))
    assert taken.count(True) == 1
    winner = f"holder{taken.index(True)}"
    pair = TokenPair(Secret("a2"), Secret("r2"), now() + timedelta(minutes=5), 300)
    assert not tokens.rotate("somebody", 1, pair, Secret("r1"))
    assert tokens.rotate(winner, 1, pair, Secret("r1"))
    assert not tokens.rotate(winner, 1, pair, Secret("r1"))


@pytest.fixture
def run(school: Site) -> Progress:
    """A run of room 1 that looked at the accounts of bob and ada."""
    database = school.state.database
    add_rooms(database, 1)
    with database.write() as connection:
        rows = [{"provider": SIM, "person_id": one, "remote_user_id": one} for one in PEOPLE]
        connection.execute(insert(Account), rows)
        connection.execute(insert(MemberRow).values(room_id=1, person_id="ada"))
        assert claim(connection, "me", [SIM], 1) == [1]
    run = Progress(database, Lease(database, 1, "me"), SIM, Applied())
    for name in PEOPLE:
        run.looked_at(EnsureAccount(name, name, name.title()), AccountFacts(name))
    return run


def lock_account(connection: Any, name: str) -> None:
    connection.execute(select(Account).where(Account.person_id == name).with_for_update())


def test_a_run_and_a_person_who_links_an_account_do_not_wait_in_a_circle(
    school: Site, run: Progress, blocked: Blocked
) -> None:
    with school.state.database.write() as connection:
        lock_account(connection, "ada")
        flushing = blocked(run.flush)
        look_again(connection, SIM, "ada")
    flushing.result()


def test_two_runs_with_the_same_people_do_not_wait_in_a_circle(
    school: Site, run: Progress, blocked: Blocked
) -> None:
    with school.state.database.write() as connection:
        lock_account(connection, "ada")
        flushing = blocked(run.flush)
        lock_account(connection, "bob")
    flushing.result()


def test_rooms_that_are_all_asked_for_are_locked_in_their_order(
    school: Site, blocked: Blocked
) -> None:
    database = school.state.database
    add_rooms(database, 3)
    with database.write() as connection:  # its newest version comes last in the table's file
        connection.execute(update(RoomRow).where(RoomRow.id == 1).values(name="Algebra"))

    def ask() -> None:
        with database.write() as connection:
            look_at_all(connection, SIM)

    with database.write() as connection:
        connection.execute(select(RoomRow).where(RoomRow.id == 1).with_for_update())
        asking = blocked(ask)
        connection.execute(select(RoomRow).where(RoomRow.id == 3).with_for_update())
    asking.result()


def test_what_the_database_cannot_hold_stops_no_other_course(school: Site) -> None:
    school.campus.add("1", teacher("a\0da"))
    bob = Member(Person("bob", "bob", "B\0o" + "b" * 300), Role.PARTICIPANT)
    school.campus.add("2", bob, name="Alge\0bra")
    with school.app.app_context():
        for course_id in ("1", "2"):
            school.comm.course_created(course_id)
        school.db.session.commit()
    # Who has an id that cannot be kept is left out, and everybody else of the course is in.
    Worker(school.state).work()
    with school.state.database.read() as connection:
        found = select(RoomRow.course_id, RoomRow.status, RoomRow.name).order_by(RoomRow.course_id)
        rooms = connection.execute(found).all()
        name = connection.execute(select(MemberRow.display_name)).scalar_one()
    assert rooms == [("1", "ready", "Algebra"), ("2", "ready", "Algebra")]
    assert name == "Bo" + "b" * 253


@pytest.mark.parametrize("stored", [True, False], ids=["with a session", "without a session"])
def test_of_many_rooms_that_are_gone_at_one_moment_three_are_created_anew(
    school: Site, stored: bool
) -> None:
    """Each thread finds another room missing, and counts those of all others."""
    database = school.state.database
    if stored:
        session = {"provider": SIM, "generation": 1, "state": "ok", "set_at": now()}
        with database.write() as connection:
            connection.execute(insert(Connection).values(**session))
    add_rooms(database, 12)
    with database.write() as connection:
        connection.execute(update(RoomRow).values(wanted=True, remote_id=RoomRow.course_id))
        ids = connection.execute(select(RoomRow.id)).scalars().all()
    together = threading.Barrier(8)

    def decide(room_id: int) -> Hold | None:
        with contextlib.suppress(threading.BrokenBarrierError):
            together.wait(1)
        with database.write() as connection:
            found = decide_gone(connection, room_id)
            time.sleep(0.05)
            return found

    with ThreadPoolExecutor(8) as many:
        holds = list(many.map(decide, ids))
    assert sum(hold is None for hold in holds) == 3


def test_tries_that_come_at_once_are_counted_one_by_one(
    school: Site, pool: ThreadPoolExecutor
) -> None:
    together = threading.Barrier(8)

    def try_password(_number: int) -> bool:
        together.wait(timeout=30)
        with school.state.database.write() as connection:
            return may_try_password(connection, SIM, "ada")

    assert sum(pool.map(try_password, range(8))) == 5


def test_codes_that_are_asked_for_at_once_are_counted_one_by_one(
    school: Site, pool: ThreadPoolExecutor
) -> None:
    together = threading.Barrier(8)

    def ask(number: int) -> bool:
        together.wait(timeout=30)
        who = {"provider": SIM, "person_id": f"p{number}", "remote_id": "@ada:sim"}
        with school.state.database.write() as connection:
            return may_ask(connection, "a key", address=f"192.0.2.{number}", **who)

    assert sum(pool.map(ask, range(8))) == 5
