"""The main job on PostgreSQL: several worker processes, and a database that goes away."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from commweb.site.homeserver import Homeserver
from commweb.sync.worker import Worker
from tests.live.conftest import AdminSession
from tests.live.crew import wait_until
from tests.live.test_main_job import ALLOW, connect
from tests.postgres import Cluster
from tests.sites import site, student, teacher
from tests.soak.world import World, world

COURSES = 5
IDLE = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = '{name}' AND state LIKE 'idle in transaction%'
"""
pytestmark = pytest.mark.xdist_group("postgresql")  # they share one Synapse


@pytest.fixture(scope="module")
def busy(postgres: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The course site on PostgreSQL with a Synapse of its own, and no worker yet."""
    folder = tmp_path_factory.mktemp("postgresql")
    with (
        postgres.database() as url,
        world(
            folder,
            lifetime="5m",
            workers=0,
            seed=11,
            SQLALCHEMY_DATABASE_URI=url,
            SQLALCHEMY_ENGINE_OPTIONS={"pool_pre_ping": True},
        ) as made,
    ):
        made.people(15)
        yield made


@pytest.fixture
def crowd(busy: World) -> Iterator[World]:
    """The same with two workers, which are stopped at the end."""
    for _number in range(2):
        busy.start_worker()
    yield busy
    for child in list(busy.workers):
        child.stop(12)
        busy.workers.remove(child)
    busy.a_minute_passes()


def all_is_equal(site: World) -> None:
    site.wait_until_quiet(120)
    assert site.differences() == []
    assert site.session_state() == "ok"


def test_two_processes_fill_the_rooms_of_a_few_courses(crowd: World) -> None:
    made = crowd.proxy.count("/createRoom")
    for _number in range(COURSES):
        crowd.new_course()
        for _change in range(3):
            crowd.one_change(deletions=False)
    all_is_equal(crowd)
    assert crowd.proxy.count("/createRoom") == made + COURSES


def test_a_database_that_crashes_in_the_middle_delays_the_work_and_loses_nothing(
    crowd: World, postgres: Cluster
) -> None:
    made = crowd.proxy.count("/createRoom")
    for _round in range(3):
        crowd.new_course()
        crowd.new_course()
        asked = crowd.proxy.count() + 5
        wait_until("the work has begun", lambda least=asked: crowd.proxy.count() >= least)
        postgres.crash_and_start()
        crowd.one_change(deletions=False)
    assert crowd.leases() != set()  # whose results were never written
    crowd.a_minute_passes()
    all_is_equal(crowd)
    assert crowd.proxy.count("/createRoom") >= made + 6
    assert [child.exit_code() for child in crowd.workers] == [None, None]
    lines = (crowd.folder / "worker.log").read_text().splitlines()
    told = [line for line in lines if "WARNING commweb." in line]
    assert told
    assert all(re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00 ", line) for line in told)


def test_no_transaction_is_open_while_the_homeserver_is_asked(
    tmp_path: Path,
    postgres: Cluster,
    postgres_url: str,
    homeserver: Homeserver,
    admin_session: AdminSession,
    lift_limits: Callable[[Homeserver], None],
    unique: str,
) -> None:
    lift_limits(homeserver)
    seen: list[object] = []

    def look() -> None:
        seen.append(postgres.run(IDLE.format(name=make_url(postgres_url).database))[0][0])

    with site(tmp_path, SQLALCHEMY_DATABASE_URI=postgres_url, **ALLOW) as school:
        connect(school, admin_session)
        school.state.network = replace(school.state.network, before_send=look)
        school.campus.add(unique, teacher(f"{unique}-a"), student(f"{unique}-b"))
        with school.app.app_context():
            school.comm.course_created(unique)
            school.db.session.commit()
        worker = Worker(school.state)
        worker.work()
        worker.close()
    assert len(seen) >= 5
    assert set(seen) == {0}
