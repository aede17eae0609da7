"""Whatever breaks between commweb and the homeserver: afterwards the rooms equal the courses."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests

from commweb.site.homeserver import Homeserver
from tests.live.conftest import AdminSession
from tests.live.crew import Scene, connect, wait_until
from tests.live.fault_proxy import Fault, FaultProxy
from tests.sites import site, student, teacher
from tests.synapse_eyes import SynapseEyes

ALLOW = {"COMMWEB_ALLOWED_PRIVATE_HOSTS": "127.0.0.0/8"}
HOURS = 3600.0
COURSES = 3

QUICK_FAULTS = (
    "reset before the server did the work",
    "reset after the server did the work",
    "cut in the middle of the body",
    "500",
    "500 after the server did the work",
    "502 with a page",
    "a page instead of JSON",
    "garbage instead of JSON",
    "429",
)
WHILE_MAKING = ("POST .*/createRoom", "PUT .*/v2/users/", "POST .*/v1/join/")
WHILE_CHANGING = (
    "GET .*/v1/rooms/.*/state$",
    "PUT .*/m.room.name",
    "GET .*/m.room.power_levels",
    "PUT .*/m.room.power_levels",
    "POST .*/kick",
)


@pytest.fixture
def proxy(homeserver: Homeserver) -> Iterator[FaultProxy]:
    with FaultProxy.before(homeserver.base_url) as proxy:
        yield proxy


@pytest.fixture
def scene(
    tmp_path: Path,
    proxy: FaultProxy,
    homeserver: Homeserver,
    admin_session: AdminSession,
    lift_limits: Callable[[Homeserver], None],
) -> Iterator[Scene]:
    lift_limits(homeserver)
    with site(tmp_path, **ALLOW) as school:
        connect(school, admin_session, proxy.url)
        yield Scene(school, proxy, SynapseEyes(homeserver))


def make_courses(scene: Scene, unique: str, count: int = COURSES) -> list[str]:
    courses = [f"{unique}-{number}" for number in range(count)]
    for course in courses:
        people = (teacher(f"{course}-a"), student(f"{course}-b"), student(f"{course}-c"))
        scene.school.campus.add(course, *people, name=f"Algebra {course}")
    scene.report("course_created", *courses)
    return courses


def change_courses(scene: Scene, courses: list[str]) -> None:
    """Everybody's role changes or he goes, somebody comes, the course gets another name."""
    for course in courses:
        people = (student(f"{course}-a"), teacher(f"{course}-b"), student(f"{course}-d"))
        scene.school.campus.add(course, *people, name=f"Geometry {course}")
    scene.report("course_changed", *courses)


@pytest.mark.parametrize("kind", QUICK_FAULTS)
def test_after_a_fault_at_every_kind_of_request_the_rooms_equal_the_courses(
    scene: Scene, unique: str, kind: str
) -> None:
    with scene.workers():
        scene.proxy.script(*(Fault(kind, pattern, seconds=0.3) for pattern in WHILE_MAKING))
        courses = make_courses(scene, unique)
        scene.settle()
        scene.proxy.script(*(Fault(kind, pattern, seconds=0.3) for pattern in WHILE_CHANGING))
        change_courses(scene, courses)
        scene.settle()
    assert len(scene.proxy.met()) == len(WHILE_MAKING) + len(WHILE_CHANGING)
    assert scene.differences() == []
    assert scene.session_state() == "ok"
    assert {(scene.row(course).status, scene.row(course).attempts) for course in courses} == {
        ("ready", 0)
    }


def test_a_homeserver_that_is_down_for_a_while_is_waited_for(scene: Scene, unique: str) -> None:
    with scene.workers():
        courses = make_courses(scene, unique)
        scene.settle()
        scene.proxy.down()
        change_courses(scene, courses)
        more = make_courses(scene, f"{unique}-more", 1)
        wait_until(
            "a room says why it waits", lambda: any(scene.row(one).reason for one in courses)
        )
        assert [scene.row(one).attempts for one in courses] == [0] * COURSES
        scene.proxy.up()
        scene.settle(30)
    assert scene.differences() == []
    assert {scene.row(course).status for course in [*courses, *more]} == {"ready"}


def test_slow_dripping_and_never_ending_answers_hold_up_no_other_room(
    scene: Scene, unique: str
) -> None:
    stuck = ("slow first byte", "dripping body", "never-ending body")
    scene.proxy.script(*(Fault(kind, "POST .*/createRoom", seconds=HOURS) for kind in stuck))
    with scene.workers():
        make_courses(scene, unique, len(stuck))
        wait_until("all three are stuck", lambda: len(scene.proxy.met()) == len(stuck))
        others = make_courses(scene, f"{unique}-other", 3)
        wait_until("the others are ready", lambda: all(map(scene.is_ready, others)))
        assert scene.waiting() >= len(stuck)
        scene.settle()
    assert scene.differences() == []


def test_a_room_that_always_fails_holds_up_no_other_and_is_made_good_after_the_fault(
    scene: Scene, unique: str
) -> None:
    with scene.workers():
        bad, *others = make_courses(scene, unique)
        scene.settle()
        room = (scene.row(bad).remote_id or "").removeprefix("!")
        scene.proxy.script(Fault("500", f"%21{room}", times=10**6))
        change_courses(scene, [bad, *others])
        wait_until("the others are ready", lambda: all(map(scene.is_ready, others)))
        wait_until("it was tried three times", lambda: scene.row(bad).attempts >= 3)
        assert "500" in (scene.row(bad).reason or "")
        scene.proxy.heal()
        scene.report("course_changed", bad)
        scene.settle()
    assert scene.differences() == []
    assert scene.row(bad).attempts == 0


def test_tokens_that_end_in_the_middle_and_lost_refresh_replies_end_no_session(
    tmp_path: Path,
    make_homeserver: Callable[..., Homeserver],
    sign_in: Callable[[Homeserver], AdminSession],
    lift_limits: Callable[[Homeserver], None],
    unique: str,
) -> None:
    homeserver = make_homeserver(refreshable_access_token_lifetime="2s")
    lift_limits(homeserver)
    with (
        FaultProxy.before(homeserver.base_url) as proxy,
        site(tmp_path, **ALLOW) as school,
    ):
        connect(school, sign_in(homeserver), proxy.url)
        scene = Scene(school, proxy, SynapseEyes(homeserver))
        proxy.script(Fault("reset after the server did the work", "/refresh", times=2))
        with scene.workers():
            courses = make_courses(scene, unique)
            while proxy.count("/refresh") < 5:
                change_courses(scene, courses)
                scene.settle()
        assert len(proxy.met()) == 2
        assert scene.differences() == []
        assert scene.session_state() == "ok"


def test_a_session_that_died_pauses_the_work_and_new_tokens_resume_it_at_once(
    scene: Scene,
    homeserver: Homeserver,
    admin_session: AdminSession,
    sign_in: Callable[[Homeserver], AdminSession],
    unique: str,
) -> None:
    with scene.workers():
        courses = make_courses(scene, unique)
        scene.settle()
        sign_out(admin_session)
        change_courses(scene, courses)
        wait_until("an admin is asked", lambda: scene.session_state() == "sign_in_needed")
        asked = scene.proxy.count()
        scene.report("course_changed", *courses)
        wait_until("it was folded", lambda: scene.waiting() == COURSES)
        assert scene.proxy.count() <= asked + 4  # what was under way, and nothing after that
        connect(scene.school, sign_in(homeserver), scene.proxy.url)
        scene.settle(30)
    assert scene.differences() == []
    assert scene.session_state() == "ok"


def sign_out(session: AdminSession) -> None:
    """End the session as somebody would with "sign out of all devices"."""
    answer = requests.post(
        f"{session.base_url}/_matrix/client/v3/logout",
        headers={"Authorization": f"Bearer {session.access_token}"},
        timeout=30,
    )
    answer.raise_for_status()


def test_the_room_of_a_lost_request_is_found_and_closed_when_its_course_is_gone(
    scene: Scene, unique: str
) -> None:
    scene.proxy.script(Fault("reset after the server did the work", "POST .*/createRoom"))
    (course,) = make_courses(scene, unique, 1)
    worker_stops_after_the_first_try(scene, course)
    del scene.school.campus.course_table[course]
    scene.report("course_deleted", course)
    with scene.workers():
        scene.settle()
    row = scene.row(course)
    assert (row.status, row.creation_started_at) == ("off", None)
    assert row.remote_id in scene.eyes.room_ids()
    assert scene.differences() == []


def worker_stops_after_the_first_try(scene: Scene, course: str) -> None:
    with scene.workers(1):
        wait_until("the reply is lost", lambda: scene.proxy.met() != [])
        scene.proxy.down()
    scene.proxy.up()
    assert scene.row(course).remote_id is None
    assert scene.row(course).creation_started_at is not None


def test_a_room_that_is_to_be_deleted_is_gone_although_answers_get_lost(
    scene: Scene, admin_session: AdminSession, homeserver: Homeserver, unique: str
) -> None:
    with scene.school.app.app_context():
        scene.school.comm.configure("matrix", {"closing_rule": "delete_room"})
    with scene.workers():
        courses = make_courses(scene, unique, 2)
        scene.settle()
        rooms = {scene.row(course).remote_id for course in courses}
        assert rooms <= scene.eyes.room_ids()
        scene.proxy.script(
            Fault("reset after the server did the work", "DELETE .*/v2/rooms/"),
            Fault("500", "GET .*/delete_status/"),
        )
        for course in courses:
            del scene.school.campus.course_table[course]
        scene.report("course_deleted", *courses)
        scene.settle()
    assert len(scene.proxy.met()) == 2
    assert scene.eyes.room_ids() & rooms == set()
    assert {scene.row(course).pending_delete for course in courses} == {None}
    assert scene.differences() == []
