"""The very same POST sent twice leaves what it leaves when it is sent once: one course, one room,
one link, one line in the audit trail."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from commweb.sync.worker import Worker
from tests.simulated import SimulatedProvider, SimulatedServer
from tests.sites import Site, student, switched_on, teacher
from tests.unit.doors.homeserver import polite
from tests.unit.doors.planted import NEW_PASSWORD, PEOPLE_PASSWORD
from tests.unit.doors.table import POSTS, Row
from tests.unit.doors.test_csrf import CHANGES, rows
from tests.unit.doors.world import World, lasting
from tests.unit.web.conftest import Visitor

pytestmark = pytest.mark.local_server

ADMIN = "/communication/admin"
# Somebody asks a homeserver or a worker to do something again, and it is done again.
DONE_EACH_TIME = {
    "/admin/communication/providers/matrix/lift-limits": "limits.lifted",
    "/admin/communication/rooms/<int(max=2147483647):room_id>/retry": "room.retried",
    "/courses/<course_id>/communication/members/again": "room.retried",
    "/courses/<course_id>/communication/members/add": "room.retried",
    "/courses/<course_id>/communication": "course.saved",
}
# What a second save says: that it changed nothing.
NOTHING = (
    {"action": "settings.saved", "detail": {"changed": []}},
    {"action": "rooms.backfilled", "detail": {"courses": 0}},
)


def trail(world: World) -> list[dict[str, Any]]:
    """The audit events, without their times and numbers."""
    return [
        {"action": row["action"], "detail": json.loads(row["detail"])}
        for row in world.dump()["commweb_event"]
    ]


@rows(CHANGES)
def test_what_is_sent_twice_is_not_told_twice_in_the_audit_trail(world: World, row: Row) -> None:
    address, fields = row.address(world), row.fields(world)
    world.ask("admin", "POST", address, fields)
    once = len(trail(world))
    world.ask("admin", "POST", address, fields)
    for event in trail(world)[once:]:
        assert event in NOTHING or event["action"] == DONE_EACH_TIME.get(row.rule), event


def test_a_course_that_is_sent_twice_is_made_once(world: World) -> None:
    (row,) = [row for row in POSTS if row.rule == "/courses/new"]
    fields = {**row.fields(world), "provider": "matrix"}
    before = world.dump()
    statuses = [world.ask("admin", "POST", row.rule, fields).status_code for _time in range(2)]
    assert statuses == [303, 422]
    after = world.dump()
    assert len(after["course"]) == len(before["course"]) + 1
    assert len(after["commweb_change"]) == len(before["commweb_change"]) + 1


def test_a_right_code_that_is_sent_twice_links_once(world: World) -> None:
    person = str(world.ids["people"]["student1"])
    for table in ("commweb_account_proof", "commweb_account"):
        world.execute(f"DELETE FROM {table} WHERE person_id = ?", person)
    world.homeserver.instead = polite
    for _time in range(2):
        world.ask("student", "POST", "/account/link", {"user_id": "@mine:hs.test"})
    made = [seen for seen in world.homeserver.requests if seen.path.endswith("/createRoom")]
    assert len(made) == 1
    (code,) = set(re.findall(r"\b[0-9]{8}\b", world.homeserver.text))
    assert world.ask("student", "POST", "/account/confirm", {"code": code}).status_code == 303
    once, said = lasting(world.dump()), trail(world)
    again = world.ask("student", "POST", "/account/confirm", {"code": code})
    assert again.status_code in (303, 422)
    assert lasting(world.dump()) == once
    assert trail(world) == said
    (account,) = [row for row in once["commweb_account"] if row["person_id"] == person]
    assert account["remote_user_id"] == "@mine:hs.test"


def test_a_chat_password_that_is_sent_twice_is_the_same_password(world: World) -> None:
    world.homeserver.instead = polite
    world.allow_chat_password("student1")
    typed = {
        "site_password": PEOPLE_PASSWORD,
        "password": NEW_PASSWORD,
        "password_again": NEW_PASSWORD,
    }
    before = lasting(world.dump())
    for _time in range(2):
        answer = world.ask("student", "POST", "/account/password", typed)
        assert answer.status_code == 303
    assert lasting(world.dump()) == before


@pytest.fixture
def school(tmp_path: Path, server: SimulatedServer) -> Iterator[Site]:
    """A site that had two courses before it had a chat."""
    with switched_on(tmp_path, SimulatedProvider(server)) as made:
        for course in ("1", "2"):
            made.campus.add(course, teacher("ada"), student("bob"), name=f"Course {course}")
        yield made


def work(school: Site) -> None:
    worker = Worker(school.state)
    worker.work()
    worker.close()


def pressed(school: Site, person: str, page: str, url: str, **fields: str) -> None:
    """The same request, three times: twice before the worker comes, and once after."""
    visitor = Visitor(school, person)
    sent = {"csrf_token": visitor.token(page), **fields}
    for _time in range(2):
        assert visitor.post(url, **sent).status_code == 303
    work(school)
    assert visitor.post(url, **sent).status_code == 303
    work(school)


def test_a_backfill_that_is_sent_again_makes_one_room_for_each_course(
    school: Site, server: SimulatedServer
) -> None:
    rooms = f"{ADMIN}/communication/rooms"
    pressed(school, "admin", rooms, f"{rooms}/backfill")
    assert sorted(room.name for room in server.rooms.values()) == ["Course 1", "Course 2"]


def test_a_choice_that_is_sent_again_makes_one_room(school: Site, server: SimulatedServer) -> None:
    page = "/communication/courses/1/communication"
    fields = {"provider": "simulated", "simulated-name": "Chat", "simulated-topic": ""}
    pressed(school, "ada", page, page, **fields)
    (room,) = server.rooms.values()
    before = dict(room.members)
    pressed(school, "admin", f"{ADMIN}/communication/rooms/1",
            f"{ADMIN}/communication/rooms/1/retry")  # fmt: skip
    assert list(server.rooms.values()) == [room]
    assert room.members == before
