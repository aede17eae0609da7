"""What administrators and teachers are told of rooms that are held, gone, or full of guests."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select, update

from commweb.models import (
    Connection,
    Event,
    FoldRow,
    MemberRow,
    PastAccount,
    RoomRow,
    UnclaimedRoom,
)
from commweb.sync.confirming import confirm_choice, held_key
from commweb.sync.guard import MESSAGES, ROOM_GONE
from commweb.sync.worker import Worker
from tests.simulated import SimulatedProvider, SimulatedServer
from tests.sites import Site, student, switched_on, teacher
from tests.unit.web.conftest import Visitor, shown

ROOMS = "/communication/admin/communication/rooms"
ROOM = f"{ROOMS}/1"
MORNING = datetime.fromisoformat("2030-05-01T02:40:00+00:00")


@pytest.fixture
def school(tmp_path: Path, server: SimulatedServer) -> Iterator[Site]:
    with switched_on(tmp_path, SimulatedProvider(server)) as made:
        made.campus.add("1", teacher("ada"), student("bob"), student("cyd"))
        with made.app.app_context():
            made.comm.course_created("1")
            made.db.session.commit()
        Worker(made.state).work()
        yield made


@pytest.fixture
def admin(school: Site) -> Visitor:
    return Visitor(school)


def row(school: Site, room_id: int = 1) -> Any:
    with school.state.database.read() as connection:
        return connection.execute(select(RoomRow).where(RoomRow.id == room_id)).one()


def set_room(school: Site, **values: Any) -> None:
    with school.state.database.write() as connection:
        connection.execute(update(RoomRow).where(RoomRow.id == 1).values(**values))


def hold(school: Site, *people: str, kind: str = "removals") -> str:
    """As the engine leaves a room that it holds; the key of what it asks."""
    set_room(
        school,
        status="held",
        reason="2 of 3 people would be removed.",
        held_kind=kind,
        held_people=list(people),
    )
    return held_key(kind, people)


def events(school: Site) -> list[tuple[str, dict[str, Any]]]:
    with school.state.database.read() as connection:
        query = select(Event.action, Event.detail).order_by(Event.id)
        return [tuple(found) for found in connection.execute(query)]


def press(visitor: Visitor, page: str, url: str, **data: str) -> Any:
    return visitor.post(url, csrf_token=visitor.token(page), **data)


def test_a_held_room_lists_by_name_whom_it_would_remove(school: Site, admin: Visitor) -> None:
    key = hold(school, "bob", "cyd")
    page = admin.get(ROOM)
    words = shown(page)
    assert "2 people would be removed:" in words
    names = re.findall(r"<li>(\w+)</li>", page.text)
    assert names == ["Bob", "Cyd"]
    assert "Remove 2 people" in words
    assert f'value="{key}"' in page.text


def test_a_confirmation_is_kept_for_the_people_it_named(school: Site, admin: Visitor) -> None:
    key = hold(school, "bob", "cyd")
    before = row(school).revision
    assert press(admin, ROOM, f"{ROOM}/confirm", key=key).status_code == 303
    found = row(school)
    assert found.confirmed_people == ["bob", "cyd"]
    assert found.revision == before + 1
    detail = {"kind": "removals", "people": 2, "messages": False}
    assert events(school)[-1] == ("room.confirmed", detail)


def test_a_list_that_changed_meanwhile_is_shown_again(school: Site, admin: Visitor) -> None:
    key = hold(school, "bob")
    hold(school, "bob", "cyd")
    response = press(admin, ROOM, f"{ROOM}/confirm", key=key)
    assert response.status_code == 422
    assert "The list has changed." in shown(response)
    assert "Remove 2 people" in shown(response)
    assert row(school).confirmed_people == []
    assert press(admin, ROOM, f"{ROOM}/confirm").status_code == 422


def test_a_room_that_is_not_held_any_more_has_nothing_to_confirm(
    school: Site, admin: Visitor
) -> None:
    key = hold(school, "bob")
    set_room(school, status="ready")
    assert press(admin, ROOM, f"{ROOM}/confirm", key=key).status_code == 303
    assert row(school).confirmed_people == []


def test_a_room_that_was_held_before_names_were_kept_asks_again_by_name(
    school: Site, admin: Visitor
) -> None:
    key = hold(school, kind="")
    assert press(admin, ROOM, f"{ROOM}/confirm", key=key).status_code == 303
    assert row(school).confirmed_people == []


def test_where_messages_die_the_short_name_is_typed(school: Site, admin: Visitor) -> None:
    key = hold(school, "bob", "cyd", MESSAGES, kind="course_gone")
    page = shown(admin.get(ROOM))
    assert "Delete the room and its messages" in page
    assert "Type “Algebra”" in page
    for typed in ({}, {"word": "History"}):
        response = press(admin, ROOM, f"{ROOM}/confirm", key=key, **typed)
        assert response.status_code == 422
        assert row(school).confirmed_people == []
    assert press(admin, ROOM, f"{ROOM}/confirm", key=key, word=" Algebra ").status_code == 303
    assert row(school).confirmed_people == ["bob", "cyd", MESSAGES]


def own_pages(school: Site) -> list[str]:
    """The addresses of all administration pages that need no more than that."""
    rules = [one for one in school.app.url_map.iter_rules() if "GET" in (one.methods or ())]
    return [
        rule.rule
        for rule in rules
        if rule.rule.startswith("/communication/admin") and not rule.arguments
    ]


def test_every_administration_page_says_how_many_rooms_wait(school: Site, admin: Visitor) -> None:
    assert "for your confirmation" not in shown(admin.get(ROOMS))
    hold(school, "bob")
    pages = [*own_pages(school), ROOM]
    assert len(pages) >= 5
    for page in pages:
        response = admin.get(page)
        assert response.status_code == 200
        assert "1 room waits for your confirmation." in shown(response)
    assert 'rooms?held=1"' in admin.get("/communication/admin/").text
    assert "Algebra" in shown(admin.get(f"{ROOMS}?held=1"))
    set_room(school, status="ready")
    assert "Algebra" not in shown(admin.get(f"{ROOMS}?held=1"))


def test_a_teacher_is_told_that_an_administrator_has_to_confirm_and_a_student_is_not(
    school: Site,
) -> None:
    hold(school, "bob")
    reason = "2 of 3 people would be removed. An administrator has to confirm that."
    set_room(school, reason=reason)
    page = "/communication/courses/1/communication"
    for path in (page, f"{page}/members"):
        assert "An administrator has to confirm that." in shown(Visitor(school, "ada").get(path))
    answer = Visitor(school, "bob").get("/communication/api/v1/courses/1/room").json
    assert (answer["status"], answer["reason"]) == ("ready", None)
    assert "would be removed" not in str(answer)


def test_rooms_that_are_gone_are_asked_for_once_for_all(school: Site, admin: Visitor) -> None:
    hold(school, ROOM_GONE, kind="room_gone")
    page = admin.get(ROOMS)
    assert "1 room is gone from the homeserver." in shown(page)
    key = re.search(r'name="key" value="([^"]+)"', page.text)
    assert key
    assert press(admin, ROOMS, f"{ROOMS}/gone", key="other", create="1").status_code == 422
    assert press(admin, ROOMS, f"{ROOMS}/gone", key=key[1], wait="1").status_code == 303
    assert row(school).confirmed_people == []
    assert press(admin, ROOMS, f"{ROOMS}/gone", key=key[1], create="1").status_code == 303
    assert row(school).confirmed_people == [ROOM_GONE]
    assert "gone from the homeserver." not in shown(admin.get(ROOMS))
    actions = [action for action, _detail in events(school)][-2:]
    assert actions == ["rooms.gone_wait", "rooms.gone_created_anew"]


def test_ready_is_said_with_its_time_and_with_what_could_not_be_done(
    school: Site, admin: Visitor
) -> None:
    set_room(
        school,
        synced_at=MORNING,
        undone=["person:cyd", "picture"],
        reason="The picture is too large.",
    )
    for visitor, page in (
        (admin, ROOMS),
        (admin, ROOM),
        (Visitor(school, "ada"), "/communication/courses/1/communication"),
    ):
        words = shown(visitor.get(page))
        assert (
            "2 things could not be done: the picture, 1 person. The picture is too large." in words
        )
        assert "2030-05-01 02:40 UTC" in words


def test_what_stops_a_provider_or_a_course_is_said_on_the_rooms_page(
    school: Site, admin: Visitor
) -> None:
    with school.state.database.write() as connection:
        trouble = {"provider": "simulated", "trouble_code": "suspended", "trouble": "Suspended."}
        connection.execute(insert(Connection).values(**trouble, generation=1, state="ok"))
        connection.execute(insert(FoldRow).values(course_id="9", failures=2, reason="No answer."))
    words = shown(admin.get(ROOMS))
    assert "Simulated: Suspended." in words
    assert "1 course could not be read from the site:" in words
    assert "9: No answer." in words


def test_rooms_that_no_course_has_are_listed(school: Site, admin: Visitor) -> None:
    with school.state.database.write() as connection:
        lost = {"provider": "simulated", "remote_id": "!lost", "name": "Lost", "member_count": 2}
        connection.execute(insert(UnclaimedRoom).values(**lost))
    words = shown(admin.get(ROOMS))
    assert "1 room on the homeserver was created for this site and belongs to no course." in words
    assert "Lost !lost , 2 people" in words


def test_guests_are_counted_and_listed_with_who_invited_them_and_can_be_removed(
    school: Site, admin: Visitor
) -> None:
    guests = [{"id": "@eve:sim", "by": "@bob:sim"}, {"id": "@mal:sim", "name": "Mal", "by": ""}]
    set_room(school, guests=guests)
    words = shown(admin.get(ROOM))
    assert "3 members, 2 guests" in words
    assert "@eve:sim @bob:sim" in words.replace("Remove", "")
    before = row(school).revision
    page = f"{ROOM}/remove-guest"
    assert press(admin, ROOM, page, account="@nobody:sim").status_code == 404
    assert press(admin, ROOM, page, account="@eve:sim").status_code == 303
    found = row(school)
    assert (found.confirmed_people, found.revision) == (["@eve:sim"], before + 1)
    with school.state.database.read() as connection:
        past = connection.execute(select(PastAccount.remote_user_id)).scalars().all()
    assert "@eve:sim" in past
    assert ("room.guest_removed", {"account": "@eve:sim"}) in events(school)


def test_a_guest_who_came_through_an_open_door_was_invited_by_nobody(
    school: Site, admin: Visitor
) -> None:
    set_room(school, guests=[{"id": "@eve:sim", "by": "@eve:sim"}])
    assert "@eve:sim nobody: joined without an invitation" in shown(admin.get(ROOM))


def test_a_choice_that_was_confirmed_is_not_asked_again(school: Site, admin: Visitor) -> None:
    key = hold(school, "bob")
    with school.state.database.write() as connection:
        confirm_choice(connection, [1])
    assert press(admin, ROOM, f"{ROOM}/confirm", key=key).status_code == 303
    assert row(school).confirmed_people == ["*"]


def test_a_person_with_a_strange_id_confirms_nobody_else(school: Site, admin: Visitor) -> None:
    key = hold(school, "*", "bob")
    with school.state.database.write() as connection:
        connection.execute(insert(MemberRow).values(room_id=1, person_id="*", state="in"))
    press(admin, ROOM, f"{ROOM}/confirm", key=key)
    assert row(school).confirmed_people == ["bob"]
