"""Worker processes that are killed, doubled, or cut off from their files: nothing is lost."""

from __future__ import annotations

import os
import resource
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import func, select

from commweb.models import RoomRow
from commweb.site import db
from commweb.site.children import Child
from commweb.site.models import Course
from tests.live.crew import wait_until
from tests.live.fault_proxy import Fault
from tests.soak.world import World, world
from tests.synapse_eyes import SynapseEyes
from tests.waiting import waiting

KILLS = 3
LOOK, ACCOUNT, JOIN = "GET .*/v2/users/", "PUT .*/v2/users/", "POST .*/v1/join/"
SHORT_LEASE = ("tests.live.short_lease",)
BOT = "@commweb:localhost"
pytestmark = pytest.mark.xdist_group("workers")  # they share one Synapse


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The course site with a Synapse of its own behind the proxy, and no worker yet."""
    with world(tmp_path_factory.mktemp("workers"), lifetime="5m", workers=0, seed=7) as made:
        made.people(15)
        yield made


@pytest.fixture
def crowd(site: World) -> Iterator[World]:
    """The same, quiet before and after each test, with every worker stopped at the end."""
    yield site
    site.proxy.heal()
    for child in list(site.workers):
        child.stop(12)
        site.workers.remove(child)
    site.a_minute_passes()


def all_is_equal(site: World) -> None:
    site.wait_until_quiet(120)
    assert site.differences() == []
    assert site.session_state() == "ok"


def database(site: World) -> Path:
    with site.app.app_context():
        return Path(str(db.engine.url.database))


def something_waits(site: World) -> bool:
    with site.app.app_context():
        return waiting(db.session()) > 0


def revisions(site: World) -> int:
    """It grows whenever a room is asked for."""
    with site.app.app_context():
        return int(db.session.scalar(select(func.sum(RoomRow.revision))) or 0)


def some_changes(site: World, count: int) -> None:
    for _number in range(count):
        site.one_change(deletions=False)


def some_requests(site: World, count: int) -> None:
    stop_at = site.proxy.count() + count
    wait_until("the worker has got so far", lambda: site.proxy.count() >= stop_at)


def test_a_worker_killed_in_the_middle_is_followed_by_one_that_goes_on(crowd: World) -> None:
    for _round in range(KILLS):
        for _number in range(2):
            crowd.new_course()
        some_changes(crowd, 4)
        child = crowd.start_worker()
        some_requests(crowd, crowd.random.randint(1, 25))
        crowd.kill(child)
        crowd.a_minute_passes()
    crowd.start_worker()
    all_is_equal(crowd)


def test_an_invitation_that_a_killed_worker_left_is_taken_back_with_the_enrolment(
    crowd: World,
) -> None:
    eyes = SynapseEyes(crowd.homeserver)
    crowd.proxy.script(Fault("slow first byte", "POST .*/createRoom", seconds=60))
    child = crowd.start_worker()
    name = crowd.new_course(crowd.people(4, "newcomer"))
    wait_until("the server has made the room", lambda: eyes.rooms_named(name) != [])
    crowd.kill(child)
    (room,) = eyes.rooms_named(name)
    assert list(eyes.room(room).inside(BOT).values()) == ["invite"] * 4
    gone = crowd.unenrol_somebody(name)
    crowd.a_minute_passes()
    crowd.start_worker()
    all_is_equal(crowd)
    assert eyes.rooms_named(name) == [room]
    assert eyes.room(room).members[crowd.homeserver.user_id(gone)] == "leave"


def test_a_join_that_a_killed_worker_left_on_its_way_keeps_nobody_in(crowd: World) -> None:
    crowd.start_worker()
    name = crowd.new_course()
    all_is_equal(crowd)
    (worker,) = crowd.workers
    way_free = threading.Event()
    stuck = Fault("passed on", "POST .*/v1/join/", first=lambda: way_free.wait(60))
    crowd.proxy.script(stuck)
    newcomer = crowd.enrol_new_person(name, "late")
    wait_until("the joining is on its way", lambda: stuck.times == 0)
    crowd.kill(worker)
    assert crowd.unenrol_somebody(name) == newcomer
    crowd.a_minute_passes()
    crowd.start_worker()
    crowd.wait_until_quiet(60, last_looks=False)
    assert crowd.differences() == []
    way_free.set()
    assert stuck.over.wait(30)
    assert crowd.differences() != []  # they are in the room, and not in the course
    crowd.a_minute_passes()
    all_is_equal(crowd)


def test_a_worker_that_was_suspended_past_its_lease_puts_nobody_back(crowd: World) -> None:
    suspended = crowd.start_worker(SHORT_LEASE)
    name = crowd.new_course()
    all_is_equal(crowd)
    newcomers = [f"suspended{number}" for number in range(8)]
    # In the middle: some of them are inside, and the next one's account is about to be created.
    third = Fault("passed on", LOOK, first=lambda: crowd.pause(suspended))
    crowd.proxy.script(Fault("passed on", LOOK, 2), third)
    crowd.enrol_new_people(name, newcomers)
    wait_until("it is suspended", third.over.is_set)
    crowd.unenrol(name, newcomers)
    crowd.start_worker(SHORT_LEASE)
    wait_until("the other one has taken them out", lambda: crowd.differences() == [])
    assert crowd.proxy.count("POST .*/kick") >= 2
    crowd.wait_until_quiet(60, last_looks=False)
    revision = revisions(crowd)
    done = (crowd.proxy.count(ACCOUNT), crowd.proxy.count(JOIN))
    crowd.go_on(suspended)
    wait_until("the room is synced again", lambda: revisions(crowd) > revision)
    crowd.wait_until_quiet(60, last_looks=False)
    crowd.a_minute_passes()
    all_is_equal(crowd)
    assert (crowd.proxy.count(ACCOUNT), crowd.proxy.count(JOIN)) == done


def test_two_processes_with_four_threads_each_make_one_room_a_course(crowd: World) -> None:
    crowd.start_worker()
    crowd.start_worker()
    made = crowd.proxy.count("/createRoom")
    for _number in range(6):
        crowd.new_course()
        some_changes(crowd, 5)
    all_is_equal(crowd)
    assert crowd.proxy.count("/createRoom") == made + 6


def test_a_worker_that_is_asked_to_stop_gives_its_rooms_back(crowd: World) -> None:
    child = crowd.start_worker()
    for _number in range(4):
        crowd.new_course()
    wait_until("it works on a room", lambda: crowd.leases() != set())
    assert child.stop(12) == 0
    crowd.workers.remove(child)
    assert crowd.leases() == set()
    crowd.start_worker()
    all_is_equal(crowd)


def test_the_queue_may_be_deleted_while_everything_runs(crowd: World) -> None:
    crowd.start_worker()
    crowd.new_course()
    all_is_equal(crowd)
    files = list(crowd.folder.glob("commweb-queue.db*"))
    assert files
    for file in files:
        file.unlink()
    crowd.new_course()
    some_changes(crowd, 3)
    all_is_equal(crowd)
    assert (crowd.folder / "commweb-queue.db").exists()


def test_a_worker_that_cannot_read_its_queue_works_without_it(crowd: World) -> None:
    for file in crowd.folder.glob("commweb-queue.db*"):
        file.unlink()
    damaged = crowd.folder / "commweb-queue.db"
    damaged.write_bytes(b"This is no database." * 500)
    child = crowd.start_worker()
    crowd.new_course()
    all_is_equal(crowd)
    assert child.stop(12) == 0
    crowd.workers.remove(child)
    damaged.unlink()


def test_a_queue_that_is_damaged_while_everything_runs_is_done_without(crowd: World) -> None:
    child = crowd.start_worker()
    crowd.new_course()
    all_is_equal(crowd)
    for file in crowd.folder.glob("commweb-queue.db*"):
        file.write_bytes(b"This is no database." * 500)
    crowd.new_course()
    some_changes(crowd, 3)
    all_is_equal(crowd)
    assert child.exit_code() is None
    for file in crowd.folder.glob("commweb-queue.db*"):
        file.unlink()


def test_a_database_that_is_locked_for_ten_seconds_is_waited_for(crowd: World) -> None:
    crowd.start_worker()
    crowd.new_course()
    all_is_equal(crowd)
    some_changes(crowd, 6)
    with closing(sqlite3.connect(database(crowd), timeout=30, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        threading.Event().wait(10)
        assert something_waits(crowd)  # nothing was written meanwhile
        other.execute("ROLLBACK")
    all_is_equal(crowd)


def limit_files(child: Child, size: int) -> None:
    """No file of the process may grow beyond ``size`` bytes: to it the disk is full."""
    resource.prlimit(child.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


@pytest.mark.skipif(os.name != "posix", reason="The limit is one of POSIX systems.")
def test_a_full_disk_loses_nothing_and_is_noticed_when_there_is_room_again(crowd: World) -> None:
    child = crowd.start_worker()
    crowd.new_course()
    all_is_equal(crowd)
    limit_files(child, 1)
    asked = crowd.proxy.count()
    crowd.new_course()
    some_changes(crowd, 6)
    threading.Event().wait(4)
    assert child.exit_code() is None
    assert something_waits(crowd)
    # Nothing is done that could not be written down before.
    assert crowd.proxy.count("createRoom") == len(course_ids(crowd)) - 1
    assert crowd.proxy.count() <= asked + 12
    limit_files(child, resource.RLIM_INFINITY)
    all_is_equal(crowd)


def course_ids(site: World) -> list[int]:
    with site.app.app_context():
        return [course.id for course in db.session.query(Course)]
