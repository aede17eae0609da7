"""A course's Communication page, the way into the chat, and the rooms an admin sees."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select, update
from werkzeug.test import TestResponse

from commweb.models import CourseChoice, Event, RoomRow
from commweb.sync.worker import Worker
from tests.simulated import SimulatedProvider, SimulatedServer
from tests.sites import Site, student, switched_on, teacher

EDIT = "/communication/courses/1/communication"
CHAT = "/communication/courses/1/chat"
ROOMS = "/communication/admin/communication/rooms"


@pytest.fixture
def school(tmp_path: Path, server: SimulatedServer) -> Iterator[Site]:
    with switched_on(tmp_path, SimulatedProvider(server)) as made:
        made.campus.add("1", teacher("ada"), student("bob"))
        yield made


@pytest.fixture
def client(school: Site) -> FlaskClient:
    return school.app.test_client()


def get(client: FlaskClient, url: str, name: str | None) -> TestResponse:
    return client.get(url, headers={"X-Person": name} if name else {})


def token(reply: TestResponse) -> str:
    found = re.search(r'name="csrf_token" value="([^"]+)"', reply.text)
    assert found
    return found[1]


def post(client: FlaskClient, page: str, url: str, name: str, **data: str) -> TestResponse:
    data["csrf_token"] = token(get(client, page, name))
    return client.post(url, data=data, headers={"X-Person": name})


def make_room(school: Site) -> None:
    with school.app.app_context():
        school.comm.course_created("1")
        school.db.session.commit()
    Worker(school.state).work()


def test_a_teacher_chooses_a_provider_and_the_room_is_made(
    school: Site, client: FlaskClient, server: SimulatedServer
) -> None:
    typed = {"simulated-name": "Numbers", "simulated-topic": "Ask!"}
    reply = post(client, EDIT, EDIT, "ada", provider="simulated", **typed)
    assert reply.status_code == 303
    Worker(school.state).work()
    (room,) = server.rooms.values()
    assert (room.name, room.topic) == ("Numbers", "Ask!")
    page = get(client, EDIT, "ada").text
    assert "Your Simulated room is ready." in page
    assert 'value="Numbers"' in page


def test_choosing_none_takes_the_people_out_and_coming_back_finds_the_room(
    school: Site, client: FlaskClient, server: SimulatedServer
) -> None:
    make_room(school)
    asked = post(client, EDIT, EDIT, "ada", provider="")
    assert asked.status_code == 422
    assert "2 people will be removed from “Algebra”." in asked.text
    Worker(school.state).work()
    assert len(server.rooms) == 1, "nothing was done yet"
    (key,) = re.findall(r'name="confirmed" value="([0-9a-f]+)"', asked.text)
    assert post(client, EDIT, EDIT, "ada", provider="", confirmed="other").status_code == 422
    assert post(client, EDIT, EDIT, "ada", provider="", confirmed=key).status_code == 303
    Worker(school.state).work()
    (room,) = server.rooms.values()
    assert [key for key, member in room.members.items() if member.membership == "join"] == [
        "@bot:sim"
    ]
    post(client, EDIT, EDIT, "ada", provider="simulated")
    Worker(school.state).work()
    assert len(server.rooms) == 1
    assert room.members["@bob:sim"].membership == "join"


def test_an_unknown_provider_is_refused_and_nothing_is_stored(
    school: Site, client: FlaskClient
) -> None:
    typed = {"simulated-name": "Kept"}
    reply = post(client, EDIT, EDIT, "ada", provider="smoke", **typed)
    assert reply.status_code == 422
    assert 'value="Kept"' in reply.text
    with school.app.app_context():
        assert school.db.session.execute(select(CourseChoice)).first() is None


def test_a_student_may_not_configure(client: FlaskClient) -> None:
    assert get(client, EDIT, "bob").status_code == 403


def test_a_member_is_sent_to_the_room(school: Site, client: FlaskClient) -> None:
    make_room(school)
    reply = get(client, CHAT, "bob")
    assert (reply.status_code, reply.location) == (303, "https://chat.example/#/room/!sim1")


def test_somebody_not_in_the_room_is_told_why(school: Site, client: FlaskClient) -> None:
    make_room(school)
    school.campus.add("1", teacher("ada"), student("bob"), student("cyd"))
    reply = get(client, CHAT, "cyd")
    assert reply.status_code == 404
    assert "You are not in the room" in reply.text


def test_the_chat_of_a_course_without_a_room_says_so(client: FlaskClient) -> None:
    assert "This course has no chat room." in get(client, CHAT, "bob").text


def test_the_admin_sees_every_room_and_backfills_the_rest(
    school: Site, client: FlaskClient, server: SimulatedServer
) -> None:
    make_room(school)
    school.campus.add("2", teacher("ada"), name="Botany")
    page = get(client, ROOMS, "admin").text
    assert "Algebra" in page
    assert "1 existing course has no room." in page
    assert post(client, ROOMS, f"{ROOMS}/backfill", "admin").status_code == 303
    Worker(school.state).work()
    assert {room.name for room in server.rooms.values()} == {"Algebra", "Botany"}
    assert "existing course" not in get(client, ROOMS, "admin").text


def test_a_held_room_is_confirmed_on_its_page(
    school: Site, client: FlaskClient, server: SimulatedServer
) -> None:
    make_room(school)
    school.campus.add("1")
    with school.app.app_context():
        school.comm.course_changed("1")
        school.db.session.commit()
    Worker(school.state).work()
    with school.app.app_context():
        room_id = school.db.session.execute(select(RoomRow.id)).scalar_one()
    page = f"{ROOMS}/{room_id}"
    key = re.search(r'name="key" value="([^"]+)"', get(client, page, "admin").text)
    assert key
    post(client, page, f"{page}/confirm", "admin", key=key[1])
    Worker(school.state).work()
    (room,) = server.rooms.values()
    assert room.members["@bob:sim"].membership == "leave"
    with school.app.app_context():
        actions = set(school.db.session.execute(select(Event.action)).scalars())
    assert "room.confirmed" in actions


def test_a_button_without_its_token_does_nothing(school: Site, client: FlaskClient) -> None:
    make_room(school)
    with school.state.database.write() as connection:
        connection.execute(update(RoomRow).values(attempts=3))
    reply = client.post(f"{ROOMS}/1/retry", headers={"X-Person": "admin"})
    assert reply.status_code == 400


def test_the_rooms_page_is_for_admins(client: FlaskClient) -> None:
    assert get(client, ROOMS, "ada").status_code == 403
    assert get(client, ROOMS, None).status_code == 302
