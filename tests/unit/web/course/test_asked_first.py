"""A choice that takes people out of rooms is asked about: what is confirmed is what was shown."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import Connection, event, insert, select, update
from werkzeug.test import TestResponse

from commweb.models import CourseChoice, MemberRow, RoomRow
from commweb.providers.rooms import ObservedMember
from commweb.settings import Setting
from commweb.web.consequences import confirm_recorded, consequences
from tests.unit.web.conftest import shown
from tests.unit.web.course.conftest import Classroom

MakeRoom = Callable[[], None]


@pytest.fixture
def deletes(classroom: Classroom) -> None:
    """Rooms that are no longer needed are deleted."""
    (provider,) = [one for one in classroom.school.state.registry if one.id == "simulated"]
    provider.settings = (Setting("closing_rule", "delete_room"),)


def key_of(response: TestResponse) -> str:
    assert response.status_code == 422
    found = re.search(r'name="confirmed" value="([0-9a-f]+)"', response.text)
    assert found
    return found[1]


def chosen(classroom: Classroom) -> str:
    with classroom.school.state.database.read() as connection:
        return str(connection.execute(select(CourseChoice.provider)).scalar_one())


def test_leaving_says_who_leaves_as_of_when_and_stores_nothing(
    classroom: Classroom, make_room: MakeRoom
) -> None:
    make_room()
    classroom.server.down = True
    reply = classroom.save("")
    said = shown(reply)
    assert "3 people will be removed from “Algebra”." in said
    assert "As of " in said
    assert "Remove 3 people" in said
    assert "Cancel" in said
    assert chosen(classroom) == "simulated"


def test_a_changed_number_asks_again(classroom: Classroom, make_room: MakeRoom) -> None:
    make_room()
    key = key_of(classroom.save(""))
    with classroom.school.state.database.write() as connection:
        row = {"room_id": 1, "person_id": "eve", "display_name": "Eve", "state": "in"}
        connection.execute(insert(MemberRow).values(**row))
    reply = classroom.save("", confirmed=key)
    assert "The list has changed. Read it again and confirm." in shown(reply)
    assert "Remove 4 people" in shown(reply)
    assert chosen(classroom) == "simulated"
    assert classroom.save("", confirmed=key_of(reply)).status_code == 303
    assert chosen(classroom) == ""


@contextmanager
def statements(classroom: Classroom) -> Iterator[list[tuple[int, str]]]:
    """What is sent to the database, with the number of its transaction."""
    found: list[tuple[int, str]] = []
    begun = [0]
    engine = classroom.school.state.database.engine

    def begin(_connection: Connection) -> None:
        begun[0] += 1

    def execute(_connection: Any, _cursor: Any, words: str, *_rest: Any) -> None:
        found.append((begun[0], words))

    event.listen(engine, "begin", begin)
    event.listen(engine, "before_cursor_execute", execute)
    yield found
    event.remove(engine, "begin", begin)
    event.remove(engine, "before_cursor_execute", execute)


def test_what_was_shown_is_compared_and_stored_in_one_transaction(
    classroom: Classroom, make_room: MakeRoom
) -> None:
    make_room()
    key = key_of(classroom.save(""))
    visitor = classroom.visit("ada")
    with statements(classroom) as sent:
        assert (
            visitor.send(
                "/communication/courses/1/communication", provider="", confirmed=key
            ).status_code
            == 303
        )
    people = [at for at, words in sent if "FROM commweb_member" in words and "IN (" in words]
    stored = [at for at, words in sent if words.startswith("INSERT INTO commweb_course ")]
    reported = [at for at, words in sent if words.startswith("INSERT INTO commweb_change")]
    (at,) = set(stored)
    assert at in people
    assert reported == [at]


@pytest.mark.usefixtures("deletes")
@pytest.mark.parametrize("typed", [None, "", "algebra", "Algebra!"])
def test_where_messages_die_another_word_than_the_short_name_stores_nothing(
    classroom: Classroom, make_room: MakeRoom, typed: str | None
) -> None:
    make_room()
    reply = classroom.save("")
    assert "Its messages are deleted for good." in shown(reply)
    assert "Remove 3 people and delete the messages" in shown(reply)
    reply = classroom.save("", confirmed=key_of(reply), confirmed_name=typed)
    assert "Type the short name of the course to delete its messages." in shown(reply)
    assert key_of(reply)
    assert chosen(classroom) == "simulated"
    classroom.work()
    assert classroom.server.deleted == []


@pytest.mark.usefixtures("deletes")
def test_the_short_name_lets_the_messages_die(classroom: Classroom, make_room: MakeRoom) -> None:
    make_room()
    key = key_of(classroom.save(""))
    short_name = classroom.school.campus.course("1").short_name  # type: ignore[union-attr]
    assert classroom.save("", confirmed=key, confirmed_name=short_name).status_code == 303
    classroom.work()
    assert len(classroom.server.deleted) == 1


def test_deleting_a_course_counts_the_rooms_that_it_left_and_leaving_does_not(
    classroom: Classroom, make_room: MakeRoom
) -> None:
    make_room()
    comm = classroom.school.comm
    with classroom.school.app.app_context():
        leaving, deleting = comm.consequences("1", deleted=False), comm.consequences("1")
        assert leaving == deleting
        assert leaving is not None
        with classroom.school.state.database.write() as connection:
            connection.execute(update(RoomRow).values(wanted=False, status="held"))
        assert comm.consequences("1", deleted=False) is None
        assert comm.consequences("1", group_id="7") is None
        left = comm.consequences("1", deleted=True)
    assert left is not None
    assert (left.people, left.rooms) == (3, ("Algebra",))


def test_a_room_on_a_server_that_is_not_connected_is_not_counted(
    classroom: Classroom, make_room: MakeRoom
) -> None:
    make_room()
    with classroom.school.state.database.write() as connection:
        connection.execute(update(RoomRow).values(wanted=False, server_name="old.example"))
    with classroom.school.app.app_context():
        assert classroom.school.comm.consequences("1") is None


def test_many_rooms_are_counted_and_not_all_named(
    classroom: Classroom, make_room: MakeRoom
) -> None:
    make_room()
    with classroom.school.state.database.write() as connection:
        for number in range(8):
            row = {"course_id": "1", "group_id": f"g{number}", "provider": "simulated"}
            row |= {"name": f"Group {number}", "remote_id": f"!g{number}"}
            made = connection.execute(insert(RoomRow).values(**row).returning(RoomRow.id))
            member = {"room_id": made.scalar_one(), "person_id": "bob", "state": "in"}
            connection.execute(insert(MemberRow).values(**member))
    with classroom.school.app.app_context():
        follows = classroom.school.comm.consequences("1")
    assert follows is not None
    assert len(follows.rooms) == 9
    assert follows.sentences[0].endswith("“Group 3” and 4 more.")


@pytest.mark.parametrize("is_confirmed", [False, True])
def test_guests_whose_removal_was_confirmed_are_not_held_by_the_guard(
    classroom: Classroom, make_room: MakeRoom, is_confirmed: bool
) -> None:
    make_room()
    state = classroom.school.state
    (provider,) = [one for one in state.registry if one.id == "simulated"]
    provider.settings = (Setting("remove_others", False),)
    guests = [f"@guest{number}:sim" for number in range(12)]
    for guest in guests:
        classroom.room("Algebra").members[guest] = ObservedMember("join", by="@bob:sim")
    classroom.changed()
    values = {"remove_others": True}
    with classroom.school.app.app_context():
        follows = consequences(state, provider, values)
        assert follows is not None
        assert follows.button == "Remove 12 guests"
        before = dict(state.values(provider).values)
        if is_confirmed:
            with state.database.write() as connection:
                confirm_recorded(connection, provider, before, values, follows)
        classroom.school.comm.configure("simulated", values)
    classroom.changed()
    left = classroom.inside("Algebra") & {guest[1:].partition(":")[0] for guest in guests}
    assert len(left) == (0 if is_confirmed else 12)
    with state.database.read() as connection:
        status = connection.execute(select(RoomRow.status)).scalar_one()
    assert status == ("ready" if is_confirmed else "held")
