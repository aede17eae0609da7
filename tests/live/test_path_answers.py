"""Answers of something between commweb and the homeserver say nothing about rooms or people."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import update

from commweb import Person, Role
from commweb.models import Connection, RoomRow, now
from commweb.site.homeserver import Homeserver
from tests.live.conftest import AdminSession
from tests.live.crew import A_MINUTE, Scene, connect
from tests.live.fault_proxy import Fault, FaultProxy
from tests.live.fault_relay import REFUSALS
from tests.sites import Member, site, student, teacher
from tests.synapse_eyes import SynapseEyes

ALLOW = {"COMMWEB_ALLOWED_PRIVATE_HOSTS": "127.0.0.0/8"}
ADMIN_API = "/_synapse/admin"
ROOM_STATE = "GET .*/v1/rooms/.*/state$"
REFRESH = "/refresh"
ALWAYS = 10**6
ODD = [
    *((kind, ADMIN_API) for kind in REFUSALS),
    ("404 M_UNRECOGNIZED", ROOM_STATE),
    ("403 with a page", ROOM_STATE),
    ("404 M_UNRECOGNIZED", REFRESH),
    ("404 with a page", REFRESH),
]
Rooms = dict[str, dict[str, str]]


@pytest.fixture
def scene(
    tmp_path: Path,
    homeserver: Homeserver,
    admin_session: AdminSession,
    lift_limits: Callable[[Homeserver], None],
) -> Iterator[Scene]:
    lift_limits(homeserver)
    with FaultProxy.before(homeserver.base_url) as proxy, site(tmp_path, **ALLOW) as school:
        connect(school, admin_session, proxy.url)
        yield Scene(school, proxy, SynapseEyes(homeserver))


def courses_with_rooms(scene: Scene, unique: str, count: int) -> list[str]:
    courses = [f"{unique}-{number}" for number in range(count)]
    for course in courses:
        people = (teacher(f"{course}-a"), student(f"{course}-b"), student(f"{course}-c"))
        scene.school.campus.add(course, *people, name=f"Algebra {course}")
    scene.report("course_created", *courses)
    scene.work()
    assert scene.differences() == []
    return courses


def rooms(scene: Scene) -> Rooms:
    """Who is in which room of this test."""
    ours = scene.eyes.room_ids() - scene.before
    return {room: scene.eyes.room(room).inside() for room in sorted(ours)}


def the_token_is_over(scene: Scene) -> None:
    with scene.school.state.database.write() as connection:
        connection.execute(update(Connection).values(expires_at=now() - timedelta(minutes=1)))


@pytest.mark.parametrize(("kind", "pattern"), ODD)
def test_while_the_way_is_barred_nothing_is_done_and_nothing_is_recorded_as_done(
    scene: Scene, unique: str, kind: str, pattern: str
) -> None:
    changed, other, deleted = courses = courses_with_rooms(scene, unique, 3)
    before, created = rooms(scene), scene.proxy.count("createRoom")
    barred = Fault(kind, pattern, times=ALWAYS)
    scene.proxy.script(barred)
    if pattern == REFRESH:
        the_token_is_over(scene)
    for course in (changed, other):
        people = (teacher(f"{course}-a"), student(f"{course}-b"), student(f"{course}-d"))
        scene.school.campus.add(course, *people, name=f"Geometry {course}")
    scene.report("course_changed", changed, other)
    del scene.school.campus.course_table[deleted]
    scene.report("course_deleted", deleted)
    for _round in range(3):
        scene.work()
        scene.time_passes(A_MINUTE)
    assert barred.times < ALWAYS
    assert rooms(scene) == before
    assert scene.proxy.count("createRoom") == created
    for course in courses:
        row = scene.row(course)
        assert row.synced_revision < row.revision, "it is recorded as done"
        assert row.remote_id in before
        assert row.status != "off"
        assert row.reason
    assert scene.session_state() == "ok"
    scene.proxy.heal()
    scene.come_to_rest()
    assert scene.differences() == []
    assert scene.proxy.count("createRoom") == created
    assert scene.row(deleted).status == "off"


def remote(name: str) -> Member:
    """A student whose account is on a homeserver that does not answer."""
    who = Person(name, name, name.title(), accounts={"matrix": f"@{name}:dead.example"})
    return Member(who, Role.PARTICIPANT)


def test_a_homeserver_that_does_not_answer_costs_its_own_people_only(
    scene: Scene, unique: str
) -> None:
    with scene.school.app.app_context():
        scene.school.comm.configure("matrix", {"federate": True})
    (course,) = courses_with_rooms(scene, unique, 1)
    room = scene.row(course).remote_id
    assert room is not None
    dead = Fault("502 with JSON", "POST .*/invite$", times=ALWAYS)
    scene.proxy.script(dead)
    there = [remote(f"{unique}-x"), remote(f"{unique}-y")]
    # The one who left is the last in order, those who cannot be invited the first.
    people = (*there, teacher(f"{course}-a"), student(f"{course}-c"), student(f"{course}-z"))
    scene.school.campus.add(course, *people, name=f"Algebra {course}")
    scene.report("course_changed", course)
    scene.work()
    here = {f"@{course}-{letter}:localhost" for letter in "acz"}
    assert set(scene.eyes.room(room).inside("@admin:localhost")) == here
    row = scene.row(course)
    assert (row.status, ALWAYS - dead.times) == ("ready", 1), "it is asked once in a run"
    assert "2 people could not be added." in (row.reason or "")
    assert row.synced_revision < row.revision
    assert row.next_attempt_at is not None
    # Nothing can invite somebody of a homeserver that is not there: the two leave the course.
    scene.school.campus.add(course, *people[2:], name=f"Algebra {course}")
    scene.report("course_changed", course)
    scene.proxy.heal()
    scene.come_to_rest()
    assert scene.differences() == []


def test_a_room_that_was_really_deleted_is_created_anew(scene: Scene, unique: str) -> None:
    first, *_others = courses = courses_with_rooms(scene, unique, 3)
    gone = scene.row(first).remote_id
    assert gone is not None
    scene.eyes.delete_room(gone)
    scene.report("course_changed", *courses)
    scene.come_to_rest()
    assert scene.differences() == []
    assert scene.row(first).remote_id != gone
    assert len(rooms(scene)) == 3


def test_of_many_deleted_rooms_a_few_are_created_anew_and_the_others_wait_for_a_person(
    scene: Scene, unique: str
) -> None:
    courses = courses_with_rooms(scene, unique, 12)
    created = scene.proxy.count("createRoom")
    for course in courses[:5]:
        scene.eyes.delete_room(scene.row(course).remote_id or "")
    for _round in range(2):
        # Also of those that were created anew it is known for an hour that they were missing.
        scene.report("course_changed", *courses)
        scene.come_to_rest()
    held = [course for course in courses if scene.row(course).status == "held"]
    assert {scene.row(course).held_kind for course in held} == {"room_gone"}
    assert len(held) == 2
    assert set(held) < set(courses[:5])
    assert scene.proxy.count("createRoom") == created + 3
    scene.eyes.delete_room(scene.row(courses[-1]).remote_id or "")
    scene.report("course_changed", courses[-1])
    scene.come_to_rest()
    assert scene.row(courses[-1]).held_kind == "room_gone"
    assert scene.proxy.count("createRoom") == created + 3
    with scene.school.state.database.write() as connection:
        connection.execute(
            update(RoomRow).where(RoomRow.status == "held").values(confirmed_people=["*gone"])
        )
    scene.report("course_changed", *courses)
    scene.come_to_rest()
    assert scene.differences() == []
    assert scene.proxy.count("createRoom") == created + 6
